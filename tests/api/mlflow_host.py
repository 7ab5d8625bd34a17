"""A server with MLflow below ``/api/mlflow`` and a guard that knows three keys: ``read``, ``register``, ``admin``.

python -m tests.api.mlflow_host PORT mounted STORE_URI ARTIFACTS
python -m tests.api.mlflow_host PORT proxied URI
"""

from __future__ import annotations

import contextlib
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from hokusai_nb.api import mlflow_mount
from hokusai_nb.api.mlflow_refusals import for_mlflow
from hokusai_nb.api.problems import Refusal, problem_response

SCOPES = ("read", "register", "admin")


async def authorize(scope):
    given = dict(scope["headers"]).get(b"authorization", b"").decode()
    key = given.removeprefix("Bearer ")
    if key not in SCOPES:
        return for_mlflow(problem_response(Refusal(401, "There is no such key.")))
    needed = mlflow_mount.scope_needed(scope.get("method", "WEBSOCKET"), mlflow_mount.below(scope))
    if SCOPES.index(key) < SCOPES.index(needed):
        return for_mlflow(problem_response(Refusal(403, f"The key has no scope {needed}.")))
    return None


def application(kind, *places):
    def confirm(token):
        return token == "XRAY"

    made = getattr(mlflow_mount, kind)(*places, confirm=confirm)

    @contextlib.asynccontextmanager
    async def lifespan(_):
        yield
        if isinstance(made, mlflow_mount.Proxied):
            await made.aclose()

    async def list_files(request):
        import mlflow
        from starlette.responses import JSONResponse

        found = mlflow.MlflowClient().list_artifacts(request.query_params["run"])
        return JSONResponse([file.path for file in found])

    return Starlette(
        routes=[Route("/files", list_files), Mount("/api/mlflow", mlflow_mount.Guard(made, authorize))],
        lifespan=lifespan,
    )


if __name__ == "__main__":
    port, *rest = sys.argv[1:]
    uvicorn.run(application(*rest), host="127.0.0.1", port=int(port), log_level="warning", access_log=False)
