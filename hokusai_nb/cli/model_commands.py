"""The commands of ``hokusai model`` that show and change what is registered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hokusai_nb.cli.options import takes
from hokusai_nb.cli.places import database_option, json_option, mlflow_option, print_record, token_store
from hokusai_nb.core.token_report import token_report
from hokusai_nb.schema.arguments import pairs_in
from hokusai_nb.schema.problems import raise_for
from hokusai_nb.schema.verbs import Compare, Models, ShowLineage
from hokusai_nb.site.store import statuses_of

if TYPE_CHECKING:
    from hokusai_nb.core.registry import ModelRegistry

__all__ = ["compare", "delete", "lineage", "list_models", "plot", "show", "status", "tag"]


def _registry(mlflow_uri: str | None) -> ModelRegistry:
    from hokusai_nb.core.registry import ModelRegistry  # noqa: PLC0415 - imports MLflow

    return ModelRegistry(mlflow_uri)


@click.command()
@click.option("--token-id", metavar="TOKEN", required=True, help="Token, such as XRAY or MSG-AI.")
@database_option
@json_option
def status(token_id: str, db_config: str | None, as_json: bool) -> None:
    """Show how far the registration of a token got; of one that failed, why."""
    print_record(token_report(token_store(db_config), token_id), as_json=as_json)


@click.command(name="list")
@click.argument("prefix", required=False)
@click.option("--token-id", "token", metavar="TOKEN", help="Only versions of this token.")
@mlflow_option
@database_option
@json_option
def list_models(
    prefix: str | None, token: str | None, mlflow_uri: str | None, db_config: str | None, as_json: bool
) -> None:
    """List registered versions, all or those of one token; PREFIX keeps names that begin with it.

    With --db-config the status of each token stands beside its versions.
    """
    verb = Models.parse({"prefix": prefix, "token": token})
    found = _registry(mlflow_uri).list_models(verb.prefix, verb.token)
    if db_config:
        store = token_store(db_config)
        found = found.with_statuses(statuses_of(store, [m.token_id for m in found if m.token_id]))
    print_record(found, as_json=as_json)


@click.command()
@click.argument("name")
@click.argument("version", required=False)
@mlflow_option
@json_option
def show(name: str, version: str | None, mlflow_uri: str | None, as_json: bool) -> None:
    """Show one version of a model; the newest that carries a token if VERSION is left out."""
    print_record(_registry(mlflow_uri).get_tokenized_model(name, version), as_json=as_json)


@click.command()
@takes(ShowLineage)
@mlflow_option
def lineage(verb: ShowLineage, mlflow_uri: str | None) -> None:
    """Show the versions of a model, what each was made from and how far it got."""
    print_record(_registry(mlflow_uri).get_model_lineage(verb.name), as_json=verb.as_json)


@click.command()
@takes(Compare)
@mlflow_option
def compare(verb: Compare, mlflow_uri: str | None) -> None:
    """Put two versions of a model side by side: tags, metrics and parameters."""
    print_record(_registry(mlflow_uri).compare(verb.name, verb.first, verb.second), as_json=verb.as_json)


@click.command()
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--kind", type=click.Choice(["improvement", "waterfall", "lineage"]), default="improvement", show_default=True
)
@mlflow_option
def plot(name: str, file: Path, kind: str, mlflow_uri: str | None) -> None:
    """Draw a model's lineage into FILE; its ending says how: .png, .svg, .json or .html."""
    _registry(mlflow_uri).get_model_lineage(name).plot(kind).save(file)
    click.echo(str(file))


@click.command()
@click.argument("name")
@click.argument("version")
@click.argument("tags", metavar="KEY=VALUE...", nargs=-1, required=True)
@mlflow_option
@json_option
def tag(name: str, version: str, tags: tuple[str, ...], mlflow_uri: str | None, as_json: bool) -> None:
    """Set tags of a version; the whole set of tags must stay valid."""
    pairs, problems = pairs_in(tags, "A tag", "KEY=VALUE", "tags")
    raise_for(problems)
    print_record(_registry(mlflow_uri).update_model_tags(name, version, pairs), as_json=as_json)


@click.command()
@click.argument("name")
@click.argument("version")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@mlflow_option
def delete(name: str, version: str, yes: bool, mlflow_uri: str | None) -> None:
    """Delete one version; its number is not given out again."""
    if not yes:
        click.confirm(f"Delete version {version} of {name}?", abort=True, err=True)
    _registry(mlflow_uri).delete_model_version(name, version)
    click.echo(f"Deleted {name} version {version}.")
