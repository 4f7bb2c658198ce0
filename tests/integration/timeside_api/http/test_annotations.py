"""Annotations: rules, several people at once, what who was away has missed, exchange with other programs."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update
from tests.support.api import Api, Closed, Person, Socket, noise

from timeside_api import annotations
from timeside_api.models import Item, Media
from timeside_api.sharing import Grant, Level
from timeside_core import get_processor

pytestmark = pytest.mark.integration


class Track:
    """A track over HTTP."""

    def __init__(self, api: Api, who: Person, out: dict[str, Any]) -> None:
        self.api, self.who, self.out, self.id = api, who, out, out["id"]

    @property
    def path(self) -> str:
        return f"/v1/annotation-tracks/{self.id}"

    async def add(self, start_s: float, stop_s: float | None = None, **said: Any) -> dict[str, Any]:
        body = {"start_s": start_s, "stop_s": stop_s, **said}
        response = await self.api.client.post(f"{self.path}/annotations", json=body, headers=self.who.headers)
        assert response.status_code == 201, response.text
        return response.json()

    async def refused(self, start_s: float, stop_s: float | None = None, **said: Any) -> tuple[int, str]:
        body = {"start_s": start_s, "stop_s": stop_s, **said}
        response = await self.api.client.post(f"{self.path}/annotations", json=body, headers=self.who.headers)
        return response.status_code, response.json()["errors"][0]["pointer"]

    async def get(self, path: str = "", **query: Any) -> Any:
        response = await self.api.client.get(self.path + path, params=query, headers=self.who.headers)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, **sent: Any) -> Any:
        response = await self.api.client.post(self.path + path, headers=self.who.headers, **sent)
        assert response.status_code == 200, response.text
        return response.json()

    async def starts(self, **query: Any) -> list[float]:
        return [each["start_s"] for each in (await self.get("/annotations", **query))["items"]]


async def track(api: Api, who: Person, **said: Any) -> Track:
    item_id = said.pop("item_id", None) or await api.item(who)
    body = {"item_id": str(item_id), **said}
    response = await api.client.post("/v1/annotation-tracks", json=body, headers=who.headers)
    assert response.status_code == 201, response.text
    return Track(api, who, response.json())


async def share(api: Api, owner: Person, item_id: Any, who: Person, level: Level) -> None:
    async with api.database.transaction() as session:
        session.add(Grant(kind="item", thing_id=item_id, account_id=who.id, level=level, by_id=owner.id))


async def test_annotations_are_listed_in_the_order_of_time(api: Api, ada: Person):
    sections = await track(api, ada, title="Sections")
    for start_s in (3, 1, 2):
        await sections.add(start_s, start_s + 0.5)
    first = await sections.get("/annotations", limit=2)
    second = await sections.get("/annotations", limit=2, cursor=first["next_cursor"])
    assert [each["start_s"] for each in first["items"] + second["items"]] == [1, 2, 3]
    assert second["next_cursor"] is None
    assert await sections.starts(start=2.5, stop=2.9) == [2]
    assert await sections.starts(start=1.2, stop=2) == [1, 2]
    assert await sections.starts(start=3.6) == []


async def test_what_breaks_a_rule_is_refused(api: Api, ada: Person):
    item_id = await api.item(ada)
    regions = await track(api, ada, item_id=item_id, vocabulary=["a", "b"])
    assert await regions.refused(1, None, label="a") == (422, "/0/stop_s")
    assert await regions.refused(2, 1, label="a") == (422, "/0/stop_s")
    assert await regions.refused(1, 2, label="c") == (422, "/0/label")
    assert await regions.refused(-1, 2, label="a") == (422, "/start_s")
    points = await track(api, ada, item_id=item_id, kind="points")
    assert await points.refused(1, 2) == (422, "/0/stop_s")
    await points.add(100)  # nobody knows yet how long the media is
    async with api.database.transaction() as session:
        sha256 = (await session.get_one(Item, item_id)).media_sha256
        known = {"samplerate": 44_100, "samples": 44_100, "decoded": True}
        await session.execute(update(Media).where(Media.sha256 == sha256).values(known))
    assert await points.refused(1.1) == (422, "/0/start_s")
    assert await regions.refused(0.5, 1.1, label="a") == (422, "/0/stop_s")
    await points.add(1.0)


async def test_a_change_keeps_what_it_leaves_out_and_who_read_less_is_refused(api: Api, ada: Person):
    numbers = await track(api, ada)
    made = await numbers.add(1, 2, label="a", value=5)
    path = f"/v1/annotations/{made['id']}"
    read = await api.client.get(path, headers=ada.headers)
    assert (read.json(), made["version"]) == (made, 1)

    async def change(body: Any, tag: str | None = None) -> Any:
        headers = ada.headers | ({"If-Match": tag} if tag else {})
        return await api.client.patch(path, json=body, headers=headers)

    changed = await change({"stop_s": 3}, read.headers["etag"])
    assert (changed.json()["label"], changed.json()["stop_s"], changed.json()["version"]) == ("a", 3, 2)
    assert (await change({"label": "b"}, read.headers["etag"])).status_code == 412
    assert (await change({"label": "b"}, changed.headers["etag"])).json()["value"] == 5
    assert (await change({"value": None})).json()["value"] is None
    gone = await api.client.delete(path, headers=ada.headers | {"If-Match": read.headers["etag"]})
    assert gone.status_code == 412
    assert (await api.client.delete(path, headers=ada.headers)).status_code == 204
    kinds = [each["kind"] for each in (await numbers.get("/changes"))["items"]]
    assert kinds == ["added", "changed", "changed", "changed", "removed"]


async def test_an_annotation_whose_label_left_the_vocabulary_can_still_be_moved(api: Api, ada: Person):
    regions = await track(api, ada, vocabulary=["old"])
    made = await regions.add(1, 2, label="old")
    await api.client.patch(regions.path, json={"vocabulary": ["new"]}, headers=ada.headers)
    path = f"/v1/annotations/{made['id']}"
    assert (await api.client.patch(path, json={"stop_s": 3}, headers=ada.headers)).status_code == 200
    assert (await api.client.patch(path, json={"label": "old"}, headers=ada.headers)).status_code == 422


async def test_a_batch_is_done_whole_or_not_at_all(api: Api, ada: Person):
    regions = await track(api, ada)
    one, two = [await regions.add(each, each + 1) for each in (1, 2)]
    batch = {
        "add": [{"start_s": 5, "stop_s": 6}],
        "change": [{"id": one["id"], "version": one["version"], "label": "x"}],
        "remove": [{"id": two["id"], "version": 99}],
    }
    path = f"{regions.path}/annotations:batch"
    assert (await api.client.post(path, json=batch, headers=ada.headers)).status_code == 412
    assert (await regions.get())["revision"] == 2
    batch["remove"] = [{"id": two["id"], "version": two["version"]}]
    done = await regions.post("/annotations:batch", json=batch)
    assert (done["revision"], done["removed"], done["changed"][0]["label"]) == (5, 1, "x")
    assert await regions.starts() == [1, 5]
    done = await regions.post("/annotations:batch", json={"replace": True, "add": [{"start_s": 9, "stop_s": 9.5}]})
    assert (done["removed"], await regions.starts()) == (2, [9])


async def test_revisions_of_many_at_once_have_no_gaps(api: Api, ada: Person):
    points = await track(api, ada, kind="points")
    await asyncio.gather(*(points.add(each) for each in range(20)))
    changes = await points.get("/changes")
    assert [each["revision"] for each in changes["items"]] == list(range(1, 21))
    assert changes["is_last"]
    assert [each["revision"] for each in (await points.get("/changes", since=18))["items"]] == [19, 20]


async def test_who_follows_hears_all_changes_once_and_goes_on_where_it_was(api: Api, ada: Person):
    points = await track(api, ada, kind="points")
    await points.add(1)
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        await socket.say(op="subscribe", id="a", track=points.id)
        snapshot, ready = await socket.hear(), await socket.hear()
        assert (snapshot["track"]["revision"], ready["op"]) == (1, "ready")
        made = await points.add(2)
        heard = await socket.hear()
        assert (heard["op"], heard["revision"]) == ("changes", 2)
        assert heard["changes"][0]["annotation_id"] == made["id"]
    await asyncio.gather(*(points.add(each) for each in range(3, 10)))
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        await socket.say(op="subscribe", id="b", track=points.id, since=heard["revision"])
        await socket.until("ready")
        found = list((await socket.until("changes"))[-1]["changes"])
        await points.add(10)
        while found[-1]["revision"] < 10:
            found += (await socket.until("changes"))[-1]["changes"]
        assert [each["revision"] for each in found] == list(range(3, 11))


async def test_who_may_not_read_the_item_any_more_hears_no_more(api: Api, ada: Person):
    item_id, bob = await api.item(ada), await api.person("bob")
    await share(api, ada, item_id, bob, Level.VIEWER)
    points = await track(api, ada, item_id=item_id, kind="points")
    async with Socket(api.app, "/v1/stream", bob.headers) as socket:
        await socket.say(op="subscribe", id="a", track=points.id)
        await socket.until("ready")
        async with api.database.transaction() as session:
            await session.delete(await session.get_one(Grant, ("item", item_id, bob.id)))
        await points.add(1)
        assert (await socket.until("error"))[-1]["code"] == "not-found"
    with pytest.raises(Closed):
        async with Socket(api.app, "/v1/stream", {}):
            pass


async def test_changes_that_are_not_kept_are_said_to_be_gone(api: Api, ada: Person):
    points = await track(api, ada, kind="points")
    await points.add(1)
    async with api.database.transaction() as session:
        await session.execute(update(annotations.AnnotationChange).values(created_at=datetime(2020, 1, 1, tzinfo=UTC)))
        await annotations.forget(session, 1)
    await points.add(2)
    for since in (0, 3):
        path, query = f"{points.path}/changes", {"since": since}
        assert (await api.client.get(path, params=query, headers=ada.headers)).status_code == 410
    assert len((await points.get("/changes", since=1))["items"]) == 1
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        await socket.say(op="subscribe", id="a", track=points.id, since=0)
        assert (await socket.hear())["code"] == "gone"


async def test_viewers_read_and_editors_write(api: Api, ada: Person):
    item_id = await api.item(ada)
    regions = await track(api, ada, item_id=item_id)
    made = await regions.add(1, 2)
    for level, wanted in ((Level.VIEWER, 403), (Level.EDITOR, 200)):
        who = await api.person(f"bob.{level}")
        await share(api, ada, item_id, who, level)
        assert (await api.client.get(regions.path, headers=who.headers)).status_code == 200
        changed = await api.client.patch(f"/v1/annotations/{made['id']}", json={"label": "x"}, headers=who.headers)
        assert changed.status_code == wanted
    stranger = await api.person("eve")
    for path in (regions.path, f"/v1/annotations/{made['id']}", f"{regions.path}/changes"):
        assert (await api.client.get(path, headers=stranger.headers)).status_code == 404


async def test_a_track_goes_with_its_item(api: Api, ada: Person):
    item_id = await api.item(ada)
    regions = await track(api, ada, item_id=item_id)
    await regions.add(1, 2)
    assert (await api.client.delete(f"/v1/items/{item_id}", headers=ada.headers)).status_code == 204
    assert (await api.client.get(regions.path, headers=ada.headers)).status_code == 404


@pytest.mark.parametrize("format", ["audacity", "textgrid", "jams", "csv", "elan", "sonic_visualiser"])
async def test_what_is_exported_is_imported_again(format: str, api: Api, ada: Person):
    there, back = await track(api, ada), await track(api, ada)
    for start_s, label in ((0.5, "é"), (1.25, 'a "b"'), (3, "c")):
        await there.add(start_s, start_s + 0.5, label=label)
    file = await api.client.get(f"{there.path}/annotations/file", params={"format": format}, headers=ada.headers)
    assert file.status_code == 200
    assert "attachment" in file.headers["content-disposition"]
    query = {"format": format, "replace": True}
    await back.add(7, 8)
    done = await back.post("/annotations:import", params=query, content=file.content)
    assert (done["added"], done["removed"]) == (3, 1)
    found = (await back.get("/annotations"))["items"]
    assert [each["label"] for each in found] == ["é", 'a "b"', "c"]
    assert [each["start_s"] for each in found] == pytest.approx([0.5, 1.25, 3], abs=1e-3)
    assert [each["stop_s"] for each in found] == pytest.approx([1, 1.75, 3.5], abs=1e-3)


async def test_files_that_cannot_be_read_change_nothing(api: Api, ada: Person):
    points = await track(api, ada, kind="points")
    await points.add(1)
    path, query = f"{points.path}/annotations:import", {"format": "audacity", "replace": True}
    for content in (b"nonsense", b"1\t2\ta stretch", b"\xff\xff"):
        response = await api.client.post(path, params=query, content=content, headers=ada.headers)
        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"
    assert await points.starts() == [1]


async def test_segments_of_a_result_become_annotations(api: Api, ada: Person):
    silence = get_processor("aubio_silence")()
    item_id = await api.item(ada)
    task_id = await api.task(ada, item_id, silence)
    (result,) = await api.results(task_id)
    audio = np.concatenate([noise(1.0), np.zeros_like(noise(1.0)), noise(1.0)])
    made = await api.make(result, silence, audio)
    body = {"item_id": str(item_id), "result_id": str(result.id)}
    response = await api.client.post("/v1/annotation-tracks:from-result", json=body, headers=ada.headers)
    assert response.status_code == 201, response.text
    segments = Track(api, ada, response.json())
    found = (await segments.get("/annotations"))["items"]
    assert [each["start_s"] for each in found] == pytest.approx(made[0].times.tolist())
    assert [each["label"] for each in found] == list(made[0].labels)
    assert set(segments.out["vocabulary"]) == set(made[0].output.labels)
    other = await api.item(ada, b"other bytes")
    response = await api.client.post(
        "/v1/annotation-tracks:from-result", json=body | {"item_id": str(other)}, headers=ada.headers
    )
    assert response.status_code == 409


async def test_several_people_at_once_end_with_the_same(api: Api, ada: Person):
    """Random edits of three people; whoever only applies the changes has, in the end, what the server has."""
    item_id, rng = await api.item(ada), np.random.default_rng(440)
    people = [ada]
    for name in ("bob", "cyd"):
        people.append(await api.person(name))
        await share(api, ada, item_id, people[-1], Level.EDITOR)
    points = await track(api, ada, item_id=item_id, kind="points")
    known: list[str] = [(await points.add(each))["id"] for each in range(5)]

    async def edit(who: Person, number: int) -> None:
        id, choice = known[int(rng.integers(len(known)))], int(rng.integers(3))
        if choice == 0:
            known.append((await Track(api, who, points.out).add(number))["id"])
        elif choice == 1:
            await api.client.patch(f"/v1/annotations/{id}", json={"label": f"{who.name}{number}"}, headers=who.headers)
        else:
            await api.client.delete(f"/v1/annotations/{id}", headers=who.headers)

    for number in range(10):
        await asyncio.gather(*(edit(who, number) for who in people))
    mirror: dict[str, Any] = {}
    for change in (await points.get("/changes"))["items"]:
        mirror.pop(change["annotation_id"], None)
        if change["kind"] != "removed":
            mirror[change["annotation_id"]] = change["fields"]
    found = (await points.get("/annotations"))["items"]
    assert {each["id"]: {name: each[name] for name in mirror[each["id"]]} for each in found} == mirror
    revisions = [each["version"] for each in found]
    assert len(set(revisions)) == len(revisions)
