"""The commands of ``hokusai prompt`` that show what is registered, or how it differs from a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hokusai_nb.cli.places import json_option, mlflow_option, print_record
from hokusai_nb.cli.targets import point_at
from hokusai_nb.errors import ModelNotFoundError, ModelValidationError, ValidationError
from hokusai_nb.schema.arguments import pairs_in
from hokusai_nb.schema.display import printable
from hokusai_nb.schema.frozen import FrozenDict
from hokusai_nb.schema.problems import Problem, quoted, quoted_path, raise_for
from hokusai_nb.schema.prompt_comparison import compare_prompts
from hokusai_nb.schema.prompts import ModelStage
from hokusai_nb.widgets.prompt_values import render_texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hokusai_nb.core.prompts import PromptModel
    from hokusai_nb.schema.prompt_comparison import PromptComparison
    from hokusai_nb.schema.prompt_entries import FilePrompt
    from hokusai_nb.schema.templates import Template

__all__ = ["diff", "history", "lineage", "list_prompts", "render"]

MAX_VALUES_BYTES = 10_000_000

name_option = click.option("--name", metavar="NAME", help="Which prompt of a file that holds several.")


def _refused(what: str, hint: str, field: str) -> ModelValidationError:
    return ModelValidationError([Problem(field=field, what=what, hint=hint)])


def _is_file(text: str) -> bool:
    """Whether an argument is a file: names of prompts hold no dots."""
    return "." in text or "\\" in text


def _in_file(path: str, name: str | None) -> list[FilePrompt]:
    """Return the prompts of a file, or the one of a name.

    Raises:
        ModelValidationError: The file is wrong, or has none of the name.
    """
    from hokusai_nb.core.prompt_files import read_prompt_files  # noqa: PLC0415 - imports the room's MLflow

    found = read_prompt_files([path])
    if found.errors:
        first = found.errors[0]
        what = f"{printable(first.file)}:{first.place}: {first.what}"
        raise _refused(what, first.hint, "file")
    chosen = [prompt for prompt in found.prompts if name in (None, prompt.name)]
    if not chosen:
        there = ", ".join(dict.fromkeys(prompt.name for prompt in found.prompts))
        what = (
            f"{quoted_path(path)} holds no prompt {quoted(name)}." if name else f"{quoted_path(path)} holds no prompt."
        )
        raise _refused(what, f"It holds: {there}." if there else "See hokusai prompt --help.", "name")
    return chosen


def _registered(name: str, version: str | None = None, stage: str | None = None) -> PromptModel:
    """Return a registered version; a stage may stand in the version's place."""
    from hokusai_nb.core.prompts import PromptModel  # noqa: PLC0415 - imports MLflow

    if version in tuple(ModelStage) and stage is None:
        version, stage = None, version
    return PromptModel.load_from_registry(name, version, stage)


@click.command()
@click.argument("what", metavar="NAME|FILE")
@click.argument("first", metavar="[V1]", required=False)
@click.argument("second", metavar="[V2]", required=False)
@name_option
@mlflow_option
@json_option
def diff(
    what: str, first: str | None, second: str | None, name: str | None, mlflow_uri: str | None, as_json: bool
) -> None:
    """Put two versions of a prompt side by side.

    NAME V1 V2 compares two versions, NAME V1 one with the newest, NAME the newest with the one before it. FILE
    compares what a file holds with the newest version, FILE V1 with another; a prompt that is not registered yet is
    all new. V1 and V2 are versions, MLflow's numbers, or dev, staging and production. --json prints an object for
    NAME and a list for FILE.
    """
    point_at(mlflow_uri)
    if _is_file(what):
        if second is not None:
            msg = "A file is compared with one version."
            raise click.UsageError(msg)
        found = [_with_registered(_model(one), first) for one in _in_file(what, name)]
    else:
        found = [_of_versions(what, first, second)]
    if as_json:
        told = [
            {"name": both.second.name, "from": None if new else both.first.version, "to": both.second.version}
            | (dict(both.parts) if not new else _all_added(both))
            for both, new in found
        ]
        click.echo(json.dumps(told if _is_file(what) else told[0], indent=2))
        return
    for both, new in found:
        if new:
            head = f"{both.second.name} {both.second.version} is new: there is no version to compare it with."
            lines = [head, *_all_added(both)["template_diff"]["text_diff"].split("\n")]
            click.echo("\n".join(map(printable, lines)))
        else:
            print_record(both, as_json=False)


def _of_versions(name: str, first: str | None, second: str | None) -> tuple[PromptComparison, bool]:
    newest = _registered(name, second)
    before = _registered(name, first) if first else newest.get_parent_version()
    if before is None:
        msg = f"{name} {newest.version} is the first version: there is none before it."
        raise _refused(msg, "Give two versions.", "first")
    return before.compare_with(newest), False


def _with_registered(new: PromptModel, version: str | None) -> tuple[PromptComparison, bool]:
    """Return a comparison with a registered version, or with nothing where there is none; and which of the two."""
    try:
        return _registered(new.name, version).compare_with(new), False
    except ModelNotFoundError:
        if version is not None:
            raise
        empty = new.record.model_copy(update={"template": "", "metadata": FrozenDict()})
        return compare_prompts(empty, new.record), True


def _all_added(both: PromptComparison) -> dict[str, Any]:
    """Return what differs from nothing at all."""
    lines = both.second.template.split("\n")
    head = ["--- nothing", f"+++ {both.second.version}", f"@@ -0,0 +1,{len(lines)} @@"]
    text = "\n".join([*head, *(f"+{line}" for line in lines)])
    return {**both.parts, "template_diff": {**both["template_diff"], "text_diff": text}, "version_step": None}


def _model(given: FilePrompt) -> PromptModel:
    """Return a file's prompt; one without a version is the next of the registered ones."""
    from hokusai_nb.core.prompts import PromptModel  # noqa: PLC0415 - imports MLflow

    if given.version is None:
        return PromptModel.propose(given.name, given.template, given.bump, given.metadata)
    return PromptModel(given.name, given.template, given.version, metadata=given.metadata)


@click.command()
@click.argument("what", metavar="NAME|FILE")
@click.option("--set", "pairs", metavar="K=V", multiple=True, help="Value of a variable; may be given several times.")
@click.option(
    "--values", type=click.Path(), metavar="FILE", help="JSON file with an object of values; --set goes before it."
)
@click.option("--version", metavar="VERSION", help="Version of NAME; the newest if left out.")
@click.option(
    "--stage", type=click.Choice([stage.value for stage in ModelStage]), help="Stage of NAME, in place of a version."
)
@name_option
@mlflow_option
def render(
    what: str,
    pairs: tuple[str, ...],
    values: str | None,
    version: str | None,
    stage: str | None,
    name: str | None,
    mlflow_uri: str | None,
) -> None:
    """Print a template with values in place, and nothing else.

    What --set gives is text, and what else the variable's field needs where text does not fit it: a number for
    {n:.2f}, a date for {day:%d.%m.}, JSON for {user[name]}. At a terminal, control characters are spelled out; a pipe
    gets the text as it is. A FILE is rendered without the registry.
    """
    given = _values_in(values) if values else {}
    texts, problems = pairs_in(pairs, "--set", "K=V", "set")
    raise_for(problems)
    if not _is_file(what):
        point_at(mlflow_uri)
        found = _registered(what, version, stage)
        text = found.render(**_converted(found.record.parsed, texts, given))
    else:
        if version or stage:
            msg = "--version and --stage choose among registered versions, not in a file."
            raise click.UsageError(msg)
        template = _in_only(what, name)
        text = template.render(_converted(template, texts, given))
    if sys.stdout.isatty():
        text = "\n".join(printable(line) for line in text.split("\n"))
    text = text.encode(errors="backslashreplace").decode()  # half a surrogate pair cannot be written
    click.echo(text, nl=not text.endswith("\n"), color=True)  # else click takes out what looks like a colour


def _in_only(path: str, name: str | None) -> Template:
    """Return the template of the only prompt of a file that has the name."""
    from hokusai_nb.schema.templates import parse_template  # noqa: PLC0415 - the others ask the registry

    found = _in_file(path, name)
    if len(found) > 1:
        named = ", ".join(f"{prompt.name} {prompt.version or ''}".rstrip() for prompt in found)
        msg = f"{quoted_path(path)} holds several prompts: {named}."
        raise _refused(msg, "Choose one with --name.", "name")
    return parse_template(found[0].template)


def _converted(template: Template, texts: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that texts stand for, over those that are values already.

    Raises:
        ModelValidationError: A text does not fit its variable's fields.
    """
    found = render_texts(template, texts)
    if found.problems:
        raise ModelValidationError(list(found.problems.values()))
    return {**given, **texts, **found.values}


def _values_in(path: str) -> dict[str, Any]:
    """Return the values that a JSON file holds.

    Raises:
        ValidationError: It cannot be read, or holds no object.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_VALUES_BYTES + 1)
        found = json.loads(data.decode("utf-8-sig")) if len(data) <= MAX_VALUES_BYTES else None
    except OSError as error:
        what = f"{quoted_path(path)} cannot be read: {error.strerror or error}."
        raise ValidationError([Problem(field="--values", what=what)]) from None
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    what = f"{quoted_path(path)} holds no JSON object of at most {MAX_VALUES_BYTES:,} bytes."
    raise ValidationError([Problem(field="--values", what=what, hint="""Write it like {"name": "Ada"}.""")])


@click.command(name="list")
@click.argument("prefix", required=False, default="")
@mlflow_option
@json_option
def list_prompts(prefix: str, mlflow_uri: str | None, as_json: bool) -> None:
    """List registered prompts with their stages; PREFIX keeps names that begin with it."""
    point_at(mlflow_uri)
    from hokusai_nb.core.prompts import PromptModel  # noqa: PLC0415 - imports MLflow

    found = PromptModel.list(prefix)
    if as_json:  # a list does not ask for what was promoted when, and must not say that it was nothing
        click.echo(found.model_dump_json(indent=2, exclude={"entries": {"__all__": {"history"}}}))
    else:
        print_record(found, as_json=False)


@click.command()
@click.argument("name")
@mlflow_option
@json_option
def lineage(name: str, mlflow_uri: str | None, as_json: bool) -> None:
    """Show the versions of a prompt, what each was made from and its stage."""
    point_at(mlflow_uri)
    print_record(_registered(name).get_lineage(), as_json=as_json)


@click.command()
@click.argument("name")
@mlflow_option
@json_option
def history(name: str, mlflow_uri: str | None, as_json: bool) -> None:
    """Show who promoted which version of a prompt when, from where to where, and why."""
    point_at(mlflow_uri)
    print_record(_registered(name).get_history(), as_json=as_json)
