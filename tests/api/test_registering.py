import pytest

from hokusai_nb.api.registering import check, register
from hokusai_nb.schema.verbs import Register

NAMED = {"name": "churn", "token": "MSG-AI", "metric": "accuracy"}
RUN = {"run": "0a1b2c3d"}


@pytest.mark.parametrize(
    "given",
    [
        RUN,
        {**RUN, "model": "forest"},
        {"model": "runs:/0a1b2c3d/model"},
        {"model": "models:/m-0a1b"},
        {"model": "models:/churn/3"},
        {"model": "models:/churn@production", **RUN},
        {**RUN, "as_json": True, "dry_run": True},
    ],
)
def test_what_is_in_mlflow_can_be_registered_from_afar(given):
    assert check(Register.parse({**NAMED, **given})) == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "run"),
        ({"model": "forest"}, "model"),
        ({"model": "/etc"}, "model"),
        ({"model": "./model", **RUN}, "model"),
        ({"model": "..", **RUN}, None),
        ({"model": "file:///etc"}, "model"),
        ({"model": "FILE:/etc", **RUN}, "model"),
        ({"model": "C:\\model", **RUN}, "model"),
        ({"model": "s3://bucket/model"}, "model"),
        ({"model": "http://169.254.169.254/"}, "model"),
        ({"model": "mlflow-artifacts:/0/model"}, "model"),
        ({"model": " runs:/0a1b2c3d/model"}, "model"),
        ({"input_example": "rows", **RUN}, "input_example"),
        ({"form": True, **RUN}, "form"),
    ],
)
def test_what_only_the_sender_has_is_refused(given, field):
    found = check(Register.parse({**NAMED, **given}))
    assert [p.field for p in found] == ([field] if field else [])


@pytest.mark.slow
@pytest.mark.parametrize("stated", [None, "0x" + "2" * 40])
def test_a_server_credits_nobody_of_its_own_with_its_clients_work(registry, trained, monkeypatch, stated):
    monkeypatch.setenv("HOKUSAI_CONTRIBUTOR", "0x" + "1" * 40)
    given = {**NAMED, "run": trained(accuracy=0.9).run_id}
    verb = Register.parse(given if stated is None else {**given, "contributor": stated})
    assert register(registry, verb, by="ci").contributor == stated
    assert registry.register(Register.parse(given)).contributor == "0x" + "1" * 40
