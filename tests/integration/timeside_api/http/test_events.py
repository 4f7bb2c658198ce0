"""Events: all that was committed, once, in order, to whom it concerns; also live, and after a while away."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, update
from tests.support.api import Api, Person
from tests.support.sse import Events

from timeside_api import events
from timeside_api.database import Database
from timeside_api.models import Owner
from timeside_core import get_processor
from timeside_core.ids import uuid7

pytestmark = pytest.mark.integration


async def heard(api: Api, who: Person, **query: Any) -> list[dict[str, Any]]:
    response = await api.client.get("/v1/events", params=query, headers=who.headers)
    assert response.status_code == 200, response.text
    return response.json()["items"]


async def test_what_happens_to_an_item_and_its_task(api: Api, ada: Person):
    made = (await api.client.post("/v1/items", json={"title": "t"}, headers=ada.headers)).json()
    path = f"/v1/items/{made['id']}"
    await api.client.patch(path, json={"title": "u"}, headers=ada.headers)
    await api.client.delete(path, headers=ada.headers)
    task_id = await api.task(ada, await api.item(ada), get_processor("rms")())
    await api.client.post(f"/v1/tasks/{task_id}:cancel", headers=ada.headers)
    found = await heard(api, ada)
    assert [each["kind"] for each in found] == [
        "item.created",
        "item.changed",
        "item.removed",
        "task.created",
        "task.cancelled",
        "result.settled",
    ]
    assert {each["subject_id"] for each in found[:3]} == {made["id"]}
    assert [each["actor_id"] for each in found[:3]] == [str(ada.id)] * 3
    assert await heard(api, await api.person("eve")) == []
    assert [each["kind"] for each in await heard(api, ada, kind="item.removed")] == ["item.removed"]
    assert len(await heard(api, ada, kind="item.")) == 3


async def test_what_was_refused_has_not_happened(api: Api, ada: Person):
    response = await api.client.post("/v1/items", json={"title": 5}, headers=ada.headers)
    assert response.status_code == 422
    async with api.database.transaction() as session:
        events.note(session, "item.created", owner_id=ada.id, subject_id=uuid7())
        await session.rollback()
        session.info.clear()
    assert await heard(api, ada) == []


async def test_members_of_a_project_hear_of_it(api: Api, ada: Person):
    bob = await api.person("bob")
    project = (await api.client.post("/v1/projects", json={"name": "p"}, headers=ada.headers)).json()
    member = f"/v1/projects/{project['id']}/members/bob"
    await api.client.put(member, json={"level": "viewer"}, headers=ada.headers)
    assert [each["kind"] for each in await heard(api, bob)] == ["project.created", "member.put"]
    await api.client.delete(member, headers=ada.headers)
    assert await heard(api, bob) == []


async def test_who_follows_hears_what_is_committed_and_goes_on_where_it_was(api: Api, ada: Person):
    async def make() -> str:
        return (await api.client.post("/v1/items", json={}, headers=ada.headers)).json()["id"]

    async with Events(api.app, "/v1/events/stream", ada.headers) as stream:
        first = await make()
        event = await stream.hear()
        assert event is not None
        assert (event.name, event.data["subject_id"]) == ("item.created", first)
    missed = [await make() for _ in range(3)]
    async with Events(api.app, "/v1/events/stream", ada.headers, last_id=event.id) as stream:
        found = [await stream.hear() for _ in missed]
        assert [each.data["subject_id"] for each in found if each] == missed


async def test_a_ticket_opens_the_stream_of_events_once(api: Api, ada: Person):
    ticket = (await api.client.post("/v1/stream-tickets", headers=ada.headers)).json()["ticket"]
    path = f"/v1/events/stream?ticket={ticket}"
    async with Events(api.app, path, {}) as stream:
        assert stream.status == 200
    async with Events(api.app, path, {}) as stream:
        assert stream.status == 401
    other = (await api.client.post("/v1/stream-tickets", headers=ada.headers)).json()["ticket"]
    assert (await api.client.get(f"/v1/items?ticket={other}")).status_code == 401


async def test_events_that_are_not_kept_are_said_to_be_gone(api: Api, ada: Person):
    for _ in range(3):
        await api.client.post("/v1/items", json={}, headers=ada.headers)
    first, *others = await heard(api, ada)
    async with api.database.transaction() as session:
        old = update(events.Event).where(events.Event.id <= others[0]["id"])
        await session.execute(old.values(created_at=datetime(2020, 1, 1, tzinfo=UTC)))
        await events.forget(session, 1)
    gone = await api.client.get("/v1/events", params={"after": first["id"]}, headers=ada.headers)
    assert (gone.status_code, gone.json()["code"]) == (410, "gone")
    assert await heard(api, ada, after=others[0]["id"]) == others[1:]
    assert await heard(api, ada) == others[1:]


async def test_who_reads_on_from_the_last_number_misses_nothing_of_many_at_once(database: Database):
    """Transactions of uneven length note events while a reader follows: it must have seen all, in the end."""
    owner_id = uuid7()
    async with database.transaction() as session:
        session.add(Owner(id=owner_id))
    wrote: list[Any] = []

    async def write(number: int) -> None:
        subject_id = uuid7()
        async with database.transaction() as session:
            events.note(session, "test.noted", owner_id=owner_id, subject_id=subject_id)
            await asyncio.sleep(0.01 * (number % 5))
        wrote.append(subject_id)

    async def read(done: asyncio.Event) -> list[Any]:
        seen: list[Any] = []
        last = 0
        while True:
            is_last = done.is_set()
            async with database.transaction() as session:
                wanted = select(events.Event).where(events.Event.id > last).order_by(events.Event.id)
                rows = (await session.scalars(wanted)).all()
            seen += [row.subject_id for row in rows]
            last = rows[-1].id if rows else last
            if is_last:
                return seen
            await asyncio.sleep(0)

    done = asyncio.Event()
    reading = asyncio.create_task(read(done))
    await asyncio.gather(*(write(number) for number in range(60)))
    done.set()
    seen = await reading
    assert sorted(seen) == sorted(wrote)
    assert len(seen) == 60
