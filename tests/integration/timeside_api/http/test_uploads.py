"""Uploads that can be gone on with: cuts anywhere, several at once, checksums, limits, ends."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import numpy as np
import pytest
from sqlalchemy import text
from tests.support.api import Api, Person, noise, serving, wav
from tests.support.tus import BYTES, Client, base64_of, metadata

from timeside.sample import write as write_sample
from timeside_api.database import Database
from timeside_api.http.uploads.keeping import finish_whole, remove_expired

pytestmark = pytest.mark.integration


@pytest.fixture
def tus(api: Api, ada: Person) -> Client:
    return Client(api, ada)


async def parts_in(api: Api) -> list[str]:
    """Names of parts in the store."""
    return [name for name, _, _ in api.store.objects.list("uploads")]


async def test_what_is_spoken_here(api: Api):
    answer = await api.client.options("/v1/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Extension"].split(",") == [
        "creation",
        "creation-with-upload",
        "expiration",
        "checksum",
        "termination",
    ]
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256"
    assert int(answer.headers["Tus-Max-Size"]) == 4 << 30


async def test_a_file_in_two_halves_becomes_an_item(api: Api, tus: Client, tmp_path):
    write_sample(tmp_path / "sample.flac")
    content = (tmp_path / "sample.flac").read_bytes()
    made = await tus.create(len(content), filename="C:\\music\\take 1.flac", artist="Somebody")
    path, half = made.headers["Location"], len(content) // 2
    assert (made.status_code, made.headers["Upload-Offset"], made.headers["Tus-Resumable"]) == (201, "0", "1.0.0")
    first = await tus.patch(path, 0, content[:half])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, str(half))
    assert first.headers["Upload-Expires"].endswith("GMT")
    assert await tus.offset(path) == half
    last = await tus.patch(path, half, content[half:])
    assert (last.status_code, last.headers["Upload-Offset"]) == (204, str(len(content)))
    told = await tus.told(path)
    assert (told["state"], told["media_sha256"]) == ("done", hashlib.sha256(content).hexdigest())
    assert last.headers["TimeSide-Item-Id"] == told["item_id"]
    item = (await api.client.get(f"/v1/items/{told['item_id']}", headers=tus.headers)).json()
    assert (item["title"], item["artist"]) == ("Sample recording", "Somebody")
    assert item["details"] == {"filename": "take 1.flac"}
    assert item["media"]["samplerate"] == 44_100
    assert await parts_in(api) == []


async def test_a_file_without_tags_has_its_name_as_title(api: Api, tus: Client):
    content = wav(noise())
    made = await tus.create(len(content), content, filename="take 2.wav")
    assert (made.status_code, made.headers["Upload-Offset"]) == (201, str(len(content)))
    item = await api.client.get(f"/v1/items/{made.headers['TimeSide-Item-Id']}", headers=tus.headers)
    assert item.json()["title"] == "take 2"


async def test_the_same_bytes_are_kept_once_and_replace_those_of_an_item(api: Api, ada: Person, tus: Client):
    content = wav(noise())
    item_id = await api.item(ada, wav(noise(0.5)))
    path = await tus.begin(len(content), item_id=item_id)
    assert (await tus.patch(path, 0, content)).headers["TimeSide-Item-Id"] == str(item_id)
    other = (await tus.create(len(content), content)).headers["TimeSide-Item-Id"]
    found = [(await api.client.get(f"/v1/items/{id}", headers=ada.headers)).json() for id in (item_id, other)]
    assert {each["media"]["sha256"] for each in found} == {hashlib.sha256(content).hexdigest()}


async def test_what_comes_at_another_offset_is_refused(tus: Client):
    path = await tus.begin(1000)
    await tus.patch(path, 0, bytes(100))
    for offset in (0, 99, 101, 1000):
        answer = await tus.patch(path, offset, bytes(10))
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (409, "100")
    assert await tus.offset(path) == 100


async def test_more_bytes_than_announced_are_refused(tus: Client):
    path = await tus.begin(1000)
    assert (await tus.patch(path, 0, bytes(1001))).status_code == 413
    assert await tus.offset(path) <= 1000


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_a_checksum_counts_for_the_whole_request(api: Api, tus: Client, algorithm: str):
    content = np.random.default_rng(440).bytes(200_000)
    path = await tus.begin(len(content) + 1)
    other = hashlib.new(algorithm, b"other").digest()
    answer = await tus.patch(path, 0, content, **{"Upload-Checksum": f"{algorithm} {base64_of(other)}"})
    assert (answer.status_code, answer.json()["title"]) == (460, "Checksum Mismatch")
    checked = {"Upload-Checksum": f"{algorithm} {base64_of(hashlib.new(algorithm, content).digest())}"}
    await tus.cut(path, 0, [content[:100_000]], **checked)
    assert (await tus.offset(path), await parts_in(api)) == (0, [])
    assert (await tus.patch(path, 0, content, checksum=algorithm)).status_code == 204
    assert await tus.offset(path) == len(content)


async def test_a_request_that_breaks_off_leaves_all_bytes_that_came(tus: Client):
    content = wav(noise())
    path = await tus.begin(len(content))
    await tus.cut(path, 0, [content[:1000], content[1000:1001]])
    assert await tus.offset(path) == 1001
    assert (await tus.patch(path, 1001, content[1001:])).status_code == 204
    assert (await tus.told(path))["media_sha256"] == hashlib.sha256(content).hexdigest()


async def test_one_request_at_a_time_adds_to_an_upload(tus: Client):
    path, begun, end = await tus.begin(1000), asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(10)
        begun.set()
        await end.wait()
        yield bytes(10)

    first = asyncio.create_task(tus.patch(path, 0, slow()))
    await begun.wait()
    answers = await asyncio.gather(*(tus.patch(path, 0, bytes(10)) for _ in range(5)))
    assert {each.status_code for each in answers} == {423}
    end.set()
    assert (await first).status_code == 204
    assert await tus.offset(path) == 20


async def test_the_claim_of_a_process_that_died_runs_out(database: Database, tmp_path):
    async with serving(database, tmp_path, upload_lease_s=0.3) as api:
        tus = Client(api, await api.person("ada"))
        path = await tus.begin(1000)
        async with database.transaction() as session:
            await session.execute(
                text("UPDATE upload SET writer = gen_random_uuid(), writer_until = now() + interval '0.3 s'")
            )
        assert (await tus.patch(path, 0, bytes(10))).status_code == 423
        await asyncio.sleep(0.4)
        assert (await tus.patch(path, 0, bytes(10))).status_code == 204


async def test_what_is_whole_when_a_process_dies_is_finished_by_another(api: Api, tus: Client, database: Database):
    content = wav(noise())
    path = await tus.begin(len(content) + 1)
    await tus.patch(path, 0, content)
    async with database.transaction() as session:
        await session.execute(text("UPDATE upload SET length = received"))
    await finish_whole(api.app.state.platform)
    told = await tus.told(path)
    assert (told["state"], told["media_sha256"]) == ("done", hashlib.sha256(content).hexdigest())


async def test_what_is_no_audio_fails_with_the_reason(api: Api, tus: Client):
    path = await tus.begin(9000)
    answer = await tus.patch(path, 0, b"not audio" * 1000)
    assert (answer.status_code, answer.json()["code"]) == (422, "media")
    told = await tus.told(path)
    assert (told["state"], "decoded" in told["reason"]) == ("failed", True)
    assert (await tus.patch(path, 9000, b"")).status_code == 409
    assert await parts_in(api) == []
    items = await api.client.get("/v1/items", headers=tus.headers)
    assert items.json()["items"] == []


async def test_an_item_that_is_gone_gets_no_media(api: Api, ada: Person, tus: Client):
    content, item_id = wav(noise()), await api.item(ada)
    path = await tus.begin(len(content), item_id=item_id)
    async with api.database.transaction() as session:
        await session.execute(text("DELETE FROM item"))
    answer = await tus.patch(path, 0, content)
    assert (answer.status_code, "removed" in answer.json()["detail"]) == (422, True)


async def test_an_upload_that_is_given_up_is_gone(api: Api, tus: Client):
    path = await tus.begin(1000)
    await tus.patch(path, 0, bytes(100))
    assert len(await parts_in(api)) == 1
    assert (await api.client.delete(path, headers=tus.headers)).status_code == 204
    assert (await api.client.head(path, headers=tus.headers)).status_code == 404
    assert (await tus.patch(path, 100, bytes(1))).status_code == 404
    assert await parts_in(api) == []


async def test_uploads_that_nobody_goes_on_with_are_removed(database: Database, tmp_path):
    async with serving(database, tmp_path, upload_keep_s=0.2) as api:
        tus = Client(api, await api.person("ada"))
        path = await tus.begin(1000)
        await tus.patch(path, 0, bytes(100))
        await asyncio.sleep(0.3)
        await remove_expired(api.app.state.platform)
        assert (await api.client.head(path, headers=tus.headers)).status_code == 404
        assert await parts_in(api) == []


async def test_uploads_are_bounded(database: Database, tmp_path):
    bounds = {"max_upload_bytes": 1 << 20, "open_uploads": 2, "open_upload_bytes": 1 << 20}
    async with serving(database, tmp_path, **bounds) as api:
        tus = Client(api, await api.person("ada"))
        assert (await tus.create((1 << 20) + 1)).status_code == 413
        await tus.begin(1 << 19)
        assert (await tus.create((1 << 19) + 1)).status_code == 429
        path = await tus.begin(1 << 19)
        assert (await tus.create(1)).status_code == 429
        await api.client.delete(path, headers=tus.headers)
        await tus.begin(1)


async def test_who_does_not_speak_the_protocol_is_told_so(api: Api, ada: Person, tus: Client):
    path = await tus.begin(1000)
    post, patch = api.client.post, api.client.patch
    length, offset = {"Upload-Length": "10"}, {"Upload-Offset": "0"}
    old = await post("/v1/uploads", headers=ada.headers | length | {"Tus-Resumable": "0.2.2"})
    assert (old.status_code, old.headers["Tus-Version"]) == (412, "1.0.0")
    assert (await post("/v1/uploads", headers=ada.headers | length)).status_code == 412
    for wrong in ({}, {"Upload-Length": "-1"}, {"Upload-Length": "x"}, {"Upload-Length": "0"}):
        assert (await post("/v1/uploads", headers=tus.headers | wrong)).status_code == 422
    for wrong in ("title x", "title !", f"item_id {base64_of(b'x')}", "a YQ==,a YQ=="):
        answer = await post("/v1/uploads", headers=tus.headers | length | {"Upload-Metadata": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "Upload-Metadata")
    assert (await patch(path, headers=tus.headers | offset, content=b"x")).status_code == 415
    assert (await patch(path, headers=tus.headers | BYTES, content=b"x")).status_code == 422
    for wrong in ("md5 YQ==", "sha1", "sha1 YQ==", "sha1 !"):
        sent = tus.headers | BYTES | offset | {"Upload-Checksum": wrong}
        assert (await patch(path, headers=sent, content=b"x")).status_code == 400


async def test_a_client_without_patch_says_so_in_a_header(api: Api, tus: Client):
    path = await tus.begin(1000)
    sent = tus.headers | BYTES | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert (await api.client.post(path, headers=sent, content=bytes(7))).headers["Upload-Offset"] == "7"
    assert (await api.client.post(path, headers=tus.headers | {"X-HTTP-Method-Override": "GET"})).status_code == 405


async def test_what_was_said_of_an_upload_is_given_back(api: Api, tus: Client):
    path = await tus.begin(1000, filename="é.wav", unknown="x")
    answer = await api.client.head(path, headers=tus.headers)
    assert answer.headers["Upload-Metadata"] == metadata(filename="é.wav", unknown="x")["Upload-Metadata"]
    assert answer.headers["Cache-Control"] == "no-store"
    (listed,) = (await api.client.get("/v1/uploads", headers=tus.headers)).json()["items"]
    assert (listed["length"], listed["state"]) == (1000, "open")
    assert path.endswith(listed["id"])


async def test_an_upload_for_others_things_is_refused(api: Api, tus: Client):
    other = await api.person("other")
    for said in ({"item_id": await api.item(other)}, {"project_id": other.id}):
        assert (await tus.create(10, **said)).status_code == 404
