"""Results: rows by slice and level in all forms, tiles as they lie in the store, files; what is not there yet."""

import gzip
import json
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow.ipc
import pytest
from sqlalchemy import update
from tests.support.api import Api, Person, noise, serving

from timeside_api.database import Database
from timeside_api.models import Result, ResultState
from timeside_core import get_processor
from timeside_core.results import Results
from timeside_core.store import StoredResult

pytestmark = pytest.mark.integration


async def done(api: Api, who: Person, processor: str, seconds: float = 8.0) -> tuple[UUID, Results, StoredResult]:
    """A result that was made; what it holds, and how it lies in the store."""
    wanted = get_processor(processor)()
    task_id = await api.task(who, await api.item(who), wanted)
    (result,) = await api.results(task_id)
    made = await api.make(result, wanted, noise(seconds))
    (result,) = await api.results(task_id)
    return result.id, made, api.store.result(result.object_name or "")


async def get(api: Api, who: Person, path: str, headers: dict[str, str] | None = None, **query: Any):
    return await api.client.get(f"/v1/results/{path}", params=query, headers=who.headers | (headers or {}))


async def test_rows_by_slice(api: Api, ada: Person):
    id, made, _ = await done(api, ada, "mfcc")
    values = made[0].values
    found = (await get(api, ada, f"{id}/data/result", start=10, stop=20)).json()
    np.testing.assert_array_equal(np.float32(found["values"]), values[10:20])
    assert (found["first_row"], found["total_rows"]) == (10, len(values))
    assert found["start_s"] == pytest.approx(made[0].times[10])
    assert found["step_s"] == pytest.approx(made[0].times[1] - made[0].times[0])
    beyond = (await get(api, ada, f"{id}/data/result", start=10_000)).json()
    assert (beyond["values"], beyond["first_row"]) == ([], len(values))


async def test_rows_as_raw_numbers_and_arrow(api: Api, ada: Person):
    id, made, _ = await done(api, ada, "mfcc")
    raw = await get(api, ada, f"{id}/data/result", format="raw", start=5, stop=9)
    assert (raw.headers["TimeSide-Dtype"], raw.headers["TimeSide-Shape"]) == ("float32", "4,20")
    np.testing.assert_array_equal(np.frombuffer(raw.content, "<f4").reshape(4, 20), made[0].values[5:9])
    arrow = await get(api, ada, f"{id}/data/result", format="arrow", start=5, stop=9)
    table = pyarrow.ipc.open_stream(arrow.content).read_all()
    np.testing.assert_array_equal(np.float32(table["values"].to_pylist()), made[0].values[5:9])
    assert json.loads(table.schema.metadata[b"timeside"])["first_row"] == 5


async def test_rows_of_coarser_levels(api: Api, ada: Person):
    id, _, stored = await done(api, ada, "spectral_centroid", seconds=15)
    facts = (await get(api, ada, str(id))).json()["outputs"][0]
    assert facts["levels"] == stored.outputs[""]["levels"] >= 1
    found = (await get(api, ada, f"{id}/data/result", level=1, start=2, stop=4)).json()
    np.testing.assert_array_equal(np.float32(found["values"]), stored.slice("", 2, 4, level=1))
    hop_s = 512 / 44_100
    assert found["step_s"] == pytest.approx(4 * hop_s)
    assert found["start_s"] == pytest.approx(stored.stream.start_s + (2 * 4 + 1.5) * hop_s)
    answer = await get(api, ada, f"{id}/data/result", level=60)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "level")


async def test_rows_of_other_kinds(api: Api, ada: Person):
    id, made, _ = await done(api, ada, "aubio_silence")
    found = (await get(api, ada, f"{id}/data/result")).json()
    np.testing.assert_array_equal(found["times"], made[0].times)
    np.testing.assert_array_equal(found["durations"], made[0].durations)
    np.testing.assert_array_equal(found["values"], made[0].values)
    id, made, _ = await done(api, ada, "level")
    found = (await get(api, ada, f"{id}/data/rms")).json()
    assert found["values"] == next(each for each in made if each.id == "level.rms").values
    assert found["total_rows"] == 1


async def test_tiles_are_the_bytes_of_the_store(api: Api, ada: Person):
    for processor, output, dtype in (("waveform_analyzer", "max", "<f4"), ("spectrogram_analyzer", "tiles", "u1")):
        id, made, stored = await done(api, ada, processor)
        path = f"{id}/tiles/{output}/0/1"
        tile, rows = stored.tile(output, 0, 1)
        zipped = await get(api, ada, path, {"Accept-Encoding": "gzip"})
        plain = await get(api, ada, path, {"Accept-Encoding": "identity"})
        assert zipped.headers["Content-Encoding"] == "gzip"
        assert int(zipped.headers["Content-Length"]) == len(tile)
        assert zipped.content == plain.content == gzip.decompress(tile)
        assert zipped.headers["ETag"] != plain.headers["ETag"]
        assert int(zipped.headers["TimeSide-Rows"]) == rows
        shape = [int(each) for each in zipped.headers["TimeSide-Row-Shape"].split(",")]
        values = next(each for each in made if each.id.endswith(output)).values
        first = len(np.frombuffer(plain.content, dtype)) // int(np.prod(shape))
        np.testing.assert_array_equal(
            np.frombuffer(plain.content, dtype).reshape(-1, *shape)[:rows], values[first : first + rows]
        )
        assert (await get(api, ada, path, {"If-None-Match": zipped.headers["ETag"]})).status_code == 304
        for beyond in (f"{id}/tiles/{output}/0/99", f"{id}/tiles/{output}/60/0", f"{id}/tiles/other/0/0"):
            assert (await get(api, ada, beyond)).status_code == 404


async def test_what_has_no_tiles_says_so(api: Api, ada: Person):
    id, _, _ = await done(api, ada, "mfcc")
    assert (await get(api, ada, f"{id}/tiles/result/0/0")).status_code == 404


async def test_facts_and_provenance_without_our_paths(api: Api, ada: Person):
    id, _, stored = await done(api, ada, "mfcc")
    facts = (await get(api, ada, str(id))).json()
    assert facts["state"] == "done"
    assert facts["provenance"]["processor"] == "mfcc"
    assert facts["provenance"]["parameters"] == facts["parameters"]
    assert "uri" not in facts["provenance"]["media"]
    assert stored.prefix not in json.dumps(facts)


async def test_what_is_done_may_be_kept(api: Api, ada: Person):
    id, _, _ = await done(api, ada, "mfcc")
    first = await get(api, ada, f"{id}/data/result")
    assert first.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert (await get(api, ada, f"{id}/data/result", {"If-None-Match": first.headers["ETag"]})).status_code == 304


async def test_what_is_not_done_is_told_with_when_to_ask_again(api: Api, ada: Person):
    task_id = await api.task(ada, await api.item(ada), get_processor("level")())
    (result,) = await api.results(task_id)
    for path in (f"{result.id}/data/max", f"{result.id}/tiles/max/0/0", f"{result.id}/file"):
        answer = await get(api, ada, path)
        assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (409, "pending", "2")


async def test_answers_are_bounded(database: Database, tmp_path):
    async with serving(database, tmp_path, max_data_bytes=16 << 10) as api:
        ada = await api.person("ada")
        id, made, _ = await done(api, ada, "mfcc")
        most = (16 << 10) // 80
        assert (await get(api, ada, f"{id}/data/result", format="raw", stop=most)).status_code == 200
        answer = await get(api, ada, f"{id}/data/result", format="raw", stop=most + 1)
        assert (answer.status_code, answer.json()["code"]) == (422, "too-many-rows")
        rows: list[Any] = []
        while len(rows) < len(made[0].values):
            rows += (await get(api, ada, f"{id}/data/result", start=len(rows))).json()["values"]
        np.testing.assert_array_equal(np.float32(rows), made[0].values)


async def test_a_damaged_result_is_not_read_as_data(api: Api, ada: Person, tmp_path):
    id, _, stored = await done(api, ada, "mfcc")
    for file in (tmp_path / "store" / stored.prefix).rglob("c/*/*"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    answer = await get(api, ada, f"{id}/data/result")
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text


async def test_the_file_of_a_result(api: Api, ada: Person):
    task_id = await api.task(ada, await api.item(ada), get_processor("flac_encoder")())
    (result,) = await api.results(task_id)
    content = bytes(range(256)) * 4
    api.store.objects.put("derived/aa/x", content)
    values = {"state": ResultState.DONE, "object_name": "derived/aa/x", "object_sha256": "ab" * 32}
    async with api.database.transaction() as session:
        await session.execute(update(Result).values(**values, mime_type="audio/flac", size=len(content)))
    whole = await get(api, ada, f"{result.id}/file")
    assert (whole.content, whole.headers["Content-Type"]) == (content, "audio/flac")
    part = await get(api, ada, f"{result.id}/file", {"Range": "bytes=2-3"})
    assert (part.status_code, part.content) == (206, content[2:4])
    assert (await get(api, ada, f"{result.id}/data/result")).status_code == 404


async def test_results_of_an_item(api: Api, ada: Person):
    item_id = await api.item(ada)
    await api.task(ada, item_id, get_processor("level")(), get_processor("mfcc")())
    answer = await api.client.get("/v1/results", params={"item_id": str(item_id)}, headers=ada.headers)
    assert sorted(each["processor"] for each in answer.json()["items"]) == ["level", "mfcc"]
    query = {"item_id": str(item_id), "processor": "mfcc"}
    answer = await api.client.get("/v1/results", params=query, headers=ada.headers)
    assert [each["processor"] for each in answer.json()["items"]] == ["mfcc"]
