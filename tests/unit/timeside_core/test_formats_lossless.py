"""Results come back equal from every lossless format, and a file is there whole or not at all.

Intentionally not checked: files that other versions wrote, of which there are none yet.
"""

import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from timeside_analyzer.dc import MeanDCShift
from timeside_analyzer.waveform import Waveform
from timeside_core import formats
from timeside_core.audio import Media, Stream
from timeside_core.errors import FormatError
from timeside_core.formats.digits import shortest
from timeside_core.formats.document import DTYPES
from timeside_core.outputs import Events, Framewise, Value
from timeside_core.results import Provenance, Result, Results
from timeside_decoder.array import ArrayDecoder

SUFFIXES = [suffix for each in formats.FORMATS.values() if each.lossless for suffix in each.suffixes]
TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
VALUES = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
)


def assert_same(given: Results, read: Results) -> None:
    assert read.ids() == given.ids()
    for one, other in zip(given, read, strict=True):
        assert other.output == one.output
        assert type(other.output) is type(one.output)
        assert other.stream == one.stream
        assert asdict(other.provenance) == asdict(one.provenance)
        assert_same_array(one.values, other.values)
        assert_same_array(one.event_times, other.event_times)
        assert_same_array(one.event_durations, other.event_durations)
        if isinstance(one.bins, np.ndarray):
            assert_same_array(one.bins, np.asarray(other.bins))
        else:
            assert other.bins == one.bins


def assert_same_array(one: np.ndarray, other: np.ndarray) -> None:
    assert (other.dtype, other.shape) == (one.dtype, one.shape)
    np.testing.assert_array_equal(other, one)  # a NaN equals a NaN


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_results_come_back_equal(assorted: Results, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"every kind{suffix}"
    formats.write(assorted, path)
    assert_same(assorted, formats.read(path))


def test_what_a_pipeline_finds_comes_back(tmp_path: Path) -> None:
    samples = np.random.default_rng(440).uniform(-1, 1, (5000, 2)).astype(np.float32)
    found = (ArrayDecoder(samples, samplerate=8000, start=0.125) | MeanDCShift() | Waveform()).run()
    for suffix in SUFFIXES:
        formats.write(found, tmp_path / f"found{suffix}")
        read = formats.read(tmp_path / f"found{suffix}")
        assert_same(found, read)
        assert len(read[Waveform()]) == 3


@pytest.mark.parametrize("suffix", [".h5", ".json", ".yaml", ".xml", ".npz", ".zarr"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=VALUES, text=TEXT, tags=st.dictionaries(TEXT, TEXT, max_size=3), parameters=st.dictionaries(TEXT, JSON))
def test_any_numbers_and_texts_come_back(
    suffix: str, values: np.ndarray, text: str, tags: dict[str, str], parameters: dict[str, object]
) -> None:
    media = Media(uri=text, samplerate=8000, channels=1, tags=tags)
    provenance = Provenance(processor=text, version="1", parameters=parameters, digest="", media=media, effects=[])
    output = Framewise(unit=text, description=text, bins=text)
    result = Result(id="any", output=output, values=values, stream=Stream(samplerate=8000), provenance=provenance)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"any{suffix}"
        formats.write(result, path)
        assert_same(Results([result]), formats.read(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_name_that_is_no_text_comes_back_or_is_refused(make_result, tmp_path: Path, suffix: str) -> None:
    result = make_result("level", Value(), 1.0, media=Media(uri="\udce9t\udce9.wav", samplerate=8000, channels=1))
    path = tmp_path / f"odd{suffix}"
    if suffix in (".yaml", ".yml"):
        with pytest.raises(FormatError, match="not valid Unicode"):
            formats.write(result, path)
        assert list(tmp_path.iterdir()) == []
    else:
        formats.write(result, path)
        assert formats.read(path)[0].provenance.media.uri == "\udce9t\udce9.wav"


def test_no_results_come_back_as_none(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        formats.write(Results(), tmp_path / f"none{suffix}")
        assert len(formats.read(tmp_path / f"none{suffix}")) == 0


def test_every_float16_and_many_float32_have_short_exact_digits() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    singles = np.random.default_rng(440).integers(0, 1 << 32, 200_000, dtype=np.uint32).view(np.float32)
    for numbers in (halves[np.isfinite(halves)], singles[np.isfinite(singles)]):
        assert_same_array(numbers, shortest(numbers).astype(numbers.dtype))
    assert repr(shortest(np.float32([0.1, -1e-7, -0.0, 16777216])).tolist()) == "[0.1, -1e-07, -0.0, 16777216.0]"


def test_text_formats_hold_numbers_that_people_read(make_result, tmp_path: Path) -> None:
    result = make_result("pitch", Framewise(unit="Hz"), np.float32([[0.1, 440], [np.nan, -np.inf]]))
    for suffix in ("json", "yaml", "xml"):
        formats.write(result, tmp_path / f"pitch.{suffix}")
    assert '"data":[[0.1,440.0],["nan","-inf"]]' in (tmp_path / "pitch.json").read_text()
    assert "0.1 440.0\n" in (tmp_path / "pitch.yaml").read_text()
    assert ">0.1 440.0\nnan -inf</array>" in (tmp_path / "pitch.xml").read_text()


def test_the_libraries_of_arrays_find_them_by_name(assorted: Results, tmp_path: Path) -> None:
    for suffix in (".h5", ".npz", ".zarr"):
        formats.write(assorted, tmp_path / f"a{suffix}")
    expected = assorted[0].values
    with h5py.File(tmp_path / "a.h5") as file, np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(file["mfcc/values"][()], expected)
        np.testing.assert_array_equal(archive["mfcc/values"], expected)
        assert "mfcc#2/values" in archive
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "a.zarr", mode="r")["mfcc/values"][:], expected)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_second_write_replaces_the_first(assorted: Results, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    formats.write(assorted, path)
    formats.write(assorted[:1], path)
    assert_same(assorted[:1], formats.read(path))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_write_that_fails_leaves_what_was_there(assorted: Results, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    formats.write(assorted[:1], path)
    last = replace(assorted[0], values=np.array([1j, 2j]))
    with pytest.raises(FormatError, match="complex128"):
        formats.write([*assorted, last], path)
    assert_same(assorted[:1], formats.read(path))
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_no_store_is_not_replaced(assorted: Results, tmp_path: Path) -> None:
    (tmp_path / "music.zarr").mkdir()
    (tmp_path / "music.zarr" / "song.flac").touch()
    with pytest.raises(FormatError, match="not replaced"):
        formats.write(assorted, tmp_path / "music.zarr")
    assert (tmp_path / "music.zarr" / "song.flac").exists()


def test_a_link_is_written_through(assorted: Results, tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "target.json")
    formats.write(assorted, tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert_same(assorted, formats.read(tmp_path / "target.json"))


def test_the_format_can_be_named(assorted: Results, tmp_path: Path) -> None:
    formats.write(assorted, tmp_path / "extensionless", format="numpy")
    assert_same(assorted, formats.read(tmp_path / "extensionless", format="numpy"))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a.mp3", "no known suffix"),
        ("nowhere/a.json", "No such file"),
        ("a.csv", "cannot be read back, export"),
        ("folder.json", "not a file"),
    ],
)
def test_a_place_that_cannot_be_written_is_named(assorted: Results, tmp_path: Path, path: str, reason: str) -> None:
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(FormatError, match=rf"{path}.*{reason}"):
        formats.write(assorted, tmp_path / path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": "a/b"}, "id='a/b'"),
        ({"id": "a#2"}, "id='a#2'"),
        ({"id": ".."}, r"id='\.\.'"),
        ({"output": Events(), "event_times": np.zeros(3)}, r"event_times of shape=\(3,\)"),
        ({"output": Events(), "event_times": np.full(4, np.nan)}, "finite seconds"),
        ({"output": Framewise(labels=("only",))}, "indices of 1 labels"),
        ({"values": np.array(["text"] * 4)}, "values=.*is not of one of"),
        ({"values": np.float32(1)}, "values=.*is not rows"),
    ],
)
def test_what_could_not_come_back_is_refused(make_result, tmp_path: Path, changes: dict, reason: str) -> None:
    result = replace(make_result("some", Framewise(), np.arange(4)), **changes)
    with pytest.raises(FormatError, match=reason):
        formats.write(result, tmp_path / "a.json")


def test_a_parameter_that_is_no_json_is_named(make_result, tmp_path: Path) -> None:
    result = make_result("some", Value(), 1)
    wrong = replace(result.provenance, parameters={"input": {"gain": float("nan")}})
    with pytest.raises(FormatError, match=r"provenance\.parameters\.input\.gain=nan"):
        formats.write(replace(result, provenance=wrong), tmp_path / "a.h5")
