"""Items and their media: what is said of them, uploads and their bounds, bytes by range."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from tests.support.api import Api, Person, noise, serving, wav

from timeside.sample import write as write_sample
from timeside_api.database import Database

pytestmark = pytest.mark.integration


async def upload(api: Api, who: Person, item_id: object, content: object):
    return await api.client.put(f"/v1/items/{item_id}/media", content=content, headers=who.headers)


async def new_item(api: Api, who: Person, **said: object) -> str:
    return (await api.client.post("/v1/items", json=said, headers=who.headers)).json()["id"]


async def test_an_item_from_its_making_to_its_end(api: Api, ada: Person):
    said = {"title": "Étude", "artist": "", "album": "", "description": "𝄞", "details": {"year": 1830, "of": ["a"]}}
    made = await api.client.post("/v1/items", json=said, headers=ada.headers)
    path = made.headers["Location"]
    assert {name: made.json()[name] for name in said} == said
    assert (await api.client.get(path, headers=ada.headers)).json() == made.json()
    changed = (await api.client.patch(path, json={"artist": "Chopin"}, headers=ada.headers)).json()
    assert (changed["artist"], changed["title"], changed["details"]) == ("Chopin", "Étude", said["details"])
    assert changed["updated_at"] > made.json()["updated_at"]
    assert (await api.client.delete(path, headers=ada.headers)).status_code == 204
    assert (await api.client.get(path, headers=ada.headers)).status_code == 404


async def test_pages_hold_each_item_once_newest_first(api: Api, ada: Person):
    made = [await new_item(api, ada, title=str(number)) for number in range(5)]
    found: list[str] = []
    query: dict[str, str] = {"limit": "2"}
    while True:
        page = (await api.client.get("/v1/items", params=query, headers=ada.headers)).json()
        found += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == made[::-1]
    for cursor in ("x", "!!", "A" * 64):
        answer = await api.client.get("/v1/items", params={"cursor": cursor}, headers=ada.headers)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "cursor")


async def test_an_upload_is_described_and_its_tags_fill_what_is_empty(api: Api, ada: Person, tmp_path):
    write_sample(tmp_path / "sample.flac")
    content = (tmp_path / "sample.flac").read_bytes()
    item_id = await new_item(api, ada, artist="Somebody")
    answer = (await upload(api, ada, item_id, content)).json()
    assert (answer["title"], answer["artist"]) == ("Sample recording", "Somebody")
    media = answer["media"]
    assert media["sha256"] == hashlib.sha256(content).hexdigest()
    assert (media["samplerate"], media["channels"], media["codec"], media["bit_depth"]) == (44_100, 2, "flac", 16)
    assert media["duration_s"] == pytest.approx(20.2)


async def test_what_is_no_audio_is_refused(api: Api, ada: Person):
    item_id = await new_item(api, ada)
    for content in (b"", b"not audio" * 1000):
        answer = await upload(api, ada, item_id, content)
        assert (answer.status_code, answer.json()["code"]) == (422, "media")
    assert (await api.client.get(f"/v1/items/{item_id}", headers=ada.headers)).json()["media"] is None


async def test_uploads_are_bounded_also_where_nobody_tells_their_length(database: Database, tmp_path):
    async with serving(database, tmp_path, max_upload_bytes=1 << 20) as api:
        ada = await api.person("ada")
        item_id = await new_item(api, ada)

        async def long() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield bytes(1 << 16)

        assert (await upload(api, ada, item_id, bytes((1 << 20) + 1))).status_code == 413
        assert (await upload(api, ada, item_id, long())).status_code == 413
        assert (await upload(api, ada, item_id, wav(noise()))).status_code == 200
    assert [each.name for each in (tmp_path / "store").glob(".upload-*")] == []


async def test_an_upload_that_stalls_is_given_up_and_too_many_are_refused(database: Database, tmp_path):
    async with serving(database, tmp_path, uploads=1, upload_silence_s=0.2) as api:
        ada = await api.person("ada")
        item_id = await new_item(api, ada)
        begun = asyncio.Event()

        async def stalling() -> AsyncIterator[bytes]:
            yield b"RIFF"
            begun.set()
            await asyncio.sleep(60)

        first = asyncio.create_task(upload(api, ada, item_id, stalling()))
        await begun.wait()
        assert (await upload(api, ada, item_id, b"RIFF")).status_code == 503
        assert (await first).status_code == 408
        assert (await upload(api, ada, item_id, wav(noise()))).status_code == 200


async def test_an_upload_for_another_item_is_refused_before_its_bytes(api: Api, ada: Person):
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("was read")
        yield b""

    assert (await upload(api, ada, uuid4(), never())).status_code == 404


async def test_media_by_range(api: Api, ada: Person):
    content = wav(noise(4))
    path = f"/v1/media/{hashlib.sha256(content).hexdigest()}"
    await api.item(ada, content)
    size = len(content)

    async def get(method: str = "GET", **headers: str):
        sent = ada.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return await api.client.request(method, path, headers=sent)

    whole = await get()
    etag = whole.headers["ETag"]
    assert (whole.status_code, whole.content == content, whole.headers["Content-Type"]) == (200, True, "audio/wav")
    assert "immutable" in whole.headers["Cache-Control"]
    for asked, first, last in [
        ("0-0", 0, 0),
        ("10-19", 10, 19),
        ("300000-", 300_000, size - 1),
        ("-5", size - 5, size - 1),
    ]:
        part = await get(Range=f"bytes={asked}")
        assert part.status_code == 206
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
        assert part.content == content[first : last + 1]
    for asked in (f"bytes={size}-", f"bytes={size}-{size + 1}", "bytes=-0"):
        answer = await get(Range=asked)
        assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{size}")
    for asked in ("bytes=5-2", "bytes=-", "bytes=0-1,4-5", "pages=1-2", "bytes=x"):
        assert (await get(Range=asked)).status_code == 200
    assert (await get(Range="bytes=0-1", If_Range=etag)).status_code == 206
    assert (await get(Range="bytes=0-1", If_Range='"other"')).status_code == 200
    assert (await get(If_None_Match=f'"x", {etag}')).status_code == 304
    head = await get("HEAD")
    assert (head.content, head.headers["Content-Length"]) == (b"", str(size))
