"""Events: listed, written and sent again."""

# ruff: noqa: TC001 - FastAPI reads these annotations when a route is made

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response

from hokusai_nb.api import telling
from hokusai_nb.api.auth import ADMIN, READ, REGISTER, caller
from hokusai_nb.api.bodies import PublishedEvent, Publishing
from hokusai_nb.api.examples import EVENTS
from hokusai_nb.api.idempotency import ApiRoute, idempotency_key, made
from hokusai_nb.api.parsing import Cursor, EventId, Limit, State, TokenQuery
from hokusai_nb.api.paths import V1
from hokusai_nb.api.services import Asked
from hokusai_nb.schema.events import EventPage, EventRecord

__all__ = ["router"]

router = APIRouter(prefix=f"{V1}/events", tags=["events"], route_class=ApiRoute)
_WRITTEN = made(PublishedEvent, "The event was written.")


@router.get("", operation_id="listEvents", summary="List events", dependencies=[READ])
def list_events(
    services: Asked,
    token_id: TokenQuery = None,
    state: State = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> EventPage:
    """List events, newest first, each with what became of its deliveries."""
    return services.store.list_events(token_id, state=state, cursor=cursor, limit=limit)


@router.post(
    "",
    operation_id="publishEvent",
    summary="Write an event",
    dependencies=[REGISTER, Depends(idempotency_key)],
    response_description="An event with this key was there before.",
    responses=_WRITTEN,
)
def publish(
    publishing: Annotated[Publishing, Body(openapi_examples=EVENTS)],
    request: Request,
    response: Response,
    services: Asked,
) -> PublishedEvent:
    """Write an event that goes with no change of status; one with the same key is written once.

    Without the scope `admin` it is `metric_improved`, with the fields of that event, for a token that is there.
    """
    telling.check(services.store, publishing.event, caller(request))
    published = services.store.publish(publishing.event, key=telling.key_of(publishing))
    if published:
        response.status_code = HTTPStatus.CREATED
    return PublishedEvent(published=published)


@router.post(
    "/{event_id}/retry",
    operation_id="retryEvent",
    summary="Send an event again",
    dependencies=[ADMIN, Depends(idempotency_key)],
)
def retry(event_id: EventId, services: Asked) -> EventRecord:
    """Begin anew with the deliveries of an event that were given up."""
    return services.retry(event_id)
