"""Tasks about many items: what they come to, bit by bit, whatever dies or is cancelled meanwhile; estimates."""

import asyncio
import hashlib
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select, text, update
from tests.support.api import Api, Person, serving

from timeside_api import extensions
from timeside_api.collections import Extension, ExtensionMedia
from timeside_api.database import Database
from timeside_api.models import Item, Media, Result, ResultState, Run, RunState, Task
from timeside_api.settings import RunSettings
from timeside_core.ids import uuid7

pytestmark = pytest.mark.integration

SETTINGS = RunSettings(extended=3, extended_at_once=2)


@pytest.fixture
async def idle(database: Database, tmp_path, monkeypatch):
    """An app that extends tasks only when told to."""
    monkeypatch.setattr("timeside_api.http.tasks.extending.EVERY_S", 3600.0)
    async with serving(database, tmp_path) as api:
        await asyncio.sleep(0.2)
        yield api


async def fill(api: Api, who: Person, count: int, **said: Any) -> list[UUID]:
    """Items of ten audio seconds each; every third has the media of the one before it, the last one none."""
    hashes = [hashlib.sha256(str(number - (number % 3 == 2)).encode()).hexdigest() for number in range(count)]
    rows = [
        {"id": uuid7(), "owner_id": who.id, "media_sha256": sha256, "title": str(number), **said}
        for number, sha256 in enumerate(hashes)
    ]
    rows[-1]["media_sha256"] = None
    async with api.database.transaction() as session:
        facts = {"size": 1, "samplerate": 44_100, "samples": 441_000, "channels": 2}
        await session.execute(insert(Media), [{"sha256": each, **facts} for each in sorted(set(hashes[:-1]))])
        await session.execute(insert(Item), rows)
    return [row["id"] for row in rows]


async def ask(api: Api, who: Person, status: int = 202, headers: Any = None, **body: Any) -> Any:
    if not {"experience_id", "preset_ids", "processors"} & body.keys():
        body["processors"] = [{"processor": "level"}, {"processor": "mfcc"}]
    answer = await api.client.post("/v1/tasks", json=body, headers=who.headers | (headers or {}))
    assert answer.status_code == status, answer.text
    return answer.json()


async def count(api: Api, table: Any) -> int:
    async with api.database.transaction() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def get(api: Api, who: Person, path: str, **query: Any) -> Any:
    return (await api.client.get(f"/v1{path}", params=query, headers=who.headers)).json()


async def test_all_that_a_filter_finds_is_asked_of_bit_by_bit(idle: Api, ada: Person):
    await fill(idle, ada, 31, tags=["x"])  # of 30 with media, 20 different ones
    task = await ask(idle, ada, filter={"tags": ["x"]})
    assert (task["items"], task["skipped"], task["lane"], task["result_list"]) == (31, 1, "bulk", [])
    assert (task["ahead"], task["results"], task["state"]) == (10, 20, "running")
    while await extensions.extend_next(idle.database, SETTINGS):
        task = await get(idle, ada, f"/tasks/{task['id']}")
        assert task["results"] + 2 * task["ahead"] == 40
    assert (task["ahead"], await count(idle, Extension), await count(idle, ExtensionMedia)) == (0, 0, 0)
    assert (await count(idle, Run), await count(idle, Result)) == (20, 40)
    runs = await get(idle, ada, f"/tasks/{task['id']}/runs", state="queued", limit=15, count=True)
    assert (len(runs["items"]), runs["count"], runs["next_cursor"] is not None) == (15, 20, True)
    assert (await get(idle, ada, f"/tasks/{task['id']}/runs", state="done"))["items"] == []
    assert (await get(idle, ada, f"/tasks/{task['id']}/results", state="pending", count=True))["count"] == 40


async def test_a_task_is_not_settled_before_it_has_asked_of_all(idle: Api, ada: Person):
    await fill(idle, ada, 31)
    task = await ask(idle, ada, filter={})

    async def settle() -> None:
        from timeside_api.runs import Ledger

        async with idle.database.transaction() as session:
            ledger = Ledger(session, SETTINGS)
            for run in await ledger.lock(await session.scalars(select(Run.id).where(Run.state == RunState.QUEUED))):
                ledger.fail_all(run, "media", "is damaged")
            await ledger.close()

    await settle()
    assert (await get(idle, ada, f"/tasks/{task['id']}"))["state"] == "running"
    while await extensions.extend_next(idle.database, SETTINGS):
        pass
    await settle()
    task = await get(idle, ada, f"/tasks/{task['id']}")
    assert (task["state"], task["failed"], task["ahead"]) == ("failed", 40, 0)
    retried = (await idle.client.post(f"/v1/tasks/{task['id']}:retry", headers=ada.headers)).json()
    assert (retried["retried"], retried["task"]["failed"]) == (40, 0)


async def test_who_dies_half_way_leaves_the_task_as_it_was(idle: Api, ada: Person):
    await fill(idle, ada, 31)
    task = await ask(idle, ada, filter={})

    async def die_half_way() -> None:
        async with idle.database.transaction() as session:
            extension = await session.get_one(Extension, task["id"])
            await extensions._extend(session, extension, 5)  # pyright: ignore
            raise RuntimeError("died")

    with pytest.raises(RuntimeError, match="died"):
        await die_half_way()
    assert await get(idle, ada, f"/tasks/{task['id']}") == task
    workers = [run_out(idle.database) for _ in range(3)]
    assert sum(await asyncio.gather(*workers)) == 4
    assert (await get(idle, ada, f"/tasks/{task['id']}"))["results"] == 40


async def run_out(database: Database) -> int:
    """Extend until nothing is left for us; how often."""
    times = 0
    while await extensions.extend_next(database, SETTINGS):
        times += 1
    return times


async def test_one_that_is_cancelled_asks_for_no_more(idle: Api, ada: Person):
    await fill(idle, ada, 31)
    task = await ask(idle, ada, filter={})
    async with idle.database.transaction() as session:
        extension = await session.scalar(select(Extension).with_for_update())
        assert extension is not None
        cancelling = asyncio.create_task(idle.client.post(f"/v1/tasks/{task['id']}:cancel", headers=ada.headers))
        await asyncio.sleep(0.2)
        assert not cancelling.done()
        await extensions._extend(session, extension, 5)  # pyright: ignore
    cancelled = (await cancelling).json()
    assert (cancelled["state"], cancelled["ahead"], cancelled["results"]) == ("cancelled", 0, 30)
    assert not await extensions.extend_next(idle.database, SETTINGS)
    async with idle.database.transaction() as session:
        assert set(await session.scalars(select(Run.state))) == {RunState.CANCELLED}


async def test_the_platform_extends_by_itself_and_an_empty_task_is_done(api: Api, ada: Person):
    assert (await ask(api, ada, filter={}))["state"] == "done"
    await fill(api, ada, 61)
    task = await ask(api, ada, filter={})
    async with asyncio.timeout(30):
        while task["ahead"]:
            await asyncio.sleep(0.1)
            task = await get(api, ada, f"/tasks/{task['id']}")
    assert task["results"] == 80


async def test_an_estimate_tells_what_is_there_and_makes_nothing(api: Api, ada: Person):
    items = await fill(api, ada, 10, tags=["x"])  # of 9 with media, 6 different ones
    await ask(api, ada, item_id=str(items[0]), processors=[{"processor": "level"}])
    await ask(api, ada, item_id=str(items[3]))
    async with api.database.transaction() as session:
        of = select(Item.media_sha256).where(Item.id == items[3]).scalar_subquery()
        await session.execute(update(Result).where(Result.media_sha256 == of).values(state=ResultState.DONE))
    before = [await count(api, table) for table in (Task, Run, Result)]
    found = await ask(api, ada, 200, filter={"tags": ["x"]}, dry_run=True)
    assert found == {
        **{"items": 10, "skipped": 1, "media": 6, "results": 12},
        **{"reused": 2, "joined": 1, "new": 9, "runs": 5, "audio_s": 50.0},
    }
    assert [await count(api, table) for table in (Task, Run, Result)] == before
    one = await ask(api, ada, 200, item_id=str(items[3]), dry_run=True)
    assert (one["reused"], one["runs"], one["audio_s"]) == (2, 0, 0.0)


async def test_selections_experiences_and_presets_say_what_of_what(api: Api, ada: Person):
    items = await fill(api, ada, 4)

    async def make(path: str, **said: Any) -> str:
        return (await api.client.post(f"/v1{path}", json=said, headers=ada.headers)).json()["id"]

    selection = await make("/selections")
    body = {"items": [str(items[0]), str(items[1])]}
    await api.client.post(f"/v1/selections/{selection}/members:add", json=body, headers=ada.headers)
    presets = [await make("/presets", processor=each) for each in ("level", "mfcc")]
    experience = await make("/experiences", steps=[{"preset_id": each} for each in presets])
    first = await ask(api, ada, selection_id=selection, experience_id=experience, lane="interactive")
    assert (first["items"], first["results"], first["selection_id"]) == (2, 4, selection)
    assert (first["experience_id"], first["lane"]) == (experience, "interactive")
    second = await ask(api, ada, selection_id=selection, preset_ids=presets[::-1])
    assert (second["results"], await count(api, Result)) == (4, 4)
    listed = await get(api, ada, "/tasks", selection_id=selection)
    assert [each["id"] for each in listed["items"]] == [second["id"], first["id"]]
    other = await api.person("other")
    for said in ({"selection_id": selection}, {"item_id": str(items[0])}):
        await ask(api, other, 404, **said)
    for said in ({"experience_id": experience}, {"preset_ids": presets}):
        await ask(api, other, 404, filter={}, **said)
    for said in ({}, {"item_id": str(items[0]), "filter": {}}, {"filter": {}, "processors": [], "preset_ids": presets}):
        await ask(api, ada, 422, **said)


async def test_a_key_makes_one_task_about_many(idle: Api, ada: Person):
    await fill(idle, ada, 31)
    key = {"Idempotency-Key": "once"}
    first = await ask(idle, ada, filter={}, headers=key)
    assert (await ask(idle, ada, filter={}, headers=key))["id"] == first["id"]
    await ask(idle, ada, 409, filter={"tags": ["x"]}, headers=key)
    await run_out(idle.database)
    again = await ask(idle, ada, filter={}, headers=key)
    assert (again["id"], again["results"], await count(idle, Extension)) == (first["id"], 40, 0)


async def test_two_thousand_who_ask_the_same_at_once_have_it_computed_once(database: Database, tmp_path):
    async with serving(database, tmp_path, requests_per_s=100_000, requests_burst=100_000) as api:
        ada = await api.person("ada")
        item_id = str(await api.item(ada))
        async with database.transaction() as session:
            await session.execute(
                text(
                    "INSERT INTO holding (owner_id, max_open_tasks) VALUES (:id, 10000)"
                    " ON CONFLICT (owner_id) DO UPDATE SET max_open_tasks = 10000"
                ),
                {"id": ada.id},
            )
        gate = asyncio.Semaphore(32)

        async def one() -> str:
            async with gate:
                return (await ask(api, ada, item_id=item_id))["result_list"][0]["id"]

        found = await asyncio.gather(*(one() for _ in range(2000)))
        assert len(set(found)) == 1
        assert (await count(api, Task), await count(api, Run), await count(api, Result)) == (2000, 1, 2)
