"""Examples of bodies, as the OpenAPI description shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi.openapi.models import Example

__all__ = ["CHANGES", "EVENTS", "LEASES", "REGISTRATIONS", "REGISTRATION_EVENTS", "TAGS", "TOKENS"]

_RUN = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_OWNER = "host-1:4711:a1b2"

REGISTRATIONS: dict[str, Example] = {
    "run": {
        "summary": "The only model of a run, with the run's own metric",
        "value": {"name": "churn", "token": "MSG-AI", "metric": "accuracy", "run": _RUN},
    },
    "model": {
        "summary": "A model by its URI, with a value and tags",
        "value": {
            "name": "churn",
            "token": "MSG-AI",
            "metric": "accuracy",
            "value": "0.9134",
            "model": "models:/churn/1",
            "tags": {"dataset_version": "2026-01"},
        },
    },
}
TOKENS: dict[str, Example] = {
    "token": {"summary": "A token in draft", "value": {"token_id": "MSG-AI", "metadata": {"owner": "growth"}}}
}
CHANGES: dict[str, Example] = {
    "hold": {
        "summary": "Begin a registration",
        "value": {"to": "registering", "owner": _OWNER, "lease_seconds": 60},
    },
    "registered": {
        "summary": "End it with what was made",
        "value": {
            "to": "registered",
            "owner": _OWNER,
            "facts": {
                "mlflow_run_id": _RUN,
                "model_name": "hokusai-msg-ai",
                "version": "1",
                "metric_name": "accuracy",
                "metric_value": "0.9134",
                "baseline_value": "0.90",
                "improvement": "0.0134",
            },
        },
    },
    "deploy": {"summary": "Deploy", "value": {"to": "deployed", "reason": "Reviewed."}},
}
LEASES: dict[str, Example] = {"minute": {"summary": "A minute more", "value": {"owner": _OWNER, "lease_seconds": 60}}}
TAGS: dict[str, Example] = {"tag": {"summary": "One tag", "value": {"tags": {"dataset_version": "2026-01"}}}}
EVENTS: dict[str, Example] = {
    "improved": {
        "summary": "A version that is better than every one before it",
        "value": {
            "event": {
                "event_id": "7d0f4c3a-1e2b-4a5c-8d6e-9f0a1b2c3d4e",
                "event_type": "metric_improved",
                "payload": {
                    "token_id": "MSG-AI",
                    "model_name": "churn",
                    "version": "3",
                    "mlflow_run_id": _RUN,
                    "metric_name": "accuracy",
                    "metric_value": 0.9134,
                    "previous_version": "2",
                    "previous_value": 0.9,
                    "contributor_address": None,
                    "timestamp": "2026-01-02T03:04:05Z",
                },
            },
            "key": "improved:churn:3",
        },
    },
    "deltaone": {
        "summary": "An improvement of a point; needs the scope admin",
        "value": {
            "event": {
                "event_id": "3f2b1c9e-5d0e-4c38-9f43-0b1a6f0a7c11",
                "event_type": "deltaone_achieved",
                "source": "hokusai-ml-platform",
                "timestamp": "2026-01-02T03:04:05Z",
                "payload": {"token_id": "MSG-AI", "delta_value": 1.5},
            },
            "key": "deltaone:MSG-AI:7",
        },
    },
}
REGISTRATION_EVENTS: dict[str, Example] = {
    "event": {
        "summary": "A registration made by another client",
        "value": {
            "model_name": "churn",
            "version": "3",
            "token_id": "MSG-AI",
            "proposal_identifier": "proposal-17",
            "metric_name": "accuracy",
            "baseline_value": "0.90",
            "mlflow_run_id": _RUN,
            "model_uri": f"runs:/{_RUN}/model",
            "tags": {},
        },
    }
}
