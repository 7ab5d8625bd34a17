"""Errors below MLflow's mount, in a form that MLflow's clients understand."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import Response

from hokusai_nb.api.problems import problem_response
from hokusai_nb.errors import RegistryError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from hokusai_nb.errors import HokusaiError

__all__ = ["refusal", "refuse"]

_STATUS = ((ValidationError, HTTPStatus.BAD_REQUEST), (RegistryError, HTTPStatus.BAD_GATEWAY))
"""What MLflow's clients expect for a tag that is refused, and for a server behind that fails."""
_CODES = {
    HTTPStatus.BAD_REQUEST: "INVALID_PARAMETER_VALUE",
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.NOT_FOUND: "ENDPOINT_NOT_FOUND",
    HTTPStatus.TOO_MANY_REQUESTS: "REQUEST_LIMIT_EXCEEDED",
    HTTPStatus.BAD_GATEWAY: "TEMPORARILY_UNAVAILABLE",
}


def refusal(
    error: HokusaiError,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    request_id: str | None = None,
) -> Response:
    """Return an error as a problem document that MLflow's clients understand as well.

    Args:
        error: What failed.
        status: HTTP status, where the error's class alone does not decide it.
        headers: Further headers.
        request_id: What the log knows the request by.
    """
    made = problem_response(error, status=status, headers=headers, request_id=request_id)
    code = _CODES.get(HTTPStatus(made.status_code), "INTERNAL_ERROR")
    document = {**json.loads(bytes(made.body)), "error_code": code}
    document["message"] = document["detail"]
    kept = {k: v for k, v in made.headers.items() if k.lower() not in ("content-length", "content-type")}
    return Response(json.dumps(document).encode(), made.status_code, kept, made.media_type)


async def refuse(error: HokusaiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with an error."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), None)
    request_id = scope.get("state", {}).get("request_id")
    await refusal(error, status=status, request_id=request_id)(scope, receive, send)
