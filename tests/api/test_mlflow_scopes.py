from __future__ import annotations

from collections import defaultdict

import pytest

from hokusai_nb.api.mlflow_scopes import scope_needed
from tests.api.mlflow_routes import endpoints

READ_BY_POST = """
_batch_get_trace_infos _calculate_trace_filter_correlation _create_presigned_download_url _get_latest_versions
_query_trace_metrics _search_evaluation_datasets_handler _search_experiments _search_issues _search_logged_models
_search_prompt_optimization_jobs _search_runs _search_traces_v3 serve_search_datasets
"""
MORE_THAN_READ_BY_GET = """
_get_webhook _graphql _list_webhooks _not_implemented get_config get_job get_providers list_models
list_provider_models provider_health_check serve_gateway_proxy stream_response
"""
REGISTER = """
_abort_multipart_upload_artifact _add_dataset_to_experiments_handler _add_items_to_review_queue
_complete_multipart_upload_artifact _create_assessment _create_dataset_handler _create_experiment _create_issue
_create_label_schema _create_logged_model _create_model_version _create_multipart_upload_artifact
_create_presigned_upload_url _create_registered_model _create_review_queue _create_run _delete_assessment
_delete_dataset_tag_handler _delete_experiment_tag _delete_logged_model_tag _delete_model_version_tag
_delete_registered_model_alias _delete_registered_model_tag _delete_tag _delete_trace_tag _delete_trace_tag_v3
_deprecated_end_trace_v2 _deprecated_start_trace_v2 _finalize_logged_model _get_or_create_user_queue _graphql
_link_prompts_to_trace _link_traces_to_run _log_batch _log_inputs _log_logged_model_params _log_metric _log_model
_log_outputs _log_param _register_scorer _remove_dataset_from_experiments_handler _remove_items_from_review_queue
_rename_registered_model _restore_experiment _restore_run _set_dataset_tags_handler _set_experiment_tag
_set_logged_model_tags _set_model_version_tag _set_registered_model_alias _set_registered_model_tag
_set_review_queue_item_status _set_tag _set_trace_tag _set_trace_tag_v3 _start_trace_v3 _transition_stage
_update_assessment _update_experiment _update_issue _update_label_schema _update_model_version
_update_registered_model _update_review_queue _update_run _upload_artifact _upsert_dataset_records_handler
_upsert_online_scoring_config export_traces serve_create_promptlab_run serve_upload_artifact upload_artifact
"""
READING = ("GET", "HEAD", "OPTIONS")
BY_NAME = ("x1", "search", "delete", "delete-tag", "alias", "tags", "get-latest-versions", "a b\n")


@pytest.fixture(scope="module")
def handlers():
    """Handlers of MLflow by the scope that they need and whether they are asked by GET."""
    found = defaultdict(set)
    for endpoint in endpoints():
        if endpoint.method not in ("HEAD", "OPTIONS"):
            scope = scope_needed(endpoint.method, endpoint.filled())
            found[scope, endpoint.method == "GET"].add(endpoint.handler)
    return found


def test_of_all_routes_of_mlflow_only_these_write_with_the_scope_register(handlers):
    assert handlers["register", False] == set(REGISTER.split())


def test_of_all_that_is_not_asked_by_get_only_these_read(handlers):
    assert handlers["read", False] == set(READ_BY_POST.split())


def test_of_all_that_is_asked_by_get_only_these_need_more_than_read(handlers):
    assert handlers["register", True] | handlers["admin", True] == set(MORE_THAN_READ_BY_GET.split())


def test_whatever_deletes_models_experiments_or_runs_needs_admin(handlers):
    deleting = {"_delete_registered_model", "_delete_experiment", "_delete_run", "_delete_model_version"}
    deleting |= {"_delete_logged_model", "_delete_artifact_mlflow_artifacts", "_delete_traces"}
    secrets = {"_create_webhook", "_update_webhook", "_delete_webhook", "_test_webhook"}
    secrets |= {"_create_gateway_secret", "_update_gateway_secret", "_delete_gateway_secret"}
    assert deleting | secrets <= handlers["admin", False]
    assert not (deleting | secrets) & (handlers["register", False] | handlers["read", False])


@pytest.mark.parametrize("name", BY_NAME)
def test_no_name_of_a_thing_makes_a_route_need_less(name):
    order = ("read", "register", "admin")
    for endpoint in endpoints():
        usual, odd = (scope_needed(endpoint.method, endpoint.filled(fill)) for fill in ("x1", name))
        assert order.index(odd) >= order.index(usual), (endpoint, odd, usual)


def test_asking_what_there_is_takes_read_wherever_getting_it_does():
    for endpoint in endpoints():
        path = endpoint.filled()
        assert {scope_needed(method, path) for method in READING} == {scope_needed("GET", path)}


@pytest.mark.parametrize(
    "path",
    [
        *("", "//", "/..", "/../health", "/api/2.0/mlflow/../mlflow/runs/get", "/api/2.0/mlflow/runs/./get"),
        *("//api/2.0/mlflow/runs/get", "/api/2.0//mlflow/runs/get", "/api/2.0/mlflow/runs/get/", "/api/2.0/mlflow"),
        *("/API/2.0/mlflow/runs/get", "/api/2.1/mlflow/runs/get", "/api/2.0/mlflow/users/get", "/api/2.0/preview"),
        *("/static-files/../../etc/passwd", "/static-files", "/healthy", "/get-artifact/x", "/metrics", "/signup"),
        *("/ajax-api/3.0/mlflow/assistant/config", "/ajax-api/3.0/jobs/1", "/gateway/mlflow/v1/models"),
        "/api/2.0/mlflow-artifacts/artifacts/../secrets",
    ],
)
def test_what_is_not_known_needs_admin(path):
    assert {scope_needed(method, path) for method in (*READING, "POST", "DELETE")} == {"admin"}


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "get", "WEBSOCKET", ""])
def test_so_does_any_other_method(method):
    for path in ("/", "/graphql", "/v1/traces", "/api/2.0/mlflow/runs/get", "/api/2.0/mlflow-artifacts/artifacts/a"):
        assert scope_needed(method, path) == "admin"
