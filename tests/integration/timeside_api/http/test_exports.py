"""Results for other programs: files of every format, tables, Zarr over HTTP, provenance."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pyarrow.parquet as _pq
import pytest
import zarr as _zarr
from obstore.store import HTTPStore
from tests.support.api import Api, Person, noise
from tests.support.platform import listening
from zarr.storage import ObjectStore

from timeside_api.database import Database
from timeside_api.models import Result
from timeside_core import Results, formats, get_processor

pytestmark = pytest.mark.integration

pq: Any = _pq  # not typed
zarr: Any = _zarr
PROCESSORS = ("mfcc", "level", "aubio_silence", "waveform_analyzer")


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with listening(database, tmp_path) as api:
        yield api


async def made(api: Api, owner: Person, *processors: str) -> tuple[UUID, dict[str, Result], dict[str, Results]]:
    """A task whose results are done: these, and what they hold, by processor."""
    wanted = [get_processor(each)() for each in processors]
    task_id = await api.task(owner, await api.item(owner), *wanted)
    rows = {each.processor: each for each in await api.results(task_id)}
    held = {each.id: await api.make(rows[each.id], each, noise()) for each in wanted}
    return task_id, {each.processor: each for each in await api.results(task_id)}, held


async def get(api: Api, who: Person, path: str, **query: Any) -> httpx.Response:
    return await api.client.get(path, params=query or None, headers=who.headers)


async def test_files_of_every_format_hold_what_the_result_holds(api: Api, ada: Person, tmp_path: Path):
    _, results, held = await made(api, ada, "mfcc", "aubio_silence")
    for name, format in formats.FORMATS.items():
        processor = "mfcc" if "framewise" in format.time_modes else "aubio_silence"
        answer = await get(api, ada, f"/v1/results/{results[processor].id}/export", format=name)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-disposition"].endswith(f'{format.suffixes[-1]}"')
        assert int(answer.headers["content-length"]) == len(answer.content)
        if format.lossless:
            path = tmp_path / f"export{format.suffixes[-1]}"
            path.write_bytes(answer.content)
            (found,) = formats.read(path)
            np.testing.assert_array_equal(found.values, held[processor][0].values)
    assert not list((tmp_path / "scratch").iterdir())


async def test_what_a_format_cannot_hold_is_told(api: Api, ada: Person):
    _, results, _ = await made(api, ada, "mfcc")
    answer = await get(api, ada, f"/v1/results/{results['mfcc'].id}/export", format="textgrid")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "format")
    assert "mfcc (framewise)" in answer.json()["detail"]
    assert (await get(api, ada, f"/v1/results/{results['mfcc'].id}/export", format="exe")).status_code == 422


async def test_what_is_too_large_is_refused(database: Database, tmp_path: Path):
    async with listening(database, tmp_path, max_export_bytes=1 << 20) as api:
        ada = await api.person("ada")
        wanted = get_processor("spectrogram_analyzer").from_parameters({"hop_length": 64})
        task_id = await api.task(ada, await api.item(ada), wanted)
        (result,) = await api.results(task_id)
        await api.make(result, wanted, noise(7))
        answer = await get(api, ada, f"/v1/results/{result.id}/export", format="json")
        assert (answer.status_code, answer.json()["code"]) == (422, "too-large")
        table = await get(api, ada, f"/v1/tasks/{task_id}/table")
        assert table.status_code == 200
        read = pq.ParquetFile(io.BytesIO(table.content))
        assert read.metadata.num_row_groups > 1, "a table has no limit: it is made a piece at a time"


async def test_a_task_is_one_table(api: Api, ada: Person):
    task_id, results, held = await made(api, ada, *PROCESSORS)
    parquet = await get(api, ada, f"/v1/tasks/{task_id}/table", format="parquet")
    assert parquet.headers["content-type"] == "application/vnd.apache.parquet"
    rows = pq.read_table(io.BytesIO(parquet.content)).to_pylist()
    text = await get(api, ada, f"/v1/tasks/{task_id}/table", format="csv")
    lines = list(csv.DictReader(io.StringIO(text.text)))
    np.testing.assert_allclose([float(each["value"]) for each in lines], [each["value"] for each in rows], rtol=1e-7)
    assert len(lines) == len(rows) == sum(max(1, np.size(each.values)) for some in held.values() for each in some)
    for processor, some in held.items():
        of_result = [each for each in rows if each["result_id"] == str(results[processor].id)]
        assert {each["media_sha256"] for each in of_result} == {results[processor].media_sha256}
        for each in some:
            of_output = [row for row in of_result if row["output"] == each.id]
            np.testing.assert_allclose([row["value"] for row in of_output], np.ravel(each.values).astype(float))
            columns = np.size(each.values) // max(1, len(each))
            np.testing.assert_allclose([row["time_s"] for row in of_output], np.repeat(each.times, columns))
    labels = [row["label"] for row in rows if row["label"] is not None]
    assert labels == [each for some in held.values() for result in some for each in result.labels]


async def test_a_selection_is_one_table(api: Api, ada: Person):
    _, results, held = await made(api, ada, "mfcc", "level")
    other = await api.person("other")
    await made(api, other, "mfcc")  # of the same bytes: the same result
    (item,) = (await get(api, ada, "/v1/items")).json()["items"]
    title = {"title": "some"}
    selection = (await api.client.post("/v1/selections", json=title, headers=ada.headers)).json()["id"]
    members = {"items": [item["id"]]}
    await api.client.post(f"/v1/selections/{selection}/members:add", json=members, headers=ada.headers)
    table = await get(api, ada, f"/v1/selections/{selection}/table", processor="mfcc")
    rows = pq.read_table(io.BytesIO(table.content)).to_pylist()
    assert {each["result_id"] for each in rows} == {str(results["mfcc"].id)}
    assert len(rows) == np.size(held["mfcc"][0].values)
    both = (await get(api, ada, f"/v1/selections/{selection}/table", format="csv")).text
    assert {each["result_id"] for each in csv.DictReader(io.StringIO(both))} == {
        str(each.id) for each in results.values()
    }


async def test_zarr_opens_a_result_over_http(api: Api, ada: Person):
    _, results, held = await made(api, ada, "mfcc", "waveform_analyzer")
    mfcc = results["mfcc"]
    root = f"{str(api.client.base_url).rstrip('/')}/v1/results/{mfcc.id}/store"
    options: Any = {"allow_http": True, "default_headers": ada.headers}

    def opened() -> tuple[Any, Any]:
        store = ObjectStore(HTTPStore.from_url(root, client_options=options), read_only=True)
        group = zarr.open_group(store, mode="r", zarr_format=3)
        values = group["result/values"]
        return values[:], values[10:20]

    values, part = await asyncio.to_thread(opened)
    np.testing.assert_array_equal(values, held["mfcc"][0].values)
    np.testing.assert_array_equal(part, held["mfcc"][0].values[10:20])


async def test_objects_of_a_store_are_those_of_its_manifest(api: Api, ada: Person):
    _, results, _ = await made(api, ada, "mfcc")
    path = f"/v1/results/{results['mfcc'].id}/store"
    whole = await get(api, ada, f"{path}/zarr.json")
    assert (whole.status_code, whole.json()["zarr_format"]) == (200, 3)
    head = await api.client.head(f"{path}/zarr.json", headers=ada.headers)
    assert int(head.headers["content-length"]) == len(whole.content)
    some = ada.headers | {"Range": "bytes=2-5", "If-Range": whole.headers["etag"]}
    part = await api.client.get(f"{path}/zarr.json", headers=some)
    assert (part.status_code, part.content) == (206, whole.content[2:6])
    fresh = await api.client.get(f"{path}/zarr.json", headers=ada.headers | {"If-None-Match": whole.headers["etag"]})
    assert fresh.status_code == 304
    for key in ("manifest.json", "..%2Fzarr.json", "%2Fetc%2Fpasswd", "result/values/c/99/0", "", "zarr.json/"):
        assert (await get(api, ada, f"{path}/{key}")).status_code == 404, key


async def test_provenance_tells_where_a_result_comes_from(api: Api, ada: Person):
    _, results, held = await made(api, ada, "mfcc")
    mfcc = results["mfcc"]
    said = (await get(api, ada, f"/v1/results/{mfcc.id}/provenance")).json()
    assert (said["processor"], said["digest"], said["run_id"]) == ("mfcc", mfcc.digest, str(mfcc.run_id))
    assert said["object_sha256"] == mfcc.object_sha256
    assert said["recorded"]["libraries"]["numpy"] == np.__version__
    assert "uri" not in said["recorded"]["media"]
    assert said["recorded"]["parameters"] == dict(held["mfcc"][0].provenance.parameters)
