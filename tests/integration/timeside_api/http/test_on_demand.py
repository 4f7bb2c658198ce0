"""What is asked for and not there is made once, however many ask; transcodes are heard while they are made."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pytest
import soundfile
from sqlalchemy import func, select
from tests.support.api import SAMPLERATE, Api, Person, noise, wav
from tests.support.platform import at_work

from timeside_api.database import Database
from timeside_api.models import Result, ResultState, Run, RunKind
from timeside_core import get_processor
from timeside_core.pipeline import Grapher
from timeside_decoder.file import FileDecoder

pytestmark = pytest.mark.integration

ASKERS = 200


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with at_work(database, tmp_path) as api:
        yield api


async def runs(api: Api, kind: RunKind = RunKind.DECODE) -> int:
    async with api.database.transaction() as session:
        return await session.scalar(select(func.count()).select_from(Run).where(Run.kind == kind)) or 0


async def get(api: Api, who: Person, path: str, **query: Any) -> httpx.Response:
    headers = {name.replace("_", "-"): query.pop(name) for name in ("range", "if_none_match") if name in query}
    return await api.client.get(path, params=query or None, headers=who.headers | headers)


async def settled(api: Api, result_id: UUID) -> Result:
    async with asyncio.timeout(60):
        while True:
            async with api.database.transaction() as session:
                result = await session.get_one(Result, result_id)
            if result.state is not ResultState.PENDING:
                return result
            await asyncio.sleep(0.05)


def drawn(content: bytes, folder: Path, grapher: str, **query: Any) -> bytes:
    """What a run in this process draws."""
    path = folder / "drawn.wav"
    path.write_bytes(content)
    processor = get_processor(grapher)()
    assert isinstance(processor, Grapher)
    return processor.draw((FileDecoder(path) | processor).run(), **query)


async def test_many_who_ask_for_a_picture_get_one_run_of_each_kind(api: Api, ada: Person, tmp_path: Path):
    content = wav(noise(5))
    item = await api.item(ada, content)
    path, size = f"/v1/items/{item}/image", {"width": 640, "height": 200}
    answers = await asyncio.gather(*(get(api, ada, path, start=1, stop=3, **size) for _ in range(ASKERS)))
    assert {(each.status_code, each.headers["content-type"]) for each in answers} == {(200, "image/png")}
    assert {each.content for each in answers} == {
        drawn(content, tmp_path, "waveform_simple", start_s=1.0, stop_s=3.0, **size)
    }
    assert (await runs(api), await runs(api, RunKind.DRAW)) == (1, 1)

    svg = await get(api, ada, path, start=1, stop=3, format="svg", **size)
    assert (svg.status_code, svg.headers["content-type"]) == (200, "image/svg+xml")
    assert (await runs(api), await runs(api, RunKind.DRAW)) == (1, 2), "what is shown is not computed again"
    fresh = await get(api, ada, path, start=1, stop=3, if_none_match=answers[0].headers["etag"], **size)
    assert fresh.status_code == 304

    await check_pictures_of_results(api, ada, item, content, tmp_path)
    await check_points(api, ada, item)


async def check_pictures_of_results(api: Api, ada: Person, item: UUID, content: bytes, folder: Path) -> None:
    """Of a result by its id: one of its outputs, by a grapher of any result, or by one of its own."""
    facts = (await get(api, ada, f"/v1/items/{item}/results/waveform_analyzer")).json()
    path = f"/v1/results/{facts['id']}/image"
    both = [await get(api, ada, path, output=output) for output in ("min", "rms")]
    assert {each.status_code for each in both} == {200}
    assert both[0].content != both[1].content
    own = await get(api, ada, path, grapher="waveform_simple", width=300, height=100)
    assert own.content == drawn(content, folder, "waveform_simple", width=300, height=100)
    picture = await get(api, ada, path, output="nothing")
    assert (picture.status_code, picture.json()["errors"][0]["pointer"]) == (422, "output")
    other = await get(api, ada, path, grapher="spectrogram_log")
    assert (other.status_code, other.json()["errors"][0]["pointer"]) == (422, "grapher")


async def check_points(api: Api, ada: Person, item: UUID) -> None:
    """Points of a waveform, of the samples that lie beneath them."""
    path = f"/v1/items/{item}/waveform"
    points = (await get(api, ada, path, start=1, stop=2, pixels=20)).json()
    assert (points["channels"], points["pixels"]) == (2, 20)
    assert points["start_s"] <= 1 < 2 <= points["stop_s"]
    samples = (noise(5) * 32767).astype("<i2") / 32768
    first, last = (round(points[each] * SAMPLERATE) for each in ("start_s", "stop_s"))
    assert np.min(points["min"]) == pytest.approx(samples[first:last].min())
    assert np.max(points["max"]) == pytest.approx(samples[first:last].max())
    raw = await get(api, ada, path, start=1, stop=2, pixels=20, format="raw")
    values = np.frombuffer(raw.content, "<f4").reshape([int(each) for each in raw.headers["timeside-shape"].split(",")])
    np.testing.assert_allclose(values, [points[each] for each in ("min", "max", "rms")], rtol=1e-6)


async def test_many_who_ask_for_a_transcode_hear_one_run(api: Api, ada: Person):
    item = await api.item(ada, wav(noise(120)))
    path = f"/v1/items/{item}/transcode/opus"
    has_begun = asyncio.Event()

    async def heard() -> str:
        """The hash of all that came."""
        digest = hashlib.sha256()
        async with api.client.stream("GET", path, headers=ada.headers) as response:
            assert (response.status_code, response.headers["content-type"]) == (200, "audio/ogg")
            async for piece in response.aiter_raw():
                if not has_begun.is_set():
                    assert (await one(api)).state is ResultState.PENDING, "the first byte comes before the end"
                    has_begun.set()
                digest.update(piece)
        return digest.hexdigest()

    async def left() -> None:
        async with api.client.stream("GET", path, headers=ada.headers) as response:
            await anext(response.aiter_raw())

    first = asyncio.create_task(heard())
    await asyncio.wait([first, asyncio.create_task(has_begun.wait())], return_when=asyncio.FIRST_COMPLETED)
    *hashes, _ = await asyncio.gather(first, *(heard() for _ in range(ASKERS - 1)), left())
    assert await runs(api) == 1
    kept = await get(api, ada, path)
    assert set(hashes) == {hashlib.sha256(kept.content).hexdigest()}
    await check_kept(api, ada, path, kept)


async def one(api: Api) -> Result:
    async with api.database.transaction() as session:
        return (await session.scalars(select(Result))).one()


async def check_kept(api: Api, ada: Person, path: str, kept: httpx.Response) -> None:
    """Length, ranges, ETag and HEAD of what is kept."""
    size, etag = len(kept.content), kept.headers["etag"]
    assert (int(kept.headers["content-length"]), kept.headers["accept-ranges"]) == (size, "bytes")
    part = await get(api, ada, path, range=f"bytes={size - 100}-")
    assert (part.status_code, part.content) == (206, kept.content[-100:])
    assert part.headers["content-range"] == f"bytes {size - 100}-{size - 1}/{size}"
    assert (await get(api, ada, path, range=f"bytes={size}-")).status_code == 416
    assert (await get(api, ada, path, if_none_match=etag)).status_code == 304
    head = await api.client.head(path, headers=ada.headers)
    assert (head.status_code, int(head.headers["content-length"]), head.headers["etag"]) == (200, size, etag)


async def test_a_transcode_of_a_part_without_a_client_and_a_range_that_waits(api: Api, ada: Person):
    item = await api.item(ada, wav(noise(20)))
    await get(api, ada, f"/v1/items/{item}/results/level", wait_s=60)  # somebody has looked at the header
    path = f"/v1/items/{item}/transcode/wav"
    head = await api.client.head(path, headers=ada.headers)
    assert (head.status_code, "content-length" in head.headers, await runs(api)) == (200, False, 1)
    part = await get(api, ada, path, start=5, stop=6, range="bytes=0-99")
    assert (part.status_code, len(part.content)) == (206, 100)
    whole = await get(api, ada, path, start=5, stop=6)
    samples, samplerate = soundfile.read(io.BytesIO(whole.content))
    assert samplerate == SAMPLERATE
    np.testing.assert_array_equal(samples * 32768, (noise(20) * 32767).astype("<i2")[5 * SAMPLERATE : 6 * SAMPLERATE])


async def test_an_mp3_that_is_heard_has_the_bytes_of_the_file_but_for_lengths_in_its_header(api: Api, ada: Person):
    item = await api.item(ada, wav(noise(10)))
    path = f"/v1/items/{item}/transcode/mp3"
    heard = await get(api, ada, path)
    assert "etag" not in heard.headers
    await settled(api, UUID(heard.headers["timeside-result"]))
    kept = await get(api, ada, path)
    assert "etag" in kept.headers
    assert len(heard.content) == len(kept.content)
    assert heard.content != kept.content
    assert heard.content[2048:] == kept.content[2048:]


async def test_a_result_is_asked_for_in_one_request(api: Api, ada: Person):
    item = await api.item(ada, wav(noise(2)))
    path, query = f"/v1/items/{item}/results/mfcc", {"parameters": '{"n_mfcc": 5}'}
    begun = await get(api, ada, path, **query)
    assert begun.status_code == 202, begun.text
    assert (begun.json()["state"], begun.json()["parameters"]["n_mfcc"]) == ("pending", 5)
    assert begun.headers["location"] == f"/v1/results/{begun.json()['id']}"
    assert int(begun.headers["retry-after"]) >= 1
    made = await get(api, ada, path, wait_s=60, **query)
    assert (made.status_code, made.json()["id"], made.json()["state"]) == (200, begun.json()["id"], "done")
    assert made.json()["outputs"][0]["row_shape"] == [5]
    assert await runs(api) == 1


async def test_what_cannot_be_made_says_so_and_is_not_tried_again_at_once(api: Api, ada: Person):
    item = await api.item(ada, b"no audio at all")
    for path in ("image", "transcode/mp3", "waveform", "results/mfcc?wait_s=60"):
        first = await get(api, ada, f"/v1/items/{item}/{path}")
        assert (first.status_code, first.json()["code"]) == (409, "failed"), first.text
        before = await runs(api)
        again = await get(api, ada, f"/v1/items/{item}/{path}")
        assert (again.status_code, await runs(api)) == (409, before)


async def test_what_makes_no_sense_is_refused_before_anything_is_begun(api: Api, ada: Person):
    item = await api.item(ada, wav(noise(1)))
    wrong = {
        "image?width=16384&height=16384": "width",
        "image?start=2&stop=1": "stop",
        "image?grapher=mfcc": "grapher",
        "image?grapher=nothing": "grapher",
        'image?parameters={"gain": -1}': "parameters",
        'image?parameters={"nothing": 1}': "parameters/nothing",
        "image?parameters=[1]": "parameters",
        "image?parameters={": "parameters",
        "waveform?pixels=0": "pixels",
        "transcode/exe": "format",
        'transcode/mp3?parameters={"output": "/etc/passwd"}': "parameters/output",
        "results/nothing": "processor",
    }
    for path, pointer in wrong.items():
        answer = await get(api, ada, f"/v1/items/{item}/{path}")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), (path, answer.text)
    assert await runs(api) == 0
