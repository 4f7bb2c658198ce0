"""Exports are what the other programs read: known answers, their own schema or parser where there is one here.

Intentionally not checked: the programs themselves, which are not installed.
"""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jams
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from timeside_core import formats
from timeside_core.audio import Media, Stream
from timeside_core.errors import FormatError
from timeside_core.outputs import Events, Framewise, Segments, Value
from timeside_core.results import Result, Results

pytestmark = pytest.mark.filterwarnings("ignore:Passing a schema:DeprecationWarning")  # jams calls jsonschema so


@pytest.fixture
def onsets(make_result: Any) -> Result:
    times = np.array([2.5, 0.25])
    return make_result("onsets", Events(labels=("on\tset",)), np.zeros(2, np.int32), event_times=times)


@pytest.fixture
def silence(make_result: Any) -> Result:
    return make_result(
        "silence",
        Segments(labels=("silence", '"sound"')),
        np.array([0, 1]),
        event_times=np.array([0.1, 0.1 + 0.2]),
        event_durations=np.array([0.2, 1.0]),
    )


@pytest.fixture
def chords(make_result: Any) -> Result:
    times, durations = np.array([0.0, 0.5, 1.0]), np.array([1.0, 1.0, 1.0])
    return make_result(
        "f0", Segments(unit="Hz"), np.float32([440, 0.1, 3]), event_times=times, event_durations=durations
    )


def exported(results: Results | Result | list[Result], path: Path) -> str:
    formats.export(results, path)
    return path.read_text(encoding="utf-8")


def test_csv_is_tidy(make_result: Any, silence: Result, tmp_path: Path) -> None:
    chroma = make_result("chroma", Framewise(), np.float32([[0.1, 2], [3, 4]]), bins=("C", "C♯"))
    level = make_result("level", Value(unit="dBFS"), np.float64(-3.0))
    nothing = make_result("nothing", Value(), np.empty(0))
    lines = exported([chroma, level, nothing, silence], tmp_path / "a.csv").splitlines()
    assert lines == [
        "result,time_s,duration_s,bin,value,label,unit",
        "chroma,0.01,0.02,C,0.1,,",
        "chroma,0.01,0.02,C♯,2.0,,",
        "chroma,0.02,0.02,C,3.0,,",
        "chroma,0.02,0.02,C♯,4.0,,",
        "level,0.0,10.0,,-3.0,,dBFS",
        "silence,0.1,0.2,,0,silence,",
        'silence,0.30000000000000004,1.0,,1,"""sound""",',
    ]


def test_parquet_holds_what_csv_does(assorted: Results, tmp_path: Path) -> None:
    formats.export(assorted, tmp_path / "a.csv")
    formats.export(assorted, tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    columns = table.to_pydict()
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert columns["result"] == [line["result"] for line in lines]
    assert columns["time_s"] == [float(line["time_s"]) for line in lines]
    assert columns["bin"] == [line["bin"] for line in lines]
    assert [label or "" for label in columns["label"]] == [line["label"] for line in lines]
    np.testing.assert_allclose(columns["value"], [float(line["value"]) for line in lines], rtol=1e-6)
    assert json.loads(table.schema.metadata[b"timeside-results"])["chroma.mean"]["bins"] == ["C", "C♯"]
    assert len(pd.read_parquet(tmp_path / "a.parquet")) == len(lines)


def test_jams_satisfies_its_own_schema(assorted: Results, tmp_path: Path) -> None:
    formats.export(assorted, tmp_path / "a.jams")
    loaded = jams.load(str(tmp_path / "a.jams"), strict=True)
    assert loaded.validate(strict=True)
    assert loaded.file_metadata.duration == 10
    assert loaded.file_metadata.title == "<script>alert('été')</script>"
    spaces = {each.annotation_metadata.annotator["result"]: each.namespace for each in loaded.annotations}
    assert {name for name, space in spaces.items() if space == "tag_open"} == {"voiced", "key", "onsets", "no_onsets"}
    assert {name for name, space in spaces.items() if space == "segment_open"} == {"silence"}
    silence = loaded.search(namespace="segment_open")[0]
    assert [(each.time, each.duration, each.value) for each in silence] == [(0, 0.7, "sound"), (0.7, 1.3, "silence")]
    assert [each.value for each in loaded.annotations[2]] == [[0.0]] * 4


def test_jams_has_no_number_for_nan(make_result: Any, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="NaN"):
        formats.export(make_result("a", Framewise(), np.float32([np.nan])), tmp_path / "a.jams")


def test_audacity_labels(onsets: Result, silence: Result, chords: Result, tmp_path: Path) -> None:
    assert exported(onsets, tmp_path / "a.txt") == "0.250000\t0.250000\ton set\n2.500000\t2.500000\ton set\n"
    assert exported(chords, tmp_path / "b.txt").splitlines()[1] == "0.500000\t1.500000\t0.1"
    assert exported([onsets, silence], tmp_path / "c.txt").splitlines() == [
        "0.100000\t0.300000\tsilence: silence",
        "0.250000\t0.250000\tonsets: on set",
        '0.300000\t1.300000\tsilence: "sound"',
        "2.500000\t2.500000\tonsets: on set",
    ]


def test_textgrid(onsets: Result, silence: Result, tmp_path: Path) -> None:
    assert exported([silence, onsets], tmp_path / "a.TextGrid").split("\n") == [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0.0",
        "xmax = 10.0",
        "tiers? <exists>",
        "size = 2",
        "item []:",
        "    item [1]:",
        '        class = "IntervalTier"',
        '        name = "silence"',
        "        xmin = 0.0",
        "        xmax = 10.0",
        "        intervals: size = 4",
        "        intervals [1]:",
        "            xmin = 0.0",
        "            xmax = 0.1",
        '            text = ""',
        "        intervals [2]:",
        "            xmin = 0.1",
        "            xmax = 0.3",
        '            text = "silence"',
        "        intervals [3]:",
        "            xmin = 0.3",
        "            xmax = 1.3",
        '            text = """sound"""',
        "        intervals [4]:",
        "            xmin = 1.3",
        "            xmax = 10.0",
        '            text = ""',
        "    item [2]:",
        '        class = "TextTier"',
        '        name = "onsets"',
        "        xmin = 0.0",
        "        xmax = 10.0",
        "        points: size = 2",
        "        points [1]:",
        "            number = 0.25",
        '            mark = "on set"',
        "        points [2]:",
        "            number = 2.5",
        '            mark = "on set"',
        "",
    ]


def test_spans_that_overlap_take_several_tiers(chords: Result, tmp_path: Path) -> None:
    grid = exported(chords, tmp_path / "a.TextGrid")
    assert [line.strip() for line in grid.splitlines() if "name" in line] == ['name = "f0"', 'name = "f0 (2)"']
    root = ElementTree.fromstring(exported(chords, tmp_path / "a.eaf"))
    assert [(tier.get("TIER_ID"), len(tier)) for tier in root.findall("TIER")] == [("f0", 2), ("f0 (2)", 1)]


def test_elan(onsets: Result, silence: Result, tmp_path: Path) -> None:
    root = ElementTree.fromstring(exported([onsets, silence], tmp_path / "a.eaf"))
    assert root.attrib["FORMAT"] == "3.0"
    assert [element.tag for element in root] == [
        "HEADER",
        "TIME_ORDER",
        "TIER",
        "TIER",
        "LINGUISTIC_TYPE",
        "LINGUISTIC_TYPE",
        "LANGUAGE",
        "CONTROLLED_VOCABULARY",
        "CONTROLLED_VOCABULARY",
    ]
    slots = {slot.attrib["TIME_SLOT_ID"]: int(slot.attrib["TIME_VALUE"]) for slot in root.iter("TIME_SLOT")}
    spans = [
        (slots[each.attrib["TIME_SLOT_REF1"]], slots[each.attrib["TIME_SLOT_REF2"]], each.findtext("ANNOTATION_VALUE"))
        for each in root.iter("ALIGNABLE_ANNOTATION")
    ]
    assert spans == [(250, 251, "on set"), (2500, 2501, "on set"), (100, 300, "silence"), (300, 1300, '"sound"')]
    assert [entry.findtext("CVE_VALUE") for entry in root.iter("CV_ENTRY_ML")] == ["on set", "silence", '"sound"']
    types = {each.attrib["LINGUISTIC_TYPE_ID"] for each in root.iter("LINGUISTIC_TYPE")}
    assert {tier.attrib["LINGUISTIC_TYPE_REF"] for tier in root.iter("TIER")} <= types
    ids = [each.attrib[name] for name in ("ANNOTATION_ID", "CVE_ID") for each in root.iter() if name in each.attrib]
    assert len(ids) == len(set(ids))
    url = root.find("HEADER/MEDIA_DESCRIPTOR").attrib["MEDIA_URL"]
    assert url.startswith("file:///")
    assert url.endswith("Chants%20d%27%C3%A9t%C3%A9/%E2%84%96%203%20%3Cb%3E.flac")


def svl(result: Result, path: Path) -> tuple[dict[str, str], str, list[ElementTree.Element]]:
    root = ElementTree.fromstring(exported(result, path))
    model, dataset = root.find("data/model").attrib, root.find("data/dataset")
    assert model["dataset"] == dataset.get("id")
    assert model["dimensions"] == dataset.get("dimensions")
    assert root.find("display/layer").get("model") == model["id"]
    return model, root.find("display/layer").get("type"), list(dataset)


def test_sonic_visualiser_layers(make_result: Any, onsets: Result, silence: Result, tmp_path: Path) -> None:
    _, layer, points = svl(onsets, tmp_path / "a.svl")
    assert (layer, points[0].attrib) == ("timeinstants", {"frame": "110250", "label": "on set"})
    _, layer, points = svl(silence, tmp_path / "b.svl")
    region = {"frame": "4410", "value": "0", "duration": "8820", "label": "silence"}
    assert (layer, points[0].attrib) == ("regions", region)
    model, layer, points = svl(make_result("f0", Framewise(unit="Hz"), np.float32([0.1, 2])), tmp_path / "c.svl")
    assert (layer, model["minimum"], model["maximum"], model["units"]) == ("timevalues", "0.1", "2.0", "Hz")
    assert [point.attrib for point in points] == [
        {"frame": "441", "value": "0.1", "label": ""},
        {"frame": "882", "value": "2.0", "label": ""},
    ]
    grid = make_result("chroma", Framewise(), np.float32([[1, 2], [3, 4.5]]), bins=("C", "C♯"))
    model, layer, rows = svl(grid, tmp_path / "d.svl")
    assert (layer, model["windowSize"], model["yBinCount"], model["startFrame"]) == ("colour3dplot", "441", "2", "220")
    assert [row.get("name") or row.text for row in rows] == ["C", "C♯", "1.0 2.0", "3.0 4.5"]


def test_a_grid_needs_a_whole_hop(make_result: Any, tmp_path: Path) -> None:
    media, stream = Media(uri="a.wav", samplerate=48_000, channels=1), Stream(samplerate=22_050, hop_length=512)
    with pytest.raises(FormatError, match="a hop of 512 samples at 22050 Hz is no whole number"):
        formats.export(
            make_result("mfcc", Framewise(), np.zeros((2, 3)), media=media, stream=stream), tmp_path / "a.svl"
        )


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jams", ".txt", ".TextGrid", ".eaf", ".svl"])
def test_a_result_without_rows_has_a_file(make_result: Any, tmp_path: Path, suffix: str) -> None:
    formats.export(make_result("onsets", Events(labels=("onset",)), np.empty(0, np.int32)), tmp_path / f"a{suffix}")
    formats.export(make_result("none", Segments(), np.empty(0, np.float32)), tmp_path / f"a{suffix}")
    assert (tmp_path / f"a{suffix}").exists()


@pytest.mark.parametrize("suffix", [".txt", ".TextGrid", ".eaf", ".svl"])
def test_what_has_no_form_is_named(assorted: Results, tmp_path: Path, suffix: str) -> None:
    with pytest.raises(FormatError, match=r"holds .* results; leave out .*level\.max \(global\)"):
        formats.export(assorted, tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_a_layer_is_of_one_result_and_an_annotation_of_one_media(
    onsets: Result, silence: Result, tmp_path: Path
) -> None:
    with pytest.raises(FormatError, match="one result, not of 2"):
        formats.export([onsets, silence], tmp_path / "a.svl")
    other = replace(
        silence, provenance=replace(silence.provenance, media=replace(silence.provenance.media, uri="b.wav"))
    )
    for suffix in (".TextGrid", ".eaf", ".jams"):
        with pytest.raises(FormatError, match="results of 2 media"):
            formats.export([onsets, other], tmp_path / f"a{suffix}")


def test_export_writes_every_format(onsets: Result, tmp_path: Path) -> None:
    for each in formats.FORMATS.values():
        for suffix in each.suffixes:
            formats.export(onsets, tmp_path / f"a{suffix}")
            formats.check(suffix)
    with pytest.raises(FormatError, match="is unknown"):
        formats.check("doc")
