import pytest

from hokusai_nb.api.paths import OPEN_PATHS


@pytest.fixture
def described(tokens_api):
    return tokens_api.ask("GET", "/openapi.json", key=None).json()


def operations(described):
    return [
        (path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_operation_has_a_stable_id_a_tag_and_words_of_its_own(described):
    found = operations(described)
    ids = [operation["operationId"] for *_, operation in found]
    assert sorted(ids) == sorted(set(ids))
    assert {"registerModel", "listModels", "changeToken", "publishEvent", "reportRegistration"} <= set(ids)
    tags = {tag["name"] for tag in described["tags"]}
    for _, _, operation in found:
        assert set(operation["tags"]) <= tags
        assert operation["summary"]
        assert operation["description"]


def test_every_operation_says_how_it_refuses(described):
    for path, method, operation in operations(described):
        refusals = {s: a for s, a in operation["responses"].items() if not s.startswith("2")}
        assert {"400", "422", "503", "default"} <= set(refusals), (path, method)
        for answer in refusals.values():
            schema = answer["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ProblemDocument"}
    assert {"what", "hint", "error", "problems"} <= set(
        described["components"]["schemas"]["ProblemDocument"]["properties"]
    )
    assert "HTTPValidationError" not in described["components"]["schemas"]


def test_every_operation_but_the_open_ones_needs_a_key(described):
    for path, method, operation in operations(described):
        wanted = [] if path in OPEN_PATHS else [{"bearer": []}, {"header": []}]
        assert operation["security"] == wanted, (path, method)
        assert ("401" in operation["responses"]) is bool(wanted)


def test_every_body_has_an_example_that_the_server_would_read(described):
    from pydantic import TypeAdapter

    from hokusai_nb.api import bodies
    from hokusai_nb.schema import events, lifecycle, verbs

    models = {**vars(bodies), **vars(lifecycle), **vars(events), **vars(verbs)}
    seen = set()
    for path, method, operation in operations(described):
        if "requestBody" not in operation:
            continue
        content = operation["requestBody"]["content"]["application/json"]
        name = content["schema"]["$ref"].rpartition("/")[2].removesuffix("-Input")
        for example in content["examples"].values():
            TypeAdapter(models[name]).validate_python(example["value"])
        seen.add((method, path))
    assert len(seen) == 7


def test_every_post_takes_an_idempotency_key(described):
    for path, method, operation in operations(described):
        names = [p["name"] for p in operation.get("parameters", [])]
        assert ("Idempotency-Key" in names) is (method == "post"), (path, method)


def test_what_a_field_may_be_is_said_in_the_description(described):
    schemas = described["components"]["schemas"]
    register = schemas["Register"]["properties"]
    assert register["token"]["pattern"]
    assert register["tags"]["default"] == {}
    assert schemas["Register"]["additionalProperties"] is False
    (named,) = [p for p in described["paths"]["/api/v1/models/{name}"]["get"]["parameters"] if p["in"] == "path"]
    assert named["schema"]["maxLength"] == 256
