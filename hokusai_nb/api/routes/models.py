"""Models: registered, listed, compared and corrected."""

# ruff: noqa: TC001 - FastAPI reads these annotations when a route is made

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response

from hokusai_nb.api import registering, reporting
from hokusai_nb.api.auth import ADMIN, READ, REGISTER, caller
from hokusai_nb.api.bodies import ModelPage, Reported, Reporting, TagChange
from hokusai_nb.api.examples import REGISTRATION_EVENTS, REGISTRATIONS, TAGS
from hokusai_nb.api.idempotency import ApiRoute, idempotency_key, made
from hokusai_nb.api.paging import cursor_of, place_of
from hokusai_nb.api.parsing import Cursor, Limit, ModelPath, Prefix, TokenQuery, VersionPath, VersionQuery
from hokusai_nb.api.paths import V1
from hokusai_nb.api.services import Asked
from hokusai_nb.backends.mlflow import pages, versions
from hokusai_nb.schema.records import Comparison, Lineage, RegisteredModel
from hokusai_nb.schema.verbs import Register

__all__ = ["events_router", "router"]

router = APIRouter(prefix=f"{V1}/models", tags=["models"], route_class=ApiRoute)
events_router = APIRouter(prefix="/api/models", tags=["models"], route_class=ApiRoute)
_MADE = made(RegisteredModel, "A version was made.")
_TOLD = made(Reported, "The event was written.")


@router.post(
    "",
    operation_id="registerModel",
    summary="Register a model under a token",
    dependencies=[REGISTER, Depends(idempotency_key)],
    response_description="The same registration had been made before, or it was a dry run.",
    responses=_MADE,
)
def register(
    verb: Annotated[Register, Body(openapi_examples=REGISTRATIONS)],
    request: Request,
    response: Response,
    services: Asked,
) -> RegisteredModel:
    """Make a version of what a run holds, or of a logged model; the same registration again is the same version.

    A server sees no variables, no current run and none of the sender's files: name a run, or a model
    as `runs:/RUN/PATH` or `models:/…`.
    """
    made = registering.register(services.registry, verb, by=caller(request).name)
    if made.created and not made.dry_run:
        response.status_code = HTTPStatus.CREATED
    return made


@router.get("", operation_id="listModels", summary="List versions that carry a token", dependencies=[READ])
def list_models(
    services: Asked,
    prefix: Prefix = None,
    token: TokenQuery = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> ModelPage:
    """List versions by name and version, without their aliases."""
    found, end = pages.page(services.registry.backend, prefix=prefix, token=token, after=place_of(cursor), limit=limit)
    return ModelPage(entries=tuple(found), next_cursor=cursor_of(end))


@router.get("/{name}", operation_id="getLatestVersion", summary="Show the newest version", dependencies=[READ])
def latest(name: ModelPath, services: Asked) -> RegisteredModel:
    """Show the newest version of a model, whoever made it."""
    return services.registry.get_latest_model_version(name)


@router.get("/{name}/lineage", operation_id="getLineage", summary="Show all versions", dependencies=[READ])
def lineage(name: ModelPath, services: Asked) -> Lineage:
    """Show the versions of a model, what each was made from and how far it got."""
    return services.registry.get_model_lineage(name)


@router.get("/{name}/compare", operation_id="compareVersions", summary="Compare two versions", dependencies=[READ])
def compare(name: ModelPath, first: VersionQuery, second: VersionQuery, services: Asked) -> Comparison:
    """Put two versions side by side: tags, metrics, parameters and the improvement."""
    return services.registry.compare(name, first, second)


@router.get("/{name}/versions/{version}", operation_id="getVersion", summary="Show a version", dependencies=[READ])
def version(name: ModelPath, version: VersionPath, services: Asked) -> RegisteredModel:
    """Show one version with its aliases."""
    return versions.get(services.registry.backend, name, version)


@router.patch("/{name}/versions/{version}/tags", operation_id="setTags", summary="Set tags", dependencies=[REGISTER])
def set_tags(
    name: ModelPath,
    version: VersionPath,
    change: Annotated[TagChange, Body(openapi_examples=TAGS)],
    services: Asked,
) -> RegisteredModel:
    """Set tags of a version; the whole set must stay valid, and the others stay as they are."""
    return services.registry.update_model_tags(name, version, change.tags)


@router.delete(
    "/{name}/versions/{version}",
    operation_id="deleteVersion",
    summary="Delete a version",
    dependencies=[ADMIN],
    status_code=HTTPStatus.NO_CONTENT,
)
def delete(name: ModelPath, version: VersionPath, services: Asked) -> None:
    """Delete one version; its number is not given out again."""
    services.registry.delete_model_version(name, version)


@events_router.post(
    "/tokenized-registration-events",
    operation_id="reportRegistration",
    summary="Report a registration made elsewhere",
    dependencies=[REGISTER, Depends(idempotency_key)],
    response_description="The registration had been reported before.",
    responses=_TOLD,
)
def report(
    event: Annotated[Reporting, Body(openapi_examples=REGISTRATION_EVENTS)],
    response: Response,
    services: Asked,
) -> Reported:
    """Write the event `model_registered` for a version that is in the registry, once.

    What is reported must be what the version says: its token, metric, run, tags and the baseline that it is
    tagged with, and in `model_uri` its run, its logged model or a version of the same source. What the version
    says nothing of is believed: a baseline or a tag that it does not carry, an address of another kind, and
    `api_schema`. `proposal_identifier` is not read. The token's status stays as it is: whoever registers for a
    token of the site changes it by a change of its own.
    """
    told = reporting.report(services, event)
    if told.published:
        response.status_code = HTTPStatus.CREATED
    return told
