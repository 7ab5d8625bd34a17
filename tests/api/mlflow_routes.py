"""All routes of MLflow's server, as it lists them itself."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Endpoint:
    method: str
    rule: str
    handler: str

    def filled(self, value="x1"):
        """The path, with the value in place of each parameter."""
        return re.sub(r"<[^>]+>|\{[^}]+\}", value, self.rule)


@cache
def endpoints():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.server import app as flask
        from mlflow.server.fastapi_app import app as fastapi
    found = [
        Endpoint(method, rule.rule, rule.endpoint) for rule in flask.url_map.iter_rules() for method in rule.methods
    ]
    for included in fastapi.router.routes:
        if router := getattr(included, "original_router", None):
            found += [
                Endpoint(method, f"{included.include_context.prefix}{route.path}", route.name)
                for route in router.routes
                for method in route.methods
            ]
    assert len(found) > 700, "MLflow lists its routes in another way"
    return tuple(dict.fromkeys(found))
