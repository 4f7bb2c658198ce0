"""A file that is cut short, damaged, foreign or hostile gives `FormatError` naming it, and never a wrong number.

Intentionally not checked: attacks on the parsers of HDF5, zip and zstd themselves, which are their libraries' matter.
"""

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

from timeside_core import formats
from timeside_core.errors import FormatError
from timeside_core.outputs import Value
from timeside_core.results import Results

LOSSLESS = [suffix for each in formats.FORMATS.values() if each.lossless for suffix in each.suffixes]
FILES = [suffix for suffix in LOSSLESS if suffix != ".zarr"]


def refused(path: Path, reason: str | None = None) -> None:
    with pytest.raises(FormatError, match=reason) as caught:
        formats.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_what_is_not_there(tmp_path: Path, suffix: str) -> None:
    refused(tmp_path / f"nothing{suffix}")


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize(
    "content", [b"", b"\0", b"{}", b"[1]", b"<a/>", b"PK\3\4", b"\x89HDF\r\n\x1a\n", b"a: b", b"\xff\xfe"]
)
def test_foreign_files(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"foreign{suffix}").write_bytes(content)
    refused(tmp_path / f"foreign{suffix}")


@pytest.mark.parametrize("suffix", FILES)
def test_files_cut_short(assorted: Results, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    formats.write(assorted[:4], path)
    whole = path.read_bytes()
    for length in np.linspace(0, len(whole) - 9, 12).astype(int):
        path.write_bytes(whole[:length])
        refused(path)


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".zarr.zip"])
def test_a_damaged_array_is_never_read_as_another(assorted: Results, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"damaged{suffix}"
    formats.write(assorted[:1], path)
    whole, noticed = path.read_bytes(), 0
    for place in np.random.default_rng(440).integers(0, len(whole), 40):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            np.testing.assert_array_equal(formats.read(path)[0].values, assorted[0].values)
        except FormatError:
            noticed += 1
    assert noticed > 20  # most bytes are the array's


def test_a_lost_chunk_is_noticed(assorted: Results, tmp_path: Path) -> None:
    formats.write(assorted[:1], tmp_path / "a.zarr")
    shutil.rmtree(tmp_path / "a.zarr/mfcc/values/c")
    refused(tmp_path / "a.zarr", "values is damaged")


def test_a_newer_version_is_named(assorted: Results, tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    formats.write(assorted, path)
    path.write_text(path.read_text().replace('"version":1,', '"version":2,', 1))
    refused(path, "version=2 is not 1")


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    refused(tmp_path / "a.json", "neither a file nor a folder")


def test_one_way_formats_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    refused(tmp_path / "a.csv", "cannot be read back")


ENTITIES = """<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">{}]><results format="timeside-results" version="1">&j;</results>"""
LAUGHS = ENTITIES.format(
    "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))
)
SECRET = ENTITIES.format('<!ENTITY j SYSTEM "file:///etc/passwd">')


@pytest.mark.parametrize("content", [LAUGHS, SECRET, "<map>" * 100_000])
def test_hostile_xml(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.xml").write_text(content)
    refused(tmp_path / "a.xml")


def test_deep_xml(tmp_path: Path) -> None:
    nested = "<list>" * 50_000 + "</list>" * 50_000
    (tmp_path / "a.xml").write_text(f'<results format="timeside-results" version="1">{nested}</results>')
    refused(tmp_path / "a.xml")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("!!python/object/apply:os.system ['touch {}/hit']", "constructor"),
        ("a: &a [x]\nb: [*a, *a]", "alias"),
        ("[" * 100_000, "nested deeper"),
        ("{format: timeside-results, version: 1, results: 2026-01-01}", "results=.* is not a list"),
    ],
)
def test_hostile_yaml(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "a.yaml").write_text(content.replace("{}", str(tmp_path)) if "touch" in content else content)
    refused(tmp_path / "a.yaml", reason)
    assert not (tmp_path / "hit").exists()


class Trap:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return Path.touch, (self.place,)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    header = {"format": "timeside-results", "version": 1, "results": {"a": {}}}
    trap = np.array([Trap(tmp_path / "hit")], dtype=object)
    np.savez(tmp_path / "a.npz", header=np.array(json.dumps(header)), **{"a/values": trap})
    refused(tmp_path / "a.npz", "allow_pickle=False")
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Trap(tmp_path / "hit")))
    refused(tmp_path / "b.npz")
    assert not (tmp_path / "hit").exists()


ONE_TIME = {"dtype": "float64", "shape": [1], "data": [0.5]}


def changed(name: str, *way: Any, to: Any) -> Any:
    """A change of one item of a JSON file's results, with the name of the test."""

    def change(results: list[Any]) -> None:
        *parents, last = way
        item: Any = results
        for step in parents:
            item = item[step]
        item[last] = to

    return pytest.param(change, name, id=name)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        changed(r"shape=\[500, 14\] is not that of 6500", 0, "values", "shape", to=[500, 14]),
        changed(r"shape=\[1000000000000, 13\]", 0, "values", "shape", to=[10**12, 13]),
        changed(r"shape=\[-500, -13\]", 0, "values", "shape", to=[-500, -13]),
        changed("dtype='object'", 0, "values", "dtype", to="object"),
        changed("array of float32 holds", 0, "values", "data", 7, 5, to="seven"),
        changed("array of float32 holds", 0, "values", "data", 7, 5, to=1e300),
        changed("array of float32 holds", 0, "values", "data", 7, 5, to=None),
        changed("array of uint8 holds", 3, "values", "data", 0, to=1.5),
        changed("array of uint8 holds", 3, "values", "data", 0, to=256),
        changed("voiced.values=.* is not indices of 2 labels", 3, "values", "data", 0, to=2),
        changed(r"result\.bins=5", 0, "bins", to=5),
        changed("result has unknown values", 4, "values", to=None),
        changed("result has unknown colour", 0, "colour", to="red"),
        changed(r"mfcc\.output has unknown colour", 0, "output", "colour", to="red"),
        changed("output.time_mode='now'", 0, "output", "time_mode", to="now"),
        changed("output.time_mode=", 0, "output", "time_mode", to=["global"]),
        changed(r"labels\[0\]=1 is not str", 3, "output", "labels", to=[1, 2]),
        changed(r"stream\.samplerate='44100' is not int", 0, "stream", "samplerate", to="44100"),
        changed(r"stream\.samplerate=True is not int", 0, "stream", "samplerate", to=True),
        changed(r"stream\.samplerate=0 is not a count from 1", 0, "stream", "samplerate", to=0),
        changed(r"media\.samples=-1 is not a count", 0, "provenance", "media", "samples", to=-1),
        changed(r"samplerate=1000000000000000000000 is not a count", 0, "stream", "samplerate", to=10**21),
        changed("start_s=inf is not JSON-like", 0, "stream", "start_s", to=float("inf")),
        changed(r"media\.tags\.title=5 is not str", 0, "provenance", "media", "tags", "title", to=5),
        changed("missing 1 required", 0, "provenance", "media", to={"uri": "a", "channels": 1}),
        changed("id='../../a' is not a name", 0, "id", to="../../a"),
        changed(r"event_times of shape=\(1,\) is not one for each of 2", 8, "event_times", to=ONE_TIME),
        changed("event_durations=.* is not finite", 11, "event_durations", "data", to=["nan", 1.0]),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(
    assorted: Results, tmp_path: Path, change: Callable[[list[Any]], None], reason: str
) -> None:
    path = tmp_path / "a.json"
    formats.write(assorted, path)
    content = json.loads(path.read_text())
    change(content["results"])
    path.write_text(json.dumps(content))
    refused(path, reason)


def test_deep_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 200_000)
    refused(tmp_path / "a.json")


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_more_than_may_be_read(make_result, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"large{suffix}"
    formats.write(make_result("large", Value(), np.zeros(100_000, np.float32)), path)
    with pytest.raises(FormatError, match="max_bytes=100000"):
        formats.read(path, max_bytes=100_000)


def of_ours(file: h5py.File) -> h5py.Group:
    file.attrs.update(format="timeside-results", version=1)
    group = file.create_group("a")
    group["header"] = "{}"
    return group


def test_hdf5_that_declares_more_than_it_holds(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        of_ours(file).create_dataset("values", (1 << 40,), "f4", chunks=(1 << 20,))
    refused(tmp_path / "a.h5", "max_bytes")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        of_ours(file).create_dataset("values", (1 << 28,), "f4", chunks=(1,))
    refused(tmp_path / "b.h5", "chunks")


def test_hdf5_does_not_reach_into_other_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s" * 64)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["values"] = np.zeros(4)
    with h5py.File(tmp_path / "stored.h5", "w") as file:
        of_ours(file).create_dataset("values", (64,), "u1", external=[(tmp_path / "secret", 0, 64)])
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        of_ours(file)["values"] = h5py.ExternalLink(tmp_path / "other.h5", "values")
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "values", (4,))
        of_ours(file).create_virtual_dataset("values", layout)
    refused(tmp_path / "stored.h5", "another file")
    refused(tmp_path / "linked.h5", "of this file")
    refused(tmp_path / "virtual.h5", "another file")


def test_zarr_that_declares_more_than_it_holds(tmp_path: Path) -> None:
    attributes = {"format": "timeside-results", "version": 1, "results": ["a"]}
    for name, shape, chunks in (
        ("large", (1 << 40,), (1 << 20,)),
        ("fine", (1 << 28,), (1,)),
        ("zeros", (1 << 16,), (1 << 16,)),
    ):
        root = zarr.create_group(tmp_path / f"{name}.zarr", attributes=attributes)
        root.create_group("a").create_array("values", shape=shape, chunks=chunks, dtype="f4")
    refused(tmp_path / "large.zarr", "max_bytes")
    refused(tmp_path / "fine.zarr", "chunks")
    refused(tmp_path / "zeros.zarr", "damaged")


def test_a_zip_that_unpacks_to_more(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("header.npy", bytes(64 << 20))
    with pytest.raises(FormatError, match="max_bytes"):
        formats.read(tmp_path / "a.npz", max_bytes=1 << 20)
