"""The commands of ``hokusai prompt`` that check files and change what is registered."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, get_args

import click

from hokusai_nb.cli.groups import exit_code
from hokusai_nb.cli.options import options_of, takes
from hokusai_nb.cli.places import json_option, mlflow_option, print_record
from hokusai_nb.cli.prompt_reports import as_github, as_json_text, as_text, passed_over, summary
from hokusai_nb.cli.spelling import as_options
from hokusai_nb.cli.targets import point_at, say_where
from hokusai_nb.config import called_from_kernel
from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.display import plain_table, printable
from hokusai_nb.schema.problems import Problem
from hokusai_nb.schema.prompt_verbs import Further, Promote, Rollback
from hokusai_nb.schema.prompts import ModelStage
from hokusai_nb.schema.versioning import Bump

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hokusai_nb.core.prompt_batches import PromptResult
    from hokusai_nb.core.prompt_files import PromptFiles
    from hokusai_nb.core.prompt_plan import PlannedPrompt

__all__ = ["promote", "register", "rollback", "validate"]

WRONG = 2
"""Exit code where files are wrong, as for any invalid value."""

# What is wrong with a path is told by whoever reads it, with the others.
paths_argument = click.argument("paths", metavar="PATHS...", nargs=-1, required=True, type=click.Path())
skip_option = click.option("--skip-others", is_flag=True, help="Pass over named files that hold no prompt.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


@click.command()
@paths_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="github writes annotations for a workflow.",
)
@skip_option
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
def validate(paths: tuple[str, ...], form: str, skip_others: bool, strict: bool) -> None:
    """Check the prompts in files and folders; nothing is contacted.

    PATHS are files and folders. Of a folder, files that have nothing of a prompt are passed over and named on stderr;
    that no file of it has one is an error, unless --skip-others is given. What is wrong is printed as
    file:line:column: message, of a notebook as file:cell N:line:column: message. `hokusai prompt --help` says how
    files are written.
    """
    found = _read(paths, skip_others=skip_others)
    if form == "json":
        click.echo(as_json_text(found))
    elif found.problems:
        click.echo(as_text(found.problems) if form == "text" else as_github(found.problems))
    click.echo(summary(found), err=True)
    if found.errors or (strict and found.warnings):
        sys.exit(WRONG)


def _read(paths: Sequence[str], *, skip_others: bool) -> PromptFiles:
    from hokusai_nb.core.prompt_files import read_prompt_files  # noqa: PLC0415 - imports the room's MLflow

    return read_prompt_files(paths, lenient=skip_others)


@click.command()
@paths_argument
@click.option(
    "--stage",
    type=click.Choice([ModelStage.DEV.value, ModelStage.STAGING.value]),
    default=ModelStage.DEV.value,
    show_default=True,
    help="With staging, the last version of each prompt is promoted there, unless it was promoted before.",
)
@click.option(
    "--bump",
    type=click.Choice(get_args(Bump)),
    help="Step of prompts that say neither version nor bump; the smallest that the change warrants if left out.",
)
@click.option("--allow-breaking", is_flag=True, help="Accept a version that says less than the change means.")
@click.option("--dry-run", is_flag=True, help="Check everything, also against the registry; register nothing.")
@skip_option
@yes_option
@mlflow_option
@json_option
def register(
    paths: tuple[str, ...],
    stage: str,
    bump: Bump | None,
    allow_breaking: bool,
    dry_run: bool,
    skip_others: bool,
    yes: bool,
    mlflow_uri: str | None,
    as_json: bool,
) -> None:
    """Register the prompts in files and folders.

    All of them are checked first, each by itself and against the registry; if any is refused, nothing is
    registered. What is registered already with the same content is no change. At a terminal you are asked before
    anything is written, unless --yes is given; where there is none, nobody is asked.
    """
    found = _read(paths, skip_others=skip_others)
    click.echo(as_text(found.problems), err=True) if found.problems else None
    if found.errors:
        click.echo(f"{summary(found)}\nNothing was registered.", err=True)
        sys.exit(WRONG)
    click.echo(passed_over(found), err=True) if found.passed_over else None
    point_at(mlflow_uri)
    say_where(mlflow_uri)
    from hokusai_nb.core.prompt_plan import carry_out, plan_registration  # noqa: PLC0415 - imports MLflow

    planned = plan_registration(found.prompts, bump=bump, allow_breaking=allow_breaking, stage=ModelStage(stage))
    changes = [one for one in planned if one.to_staging or not one.known]
    if not any(one.error for one in planned) and changes and not dry_run:
        if sys.stdin.isatty() and not yes and not called_from_kernel():
            click.echo(_table(planned), err=True)
            counted = "1 change" if len(changes) == 1 else f"{len(changes)} changes"
            _ask(f"Carry out {counted}?")
        progress = sys.stderr.isatty() and not as_json and not called_from_kernel()
        planned = carry_out(planned, allow_breaking=allow_breaking, progress=progress)
    click.echo(json.dumps([_told(one) for one in planned], indent=2) if as_json else _table(planned))
    _end(planned)


def _end(planned: Sequence[PlannedPrompt]) -> None:
    """Print what was refused or failed on stderr, with its place in the files, and end with the exit code for it."""
    errors = [(one, one.error) for one in planned if one.error]
    for one, error in errors:
        problems = error.problems if isinstance(error, ValidationError) else ()
        told = [one.given.entry.told(problem) for problem in problems if isinstance(problem, Problem)]
        told = told or [one.given.entry.told(Problem(field="", what=error.what, hint=error.hint))]
        click.echo(as_options(as_text(told)), err=True)
    if errors:
        if not any(one.done for one in planned):
            click.echo("Nothing was registered.", err=True)
        sys.exit(exit_code(errors[0][1]))


def _told(one: PlannedPrompt) -> dict[str, Any]:
    error = one.error
    return {
        "file": one.given.file,
        **one.given.place._asdict(),
        "name": one.record.name,
        "version": _version(one),
        "before": one.before,
        "state": one.state,
        "stage": _stage(one),
        "mlflow_version": one.record.mlflow_version,
        "error": error.what if error else None,
        "hint": as_options(error.hint) if error else None,
    }


def _version(one: PlannedPrompt) -> str | None:
    """Return the version; None where a step was refused before there was one."""
    return None if one.error and one.given.version is None else one.record.version


def _stage(one: PlannedPrompt) -> str:
    return ModelStage.STAGING.value if one.to_staging and not one.error else one.record.stage.value


def _table(planned: Sequence[PlannedPrompt]) -> str:
    rows = [
        (one.record.name, _version(one) or "–", one.before or "–", one.state, _stage(one), one.given.file)
        for one in planned
    ]
    return plain_table(rows, ("Prompt", "Version", "After", "State", "Stage", "File")) if rows else "No prompts."


@click.command()
@click.argument("names", metavar="[NAMES]...", nargs=-1)
@click.option("--to", type=click.Choice(get_args(Further)), required=True, help="Stage to promote them to.")
@options_of(Promote, "why")
@click.option("--prefix", default="", metavar="TEXT", help="Without NAMES: only names that begin with this.")
@click.option(
    "--require",
    multiple=True,
    metavar="GATE",
    help="Metric gate that each has to pass, such as 'engagement_rate > 0.06'; may be given several times.",
)
@yes_option
@mlflow_option
@options_of(Promote, "as_json")
def promote(
    names: tuple[str, ...],
    to: str,
    why: str | None,
    prefix: str,
    require: tuple[str, ...],
    yes: bool,
    mlflow_uri: str | None,
    as_json: bool,
) -> None:
    """Promote prompts by one stage.

    Each of NAMES is a prompt, or NAME@VERSION; without a version it is to staging the newest, to production the one
    in staging. What has come as far already stays where it is.
    Without NAMES all that can be promoted is, after a question; give --yes where nobody can answer it.
    """
    if names and prefix:
        what = "--prefix chooses among all prompts; it does not go with names."
        raise click.UsageError(what)
    point_at(mlflow_uri)
    say_where(mlflow_uri)
    from hokusai_nb.core.prompt_batches import promote_prompts  # noqa: PLC0415 - imports MLflow

    items = [_item(name) for name in names] if names else _all_that_can(to, prefix, yes=yes)
    progress = sys.stderr.isatty() and not as_json and not called_from_kernel()
    results = promote_prompts(items, to, why=why or "", require=require, progress=progress)
    told = [_moved(item, result) for item, result in zip(items, results, strict=True)]
    if as_json:
        click.echo(json.dumps(told, indent=2))
    elif told:
        rows = [(one["name"], one["version"] or "–", one["stage"] or "–", one["state"]) for one in told]
        click.echo(plain_table(rows, ("Prompt", "Version", "Stage", "State")))
    else:
        click.echo(f"Nothing can be promoted to {to}.")
    errors = [result.error for result in results if result.error]
    for error in errors:
        lines = [f"Error: {error.what}", *as_options(error.hint).splitlines()]
        click.echo("\n  ".join(map(printable, lines)), err=True)
    if errors:
        sys.exit(exit_code(errors[0]))


def _ask(question: str) -> None:
    """Go on if the answer is yes.

    Raises:
        Abort: It is no.
        UsageError: There is none.
    """
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        msg = "Nobody answered, and nothing was changed. Give --yes where nobody can be asked."
        raise click.UsageError(msg) from None
    if not agreed:
        raise click.Abort


def _item(name: str) -> str | tuple[str, str]:
    name, at, version = name.partition("@")
    return (name, version) if at else name


def _all_that_can(to: str, prefix: str, *, yes: bool) -> list[tuple[str, str]]:
    from hokusai_nb.core.prompt_plan import promotable  # noqa: PLC0415 - imports MLflow

    found = promotable(ModelStage(to), prefix)
    if found and not yes:
        rows = [(name, version, holder or "–") for name, version, holder in found]
        click.echo(plain_table(rows, ("Prompt", "Version", f"In {to} now")), err=True)
        _ask(f"Promote {len(found)} to {to}?")
    return [(name, version) for name, version, _ in found]


def _moved(item: str | tuple[str, str], result: PromptResult) -> dict[str, Any]:
    asked = (item, None) if isinstance(item, str) else item
    done, error = result.prompt, result.error
    return {
        "name": asked[0],
        "version": done.version if done else asked[1],
        "stage": done.stage.value if done else None,
        "state": "failed" if error else "promoted" if result.moved else "unchanged",
        "error": error.what if error else None,
        "hint": as_options(error.hint) if error else None,
    }


@click.command()
@takes(Rollback)
@mlflow_option
def rollback(verb: Rollback, mlflow_uri: str | None) -> None:
    """Take the version of a prompt out of a stage, and put the one before it back."""
    point_at(mlflow_uri)
    say_where(mlflow_uri)
    from hokusai_nb.core.prompts import PromptModel  # noqa: PLC0415 - imports MLflow
    from hokusai_nb.core.registry import ModelRegistry  # noqa: PLC0415 - imports MLflow

    PromptModel.load_from_registry(verb.name, refresh=True)  # a model's name is none of a prompt
    moved = ModelRegistry(mlflow_uri).rollback(verb.name, verb.to, verb.why, stage=verb.stage)
    print_record(moved, as_json=verb.as_json)
