"""What clients were promised: the published OpenAPI document is that of the app, and changes that break it are seen."""

import copy
import json
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from tests.support.breaking import PUBLISHED, Comparison, present, text

OPERATIONS = ("get", "head", "put", "post", "patch", "delete", "options")


@pytest.fixture(scope="module")
def now() -> dict[str, Any]:
    return present()


def test_the_published_document_is_that_of_the_app(now: dict[str, Any]):
    assert PUBLISHED.read_text("utf-8") == text(now), "run `make openapi`: it tells whether clients would break"


def test_nothing_breaks_where_nothing_has_changed(now: dict[str, Any]):
    assert Comparison(now, copy.deepcopy(now)).breaking() == []


def test_what_is_added_breaks_nobody(now: dict[str, Any]):
    wider = copy.deepcopy(now)
    wider["paths"]["/v1/new"] = {"get": now["paths"]["/v1/items"]["get"]}
    item = wider["components"]["schemas"]["ItemOut"]
    item["properties"]["loved_by"] = {"type": "string"}
    assert Comparison(now, wider).breaking() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda new: new["paths"].pop("/v1/items/{item_id}"), "GET /v1/items/{item_id} is gone"),
        (lambda new: new["paths"]["/v1/items"]["get"].update(operationId="all"), "operation items_list is now all"),
        (lambda new: new["paths"]["/v1/items"]["post"]["responses"].pop("201"), "status 201 is gone"),
        (lambda new: _parameter(new, "limit", required=True), "parameter limit must be given now"),
        (lambda new: _fields(new, "NewItem").pop("title"), "body: title is gone"),
        (lambda new: _fields(new, "ItemOut").pop("title"), "title is gone"),
        (lambda new: _fields(new, "ItemOut")["id"].update(type="integer"), "id: is integer, was string"),
        (lambda new: _require(new, "NewItem", "artist"), "body: artist must be sent now"),
        (lambda new: new["components"]["schemas"]["TaskState"]["enum"].remove("done"), "done is not taken any more"),
    ],
)
def test_what_breaks_clients_is_named(now: dict[str, Any], change: Any, said: str):
    changed = json.loads(json.dumps(now))
    change(changed)
    assert any(said in each for each in Comparison(now, changed).breaking())


def test_every_operation_is_described(now: dict[str, Any]):
    operations = [operation for path in now["paths"].values() for name, operation in path.items() if name in OPERATIONS]
    names = [each["operationId"] for each in operations]
    assert len(set(names)) == len(names)
    for each in operations:
        assert each["summary"].strip(), each["operationId"]
        assert {"401", "422", "429", "500", "503"} <= each["responses"].keys(), each["operationId"]


def test_operations_that_speak_json_have_examples_that_their_schemas_allow(now: dict[str, Any]):
    for operation in _all_operations(now):
        examples = [(where, content) for where, content in _bodies(operation) if "example" in content]
        assert examples or not _bodies(operation), f"{operation['operationId']}: `make openapi` records one"
        for where, content in examples:
            validator = OAS31Validator({**content["schema"], "components": now["components"]})
            wrong = [each.message for each in validator.iter_errors(content["example"])]
            assert wrong == [], f"{operation['operationId']}, {where}"


def test_no_two_schemas_have_the_same_name(now: dict[str, Any]):
    assert not [name for name in now["components"]["schemas"] if "__" in name]


def _all_operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for name, operation in path.items() if name in OPERATIONS]


def _bodies(operation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Contents of JSON that are sent, or answered to what went well; none of those that answer with files."""
    well = {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
    parts = {"request": operation.get("requestBody", {}), **well}
    contents = [(where, part["content"]) for where, part in parts.items() if part.get("content")]
    if any(content.keys() != {"application/json"} for _, content in contents):
        return []
    return [(where, content["application/json"]) for where, content in contents]


def _fields(document: dict[str, Any], schema: str) -> dict[str, Any]:
    return document["components"]["schemas"][schema]["properties"]


def _require(document: dict[str, Any], schema: str, field: str) -> None:
    document["components"]["schemas"][schema].setdefault("required", []).append(field)


def _parameter(document: dict[str, Any], name: str, **facts: Any) -> None:
    parameters = document["paths"]["/v1/items"]["get"]["parameters"]
    next(each for each in parameters if each["name"] == name).update(facts)
