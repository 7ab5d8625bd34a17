"""Tokens in whatever status a test needs, brought there by the steps that lead there."""

from __future__ import annotations

from hokusai_nb.schema.lifecycle import NewToken, RegistrationFacts, Status, TokenChange

FACTS = RegistrationFacts(
    mlflow_run_id="run-1",
    model_name="hokusai-xray",
    version="3",
    metric_name="auroc",
    metric_value="0.85",
    baseline_value="0.82",
    improvement="0.03",
)
"""A registration that reached its baseline."""
FACT_FIELDS = FACTS.model_dump(exclude_defaults=True)
"""The same as a body carries it."""
WAYS = {
    Status.DRAFT: (),
    Status.REGISTERING: (Status.REGISTERING,),
    Status.REGISTERED: (Status.REGISTERING, Status.REGISTERED),
    Status.DEPLOYED: (Status.REGISTERING, Status.REGISTERED, Status.DEPLOYED),
    Status.FAILED: (Status.REGISTERING, Status.FAILED),
    Status.ARCHIVED: (Status.ARCHIVED,),
}


def create_token(store, token_id, status=Status.DRAFT, *, lease_seconds=60.0):
    """Create a token and lead it to a status; return it."""
    token = store.create(NewToken(token_id=token_id), by="test")
    for step in WAYS[Status(status)]:
        more = {
            Status.REGISTERING: {"owner": "one", "lease_seconds": lease_seconds},
            Status.REGISTERED: {"owner": "one", "facts": FACTS},
            Status.FAILED: {"owner": "one"},
        }
        token = store.change(token_id, TokenChange(to=step, by="test", **more.get(step, {})))
    return token
