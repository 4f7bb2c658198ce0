"""The stream: snapshot, deltas, end; gaps, attempts, tokens; who may listen, and for how long."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from tests.support.api import Api, Closed, Person, Socket, serving
from tests.support.talk import Talk

from timeside_api.database import Database
from timeside_api.http.accounts import administration
from timeside_api.models import TaskState
from timeside_core import get_processor, topics
from timeside_core.messages import (
    Progress,
    State,
    decode,
)

pytestmark = pytest.mark.integration


def values(heard: list[Any]) -> list[float]:
    """Of all frames of rows."""
    frames = [decode(topics.PARTIAL, each) for each in heard if isinstance(each, bytes)]
    return [value for frame in frames for value in frame.rows.values.tolist()]


def kinds(heard: list[Any]) -> list[str]:
    return ["rows" if isinstance(each, bytes) else each["op"] for each in heard]


async def test_snapshot_then_rows_then_the_end(api: Api, ada: Person):
    work = await Talk.begin(api, ada)
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        await socket.say(op="subscribe", id="a", task=work.task_id)
        snapshot, ready = await socket.hear(), await socket.hear()
        assert (snapshot["op"], ready["op"], snapshot["id"]) == ("snapshot", "ready", "a")
        assert snapshot["task"]["state"] == "running"
        (result,) = snapshot["results"]
        assert snapshot["runs"][0]["results"] == [result["id"]]
        await work.opened()
        await work.send(topics.PROGRESS, Progress(**work.about, stage="decoder", samples_done=5))
        await work.rows(0, 3)
        heard = await socket.until("token")
        while "rows" not in kinds(heard) or "progress" not in kinds(heard):
            heard += await socket.until("token")
        opened = next(each for each in heard if each["op"] == "opened")
        assert (opened["result"], opened["clock"]["samplerate"]) == (result["id"], 100)
        await work.rows(3, 2)
        await work.closed()
        await work.done()
        heard += await socket.until("end")
        assert values(heard) == [0, 1, 2, 3, 4]
        assert heard[-1]["task"]["state"] == "done"
        assert kinds(heard).index("closed") < kinds(heard).index("end")
        assert "gap" not in kinds(heard)


async def test_who_comes_late_gets_all_rows_that_are_kept(api: Api, ada: Person):
    work = await Talk.begin(api, ada)
    await work.opened()
    await work.rows(0, 3)
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        await socket.say(op="subscribe", id="a", task=work.task_id)
        assert values(await socket.until("token")) == [0, 1, 2]


async def test_a_token_goes_on_where_it_was(api: Api, ada: Person):
    work = await Talk.begin(api, ada)
    await work.opened()
    await work.rows(0, 3)
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        await socket.say(op="subscribe", id="a", task=work.task_id)
        token = (await socket.until("token"))[-1]["token"]
    await work.rows(3, 2)
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        await socket.say(op="subscribe", id="b", task=work.task_id, token=token)
        assert values(await socket.until("token")) == [3, 4]


async def test_what_is_not_kept_is_told_as_a_gap(api: Api, ada: Person):
    work = await Talk.begin(api, ada)
    await work.opened()
    await work.rows(0, 3)
    await work.lose()
    await work.rows(3, 2)
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        await socket.say(op="subscribe", id="a", task=work.task_id)
        heard = await socket.until("token")
        gap = next(each for each in heard if not isinstance(each, bytes) and each["op"] == "gap")
        assert (gap["processor"], gap["output"], gap["first_row"], gap["rows"]) == (0, 0, 0, 3)
        assert values(heard) == [3, 4]


async def test_the_end_of_rows_that_is_not_kept_is_told_too(api: Api, ada: Person):
    work = await Talk.begin(api, ada)
    await work.opened()
    await work.rows(0, 3)
    await work.lose()
    await work.closed()
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        await socket.say(op="subscribe", id="a", task=work.task_id)
        gap = next(each for each in await socket.until("closed") if each["op"] == "gap")
        assert gap["first_row"] is None


async def test_a_new_attempt_begins_again_and_the_old_one_is_silent(api: Api, ada: Person):
    work = await Talk.begin(api, ada)
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        await socket.say(op="subscribe", id="a", task=work.task_id)
        await work.opened()
        await work.rows(0, 3)
        await socket.until("token")
        old = work.run
        work.run = await api.hand_out(work.task_id)
        await work.opened()
        await work.rows(0, 2)
        late = Talk(api, work.task_id, old)
        await late.rows(3, 4)
        await work.rows(2, 2)
        await work.closed()
        heard = await socket.until("closed")
        assert next(each for each in heard if not isinstance(each, bytes) and each["op"] == "run")["attempt"] == 2
        assert values(heard) == [0, 1, 2, 3]


async def test_one_result_of_several(api: Api, ada: Person):
    task_id = await api.task(ada, await api.item(ada), get_processor("rms")(), get_processor("level")())
    work = Talk(api, task_id, await api.hand_out(task_id))
    first, second = await api.results(task_id)
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        for id, result in (("a", first), ("b", second)):
            await socket.say(op="subscribe", id=id, result=result.id)
            await socket.until("ready")
        await work.rows(0, 3)
        await work.send(topics.PROGRESS, State(**work.about, state="running"))
        heard = [each for _ in range(2) for each in await socket.until("state")]
        assert values(heard) == [0, 1, 2]


async def test_a_task_that_is_over_ends_at_once(api: Api, ada: Person):
    work = await Talk.begin(api, ada)
    await api.settle(work.task_id, TaskState.FAILED)
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        await socket.say(op="subscribe", id="a", task=work.task_id)
        assert kinds(await socket.until("end")) == ["snapshot", "ready", "end"]


async def test_who_may_not_see_it_hears_nothing(api: Api, ada: Person):
    work = await Talk.begin(api, await api.person("other"))
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        for subject in ({"task": work.task_id}, {"task": uuid4()}, {"result": work.run.planned[0]}):
            await socket.say(op="subscribe", id="a", **subject)
            answer = await socket.hear()
            assert (answer["op"], answer["code"], answer["id"]) == ("error", "not-found", "a")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": "Basic x"}])
async def test_strangers_are_not_let_in(api: Api, headers: dict[str, str]):
    with pytest.raises(Closed, match="1008"):
        await Socket(api.app, "/v1/stream", headers).__aenter__()


async def test_pages_from_elsewhere_are_not_let_in(api: Api, ada: Person):
    for origin, is_in in [("http://api.example", True), ("http://evil.example", False), ("null", False)]:
        socket = Socket(api.app, "/v1/stream", ada.headers | {"Origin": origin})
        if is_in:
            async with socket:
                pass
        else:
            with pytest.raises(Closed, match="1008"):
                await socket.__aenter__()


async def test_a_ticket_serves_once(api: Api, ada: Person):
    ticket = (await api.client.post("/v1/stream-tickets", headers=ada.headers)).json()["ticket"]
    work = await Talk.begin(api, ada)
    async with Socket(api.app, f"/v1/stream?ticket={ticket}", {}) as socket:
        await socket.say(op="subscribe", id="a", task=work.task_id)
        await socket.until("ready")
    with pytest.raises(Closed, match="1008"):
        await Socket(api.app, f"/v1/stream?ticket={ticket}", {}).__aenter__()


async def test_a_ticket_ends_with_what_it_was_asked_for_with(api: Api, ada: Person):
    ticket = (await api.client.post("/v1/stream-tickets", headers=ada.headers)).json()["ticket"]
    await administration.disable(api.database, "ada")
    with pytest.raises(Closed, match="1008"):
        await Socket(api.app, f"/v1/stream?ticket={ticket}", {}).__aenter__()


async def test_who_is_let_out_is_hung_up_on(database: Database, tmp_path):
    async with serving(database, tmp_path, stream_recheck_s=0.1) as api:
        ada = await api.person("ada")
        work = await Talk.begin(api, ada)
        async with Socket(api.app, "/v1/stream", ada.headers) as socket:
            await socket.say(op="subscribe", id="a", task=work.task_id)
            await socket.until("ready")
            await administration.disable(api.database, "ada")
            with pytest.raises(Closed, match="1008"):
                await socket.hear()


@pytest.mark.parametrize(
    "message",
    [
        {"op": "dance"},
        {"op": "subscribe", "id": "a"},
        {"op": "subscribe", "id": "a", "task": "x"},
        {},
        {"op": "ping", "x": 1},
    ],
)
async def test_who_does_not_speak_the_protocol_is_hung_up_on(api: Api, ada: Person, message: dict[str, Any]):
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        await socket.say(**message)
        with pytest.raises(Closed, match="1008"):
            await socket.hear()


async def test_who_says_or_hears_nothing_is_hung_up_on(database: Database, tmp_path):
    async with serving(database, tmp_path, stream_first_s=0.1, stream_send_s=0.2) as api:
        ada = await api.person("ada")
        async with Socket(api.app, "/v1/stream", ada.headers) as socket:
            with pytest.raises(Closed, match="1008"):
                await socket.hear()
        work = await Talk.begin(api, ada)
        async with Socket(api.app, "/v1/stream", ada.headers) as socket:
            await socket.say(op="subscribe", id="a", task=work.task_id)
            for number in range(50):
                await work.rows(number, 1)
            await asyncio.sleep(0.5)
            with pytest.raises(Closed, match="1013"):
                await socket.until("end")


async def test_streams_and_subscriptions_are_bounded(database: Database, tmp_path):
    async with serving(database, tmp_path, connections=1, subscriptions=1) as api:
        ada = await api.person("ada")
        work = await Talk.begin(api, ada)
        async with Socket(api.app, "/v1/stream", ada.headers) as socket:
            with pytest.raises(Closed, match="1013"):
                await Socket(api.app, "/v1/stream", ada.headers).__aenter__()
            await socket.say(op="subscribe", id="a", task=work.task_id)
            await socket.until("ready")
            for id, code in (("a", "id"), ("b", "too-many")):
                await socket.say(op="subscribe", id=id, task=work.task_id)
                assert (await socket.hear())["code"] == code
            await socket.say(op="unsubscribe", id="a")
            await socket.say(op="subscribe", id="b", task=work.task_id)
            assert (await socket.hear())["id"] == "b"
            await socket.say(op="ping")
            assert (await socket.until("pong"))[-1]["op"] == "pong"
        async with Socket(api.app, "/v1/stream", ada.headers):
            pass
