"""Tasks: what may be asked, what comes of it, once for each key; giving up and asking again."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update
from tests.support.api import Api, Person

from timeside_api.models import Result, ResultState, Run, RunState, Task
from timeside_core import get_processor

pytestmark = pytest.mark.integration


async def ask(api: Api, who: Person, item_id: object, *processors: Any, **more: Any):
    headers = who.headers | more.pop("headers", {})
    asked = [{"processor": each} if isinstance(each, str) else each for each in processors]
    return await api.client.post(
        "/v1/tasks", json={"item_id": str(item_id), "processors": asked, **more}, headers=headers
    )


async def test_a_task_asks_for_results_in_order(api: Api, ada: Person):
    item_id = await api.item(ada)
    answer = await ask(api, ada, item_id, "mfcc", {"processor": "spectral_centroid", "parameters": {}}, "level")
    assert answer.status_code == 202
    task = answer.json()
    assert [each["processor"] for each in task["result_list"]] == ["mfcc", "spectral_centroid", "level"]
    assert (task["state"], task["results"], task["done"]) == ("running", 3, 0)
    assert (await api.client.get(answer.headers["Location"], headers=ada.headers)).json() == task
    (run,) = (await api.client.get(f"{answer.headers['Location']}/runs", headers=ada.headers)).json()["items"]
    assert run["state"] == "queued"


async def test_what_is_there_is_not_computed_again(api: Api, ada: Person):
    other = await api.person("other")
    first = (await ask(api, ada, await api.item(ada), "mfcc", "level")).json()
    second = (await ask(api, other, await api.item(other), "level", "mfcc")).json()
    assert second["id"] != first["id"]
    assert [each["id"] for each in second["result_list"]] == [each["id"] for each in first["result_list"]][::-1]
    async with api.database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Run)) == 1


@pytest.mark.parametrize(
    ("asked", "pointer", "rule"),
    [
        ({"processor": "mfc"}, "/processors/1/processor", "did you mean mfcc"),
        ({"processor": "file_decoder"}, "/processors/1/processor", "none that can be asked for"),
        ({"processor": "mono"}, "/processors/1/processor", "none that can be asked for"),
        ({"processor": "mfcc", "parameters": {"n_mfcc": 0}}, "/processors/1/parameters", "greater than"),
        ({"processor": "mfcc", "parameters": {"x": 1}}, "/processors/1/parameters/x", "is no parameter of mfcc"),
        ({"processor": "wav_encoder", "parameters": {"output": "/etc/x"}}, "/processors/1/parameters/output", "is no"),
        ({"processor": "../x"}, "/processors/1/processor", "pattern"),
        ({"processor": "mfcc", "also": 1}, "/processors/1/also", "not permitted"),
    ],
)
async def test_mistakes_are_named(api: Api, ada: Person, asked: dict[str, Any], pointer: str, rule: str):
    answer = await ask(api, ada, uuid4(), "level", asked)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert rule in error["detail"]


async def test_an_item_without_media_or_of_somebody_else_cannot_be_analysed(api: Api, ada: Person):
    bare = (await api.client.post("/v1/items", json={}, headers=ada.headers)).json()["id"]
    answer = await ask(api, ada, bare, "level")
    assert (answer.status_code, answer.json()["code"]) == (409, "no-media")
    assert (await ask(api, ada, await api.item(await api.person("other")), "level")).status_code == 404


async def test_a_key_makes_one_task(api: Api, ada: Person):
    item_id, key = await api.item(ada), {"Idempotency-Key": "once"}
    first = (await ask(api, ada, item_id, "level", headers=key)).json()
    again = (await ask(api, ada, item_id, "level", headers=key)).json()
    assert again["id"] == first["id"]
    other = await ask(api, ada, item_id, "mfcc", headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-key-reused")
    others = await api.person("other")
    assert (await ask(api, others, await api.item(others), "level", headers=key)).json()["id"] != first["id"]
    async with api.database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Task)) == 2


async def test_cancel_and_retry(api: Api, ada: Person):
    path = f"/v1/tasks/{(await ask(api, ada, await api.item(ada), 'level')).json()['id']}"
    cancelled = (await api.client.post(f"{path}:cancel", headers=ada.headers)).json()
    assert cancelled["state"] == "cancelled"
    assert (await api.client.post(f"{path}:cancel", headers=ada.headers)).json() == cancelled
    (run,) = (await api.client.get(f"{path}/runs", headers=ada.headers)).json()["items"]
    assert run["state"] == "cancelled"
    retried = (await api.client.post(f"{path}:retry", headers=ada.headers)).json()
    assert (retried["retried"], retried["task"]["state"]) == (1, "running")
    assert (await api.client.post(f"{path}:retry", headers=ada.headers)).json()["retried"] == 0


async def test_lists_by_state(api: Api, ada: Person):
    item_id = await api.item(ada)
    running, given_up = [(await ask(api, ada, item_id, each)).json()["id"] for each in ("level", "mfcc")]
    await api.client.post(f"/v1/tasks/{given_up}:cancel", headers=ada.headers)
    for state, expected in (("running", [running]), ("cancelled", [given_up]), ("failed", [])):
        found = await api.client.get("/v1/tasks", params={"state": state}, headers=ada.headers)
        assert [each["id"] for each in found.json()["items"]] == expected


async def test_why_a_result_failed_is_told(api: Api, ada: Person):
    task_id = await api.task(ada, await api.item(ada), get_processor("level")())
    async with api.database.transaction() as session:
        failed = {"state": ResultState.FAILED, "code": "media", "reason": "is damaged"}
        await session.execute(update(Result).values(**failed))
        await session.execute(update(Run).values(state=RunState.FAILED, causes=["attempt 1: it broke"]))
    task = (await api.client.get(f"/v1/tasks/{task_id}", headers=ada.headers)).json()
    (result,) = task["result_list"]
    assert (result["code"], result["reason"]) == ("media", "is damaged")
    answer = await api.client.get(f"/v1/results/{result['id']}/data/max", headers=ada.headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "failed")
    assert "is damaged" in answer.json()["detail"]
    assert UUID(result["id"])


async def test_processors_tell_their_parameters_and_outputs(api: Api, ada: Person):
    mfcc = (await api.client.get("/v1/processors/mfcc", headers=ada.headers)).json()
    assert mfcc["kind"] == "analyzer"
    assert "n_mfcc" in mfcc["parameters"]["properties"]
    assert [each["name"] for each in mfcc["outputs"]] == ["result"]
    listed = (await api.client.get("/v1/processors", headers=ada.headers)).json()["items"]
    assert mfcc in listed
    assert {"effect", "analyzer", "grapher", "encoder"} == {each["kind"] for each in listed}
    for id in ("nothing", "mono", "file_decoder"):
        assert (await api.client.get(f"/v1/processors/{id}", headers=ada.headers)).status_code == 404
