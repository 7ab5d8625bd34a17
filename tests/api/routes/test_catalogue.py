def test_the_catalogue_says_direction_and_range(tokens_api):
    entries = tokens_api.ask("GET", "/api/v1/metrics", key="read").json()["entries"]
    found = {m["name"]: m for m in entries}
    assert found["rmse"] == {
        "name": "rmse",
        "direction": "min",
        "lower": "0",
        "upper": None,
        "family": "regression",
        "aliases": [],
    }
    assert found["auroc"]["aliases"] == ["auc", "roc_auc"]
