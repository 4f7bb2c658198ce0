"""The store: what is read back is what was written, whole, or an error; in a folder and in a bucket."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
from tests.support import buckets

from timeside_core import Events, Framewise, Rows, Segments, Stream, Value, events, get_processor, segments
from timeside_core.errors import StoreError
from timeside_core.results import joined
from timeside_core.store import ResultKey, Store
from timeside_decoder.array import ArrayDecoder

OUTPUTS = {
    "": Framewise(unit="Hz"),
    "tiles": Framewise(pooling="max"),
    "rms": Framewise(pooling="rms"),
    "value": Value(unit="%"),
    "onset": Events(labels=("onset",)),
    "part": Segments(labels=("a", "b")),
    "nothing": Framewise(),
}
STREAM = Stream(samplerate=44_100, hop_length=512)


@pytest.fixture(scope="module")
def bucket():
    with buckets.serving() as config:
        yield {"config": config, "client_options": {"allow_http": True}}


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    if request.param == "folder":
        return Store((tmp_path / "a store#1").as_uri())
    return Store(f"s3://bucket/{tmp_path.name}", **request.getfixturevalue("bucket"))


@pytest.fixture
def folder_store(tmp_path):
    return Store((tmp_path / "store").as_uri())


@pytest.fixture(scope="module")
def provenance():
    return (ArrayDecoder(np.zeros(1000), 44_100) | get_processor("mean_dc_shift")()).run()[0].provenance


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(440)
    return {
        "": rng.normal(size=(20_000, 20)).astype(np.float32),
        "tiles": rng.integers(0, 256, (3_000, 64), np.uint8),
        "rms": rng.uniform(size=(5_001, 2)).astype(np.float32),
    }


def write(store, provenance, arrays, *, outputs=OUTPUTS, step=86):
    key = ResultKey("ab" * 32, "mean_dc_shift", "2.0", "cd" * 32)
    writer = store.writer(key, outputs)
    for name, array in arrays.items():
        for start in range(0, len(array), step):
            writer.append(name, Rows(array[start : start + step]))
    writer.append("value", Rows(np.array([3.5])))
    writer.append("onset", events(np.array([0.1, 0.2]), labelled=True))
    writer.append("part", segments(np.array([0.0, 1.0]), np.array([1.0, 2.0]), np.array([1, 0]), labelled=True))
    return writer.finish(provenance, STREAM, {"": np.arange(20.0), "tiles": None})


def test_results_are_read_back_as_they_were_written(store, provenance, arrays):
    stored = write(store, provenance, arrays)
    results = store.result(stored.prefix, manifest_sha256=stored.manifest_sha256).results()
    assert results.ids()[:2] == ("mean_dc_shift", "mean_dc_shift.tiles")
    for name, array in arrays.items():
        result = results[f"mean_dc_shift.{name}".rstrip(".")]
        assert result.values.dtype == array.dtype
        assert np.array_equal(result.values, array)
        assert result.output == OUTPUTS[name]
        assert result.stream == STREAM
        assert result.provenance == replace(provenance, effects=[])
    assert results["mean_dc_shift.value"].values == 3.5
    assert results["mean_dc_shift.onset"].times.tolist() == [0.1, 0.2]
    assert results["mean_dc_shift.part"].durations.tolist() == [1.0, 2.0]
    assert results["mean_dc_shift.part"].labels == ("b", "a")
    assert results["mean_dc_shift"].bins.tolist() == list(range(20))
    assert len(results["mean_dc_shift.nothing"]) == 0


def test_a_manifest_names_all_that_was_written(store, provenance, arrays):
    stored = write(store, provenance, arrays)
    there = {name.removeprefix(f"{stored.prefix}/"): size for name, size, _ in store.objects.list(stored.prefix)}
    named = {name: each["size"] for name, each in store.result(stored.prefix).manifest["objects"].items()}
    assert named == {name: size for name, size in there.items() if name != "manifest.json"}
    assert stored.size == sum(there.values())


@pytest.mark.parametrize("output", [Framewise(), Value(), Events(labels=("onset",)), Segments(labels=("a", "b"))])
def test_nothing_is_read_back_as_what_nothing_is_in_memory(folder_store, provenance, output):
    writer = folder_store.writer(ResultKey("ab" * 32, "mean_dc_shift", "2.0", "cd" * 32), {"": output})
    (result,) = folder_store.result(writer.finish(provenance, STREAM, {}).prefix).results()
    expected = joined([], output)
    assert (len(result), result.values.dtype) == (0, expected.values.dtype)
    assert len(result.times) == len(result.durations) == 0


def test_any_slice_at_any_level(folder_store, provenance, arrays):
    result = folder_store.result(write(folder_store, provenance, arrays).prefix)
    assert np.array_equal(result.slice("", 19_990), arrays[""][19_990:])
    assert result.outputs[""]["levels"] == 3
    values, second = arrays[""], result.slice("", level=2)
    assert second.shape == (1_250, 20, 3)
    assert np.array_equal(second[7, :, 0], values[112:128].min(axis=0))
    assert np.array_equal(second[7, :, 1], values[112:128].max(axis=0))
    assert np.allclose(second[7, :, 2], values[112:128].mean(axis=0), atol=1e-6)
    tiles = result.slice("tiles", level=2)
    assert np.array_equal(tiles[0], arrays["tiles"][:4].max(axis=0))
    rms = result.slice("rms", level=1)
    assert np.allclose(rms[3], np.sqrt(np.mean(np.square(arrays["rms"][6:8]), axis=0)))
    assert np.array_equal(rms[-1], arrays["rms"][-1])


def test_levels_do_not_depend_on_how_rows_arrived(folder_store, provenance, arrays):
    one = folder_store.result(write(folder_store, provenance, arrays, step=7).prefix)
    other = folder_store.result(write(folder_store, provenance, arrays, step=5_000).prefix)
    for name in arrays:
        for level in range(1, one.outputs[name]["levels"] + 1):
            assert np.allclose(one.slice(name, level=level), other.slice(name, level=level), atol=1e-6)
    objects = [{k: v for k, v in each.manifest["objects"].items() if "tiles" in k} for each in (one, other)]
    assert objects[0] == objects[1]


@pytest.mark.parametrize("rows", [1_000, 30_000])
def test_tiles_are_served_as_they_lie_in_the_store(store, provenance, rows):
    codes = np.random.default_rng(440).integers(0, 256, (rows, 16), np.uint8)
    result = store.result(write(store, provenance, {"tiles": codes}).prefix)
    for level, index in ((0, 0), (0, rows // 256), (1, 1)):
        tile, count = result.tile("tiles", level, index)
        expected = codes if level == 0 else np.maximum(codes[::2], codes[1::2])
        found = np.frombuffer(gzip.decompress(tile), np.uint8).reshape(256, 16)[:count]
        assert np.array_equal(found, expected[index * 256 : (index + 1) * 256])
    with pytest.raises(StoreError, match="index=9999"):
        result.tile("tiles", 0, 9999)
    with pytest.raises(StoreError, match="'value' has no tiles"):
        result.tile("value", 0, 0)


def test_a_changed_byte_is_never_read_as_data(folder_store, provenance, arrays):
    stored = write(folder_store, provenance, arrays)
    result = folder_store.result(stored.prefix)
    names = [name for name in result.manifest["objects"] if name.startswith("result/values/c/")]
    path = folder_store.objects.folder / stored.prefix / names[0]
    intact = path.read_bytes()
    for at in np.random.default_rng(440).integers(0, len(intact), 25):
        path.write_bytes(intact[:at] + bytes([intact[at] ^ 1]) + intact[at + 1 :])
        with pytest.raises(StoreError, match="cannot be read"):
            folder_store.result(stored.prefix).slice("")
    assert [damage.name for damage in folder_store.scrub()] == [f"{stored.prefix}/{names[0]}"]
    path.unlink()
    assert [damage.name for damage in folder_store.scrub()] == [f"{stored.prefix}/{names[0]}"]


def test_a_result_without_a_manifest_is_not_there(folder_store, provenance):
    writer = folder_store.writer(ResultKey("ab" * 32, "x", "1", "cd" * 32), {"": Framewise()})
    writer.append("", Rows(np.zeros((100_000, 20), np.float32)))
    with pytest.raises(StoreError, match=r"manifest\.json' is not in"):
        folder_store.result(writer.prefix)


def test_a_manifest_that_was_exchanged_is_refused(folder_store, provenance):
    stored = write(folder_store, provenance, {})
    path = folder_store.objects.folder / stored.prefix / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"digest": "00"}))
    with pytest.raises(StoreError, match="SHA-256 differs"):
        folder_store.result(stored.prefix, manifest_sha256=stored.manifest_sha256)
    path.write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        folder_store.result(stored.prefix)


def test_sweep_removes_orphans_and_nothing_else(store, provenance):
    kept = write(store, provenance, {})
    orphan = store.writer(ResultKey("ab" * 32, "x", "1", "cd" * 32), {"": Framewise()})
    orphan.append("", Rows(np.zeros((400_000, 20), np.float32)))

    def sweep(*, dry_run, grace_s):
        return [name for name, _ in store.sweep(lambda prefix: prefix == kept.prefix, dry_run=dry_run, grace_s=grace_s)]

    assert sweep(dry_run=False, grace_s=3600) == []
    would = sweep(dry_run=True, grace_s=-5)
    assert would
    assert all(name.startswith(orphan.prefix) for name in would)
    assert sweep(dry_run=False, grace_s=-5) == would
    assert sweep(dry_run=False, grace_s=-5) == []
    assert list(store.scrub()) == []
    assert store.result(kept.prefix).results()["mean_dc_shift.value"].values == 3.5


def test_media_are_kept_once_by_hash(store, tmp_path):
    sha256, size = store.put_media([b"some ", b"audio"])
    assert store.put_media([b"some audio"]) == (sha256, size)
    assert store.media_size(sha256) == size == 10
    assert store.media_file(sha256, tmp_path / "scratch").read_bytes() == b"some audio"
    assert store.media_size("00" * 32) is None
    with pytest.raises(StoreError, match="is not in"):
        store.media_file("00" * 32, tmp_path)


def test_a_store_that_cannot_be_opened_says_why(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be opened"):
        Store((tmp_path / "file").as_uri())
    with pytest.raises(StoreError, match="cannot be opened"):
        Store("gopher://somewhere")
