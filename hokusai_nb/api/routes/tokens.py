"""Tokens: created, shown, and moved along their life."""

# ruff: noqa: TC001 - FastAPI reads these annotations when a route is made

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Query, Request

from hokusai_nb.api import telling
from hokusai_nb.api.auth import ADMIN, READ, REGISTER, caller
from hokusai_nb.api.bodies import Change, HistoryPage, Lease
from hokusai_nb.api.examples import CHANGES, LEASES, TOKENS
from hokusai_nb.api.idempotency import ApiRoute, idempotency_key
from hokusai_nb.api.parsing import Cursor, Limit, TokenPath
from hokusai_nb.api.paths import V1
from hokusai_nb.api.services import Asked
from hokusai_nb.schema.lifecycle import NewToken, Status, Token, TokenPage

__all__ = ["router"]

router = APIRouter(prefix=f"{V1}/tokens", tags=["tokens"], route_class=ApiRoute)


@router.post(
    "",
    operation_id="createToken",
    summary="Create a token in draft",
    dependencies=[ADMIN, Depends(idempotency_key)],
    status_code=HTTPStatus.CREATED,
)
def create(token: Annotated[NewToken, Body(openapi_examples=TOKENS)], request: Request, services: Asked) -> Token:
    """Create a token in draft."""
    return services.store.create(token, by=caller(request).name)


@router.get("", operation_id="listTokens", summary="List tokens", dependencies=[READ])
def list_tokens(
    request: Request,
    services: Asked,
    status: Annotated[Status | None, Query(description="Only tokens in it.")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> TokenPage:
    """List tokens by id; who holds them is shown to keys that may register."""
    page = services.store.list_tokens(status, cursor=cursor, limit=limit)
    entries = tuple(telling.seen_by(token, caller(request)) for token in page.entries)
    return page.model_copy(update={"entries": entries})


@router.get("/{token_id}", operation_id="getToken", summary="Show a token", dependencies=[READ])
def show(token_id: TokenPath, request: Request, services: Asked) -> Token:
    """Show a token, and to a key that may register, who holds it while it is being registered."""
    return telling.seen_by(services.store.get(token_id), caller(request))


@router.get("/{token_id}/history", operation_id="getTokenHistory", summary="Show its steps", dependencies=[READ])
def history(token_id: TokenPath, services: Asked) -> HistoryPage:
    """Show every step that a token has taken, oldest first."""
    return HistoryPage(entries=services.store.history(token_id))


@router.post(
    "/{token_id}/changes",
    operation_id="changeToken",
    summary="Take a step",
    dependencies=[REGISTER, Depends(idempotency_key)],
)
def change(
    token_id: TokenPath,
    change: Annotated[Change, Body(openapi_examples=CHANGES)],
    request: Request,
    services: Asked,
) -> Token:
    """Take one step of a token's life, with its history and its events, or none of it.

    The history names the API key, whatever `by` says. To deploy a token or to put it into the archive
    needs the scope `admin`.
    """
    key = caller(request)
    step = change.made_by(key.name)
    telling.check_step(step, key)
    return services.store.change(token_id, step)


@router.put(
    "/{token_id}/lease",
    operation_id="renewLease",
    summary="Hold a token for longer",
    dependencies=[REGISTER],
    status_code=HTTPStatus.NO_CONTENT,
)
def renew(token_id: TokenPath, lease: Annotated[Lease, Body(openapi_examples=LEASES)], services: Asked) -> None:
    """Hold a token for longer; only the registration that holds it can."""
    services.store.renew(token_id, owner=lease.owner, lease_seconds=lease.lease_seconds)
