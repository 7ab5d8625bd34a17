"""Errors below MLflow's mount, in a form that MLflow's clients understand."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import Response

from hokusai_nb.api.problems import problem_response
from hokusai_nb.errors import RegistryError, ValidationError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from hokusai_nb.errors import HokusaiError

__all__ = ["for_mlflow", "refuse"]

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


def for_mlflow(problem: Response) -> Response:
    """Return a problem document so that MLflow's clients understand it as well."""
    code = _CODES.get(HTTPStatus(problem.status_code), "INTERNAL_ERROR")
    document = {**json.loads(bytes(problem.body)), "error_code": code}
    document["message"] = document["detail"]
    kept = {k: v for k, v in problem.headers.items() if k.lower() not in ("content-length", "content-type")}
    return Response(json.dumps(document).encode(), problem.status_code, kept, problem.media_type)


async def refuse(error: HokusaiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with an error."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), None)
    request_id = scope.get("state", {}).get("request_id")
    await for_mlflow(problem_response(error, status=status, request_id=request_id))(scope, receive, send)
