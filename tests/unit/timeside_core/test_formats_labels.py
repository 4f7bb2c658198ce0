"""Labels read from files of other programs: what our own writers write, what these programs write, and garbage."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from timeside_core import formats
from timeside_core.errors import FormatError
from timeside_core.formats.labels import READERS, Label, read_labels
from timeside_core.outputs import Events, Segments
from timeside_core.results import Result

SUFFIXES = {"audacity": ".txt", "textgrid": ".TextGrid", "jams": ".jams", "csv": ".csv", "elan": ".eaf"}
TEXTS = ("verse", 'a "quoted" é', "…")


@pytest.fixture
def segments(make_result: Any) -> Result:
    times, durations = np.array([0.5, 1.25, 3.0]), np.array([0.5, 1.5, 2.0])
    return make_result(
        "parts", Segments(labels=TEXTS), np.array([0, 1, 2]), event_times=times, event_durations=durations
    )


@pytest.fixture
def events(make_result: Any) -> Result:
    return make_result("beats", Events(labels=TEXTS), np.array([0, 1, 2]), event_times=np.array([0.5, 1.25, 3.0]))


def written(result: Result, format: str, folder: Path) -> bytes:
    path = folder / f"x{SUFFIXES.get(format, '.svl')}"
    formats.export(result, path)
    return path.read_bytes()


@pytest.mark.parametrize("format", READERS)
def test_segments_that_were_written_are_read(format: str, segments: Result, tmp_path: Path) -> None:
    labels = read_labels(written(segments, format, tmp_path), format)
    assert [each.text for each in labels] == list(TEXTS)
    assert [each.start_s for each in labels] == pytest.approx([0.5, 1.25, 3.0], abs=1e-3)
    assert [each.stop_s for each in labels] == pytest.approx([1.0, 2.75, 5.0], abs=1e-3)


@pytest.mark.parametrize("format", [each for each in READERS if each != "elan"])  # which has no moments
def test_moments_that_were_written_are_read(format: str, events: Result, tmp_path: Path) -> None:
    labels = read_labels(written(events, format, tmp_path), format)
    assert [(each.text, each.stop_s) for each in labels] == [(text, None) for text in TEXTS]
    assert [each.start_s for each in labels] == pytest.approx([0.5, 1.25, 3.0], abs=1e-3)


def test_a_short_textgrid_in_utf_16() -> None:
    tiers = ['"IntervalTier" "words" 0 2.5 3', '0 1 ""', '1 2 "say ""ah"""', '2 2.5 ""', '"TextTier" "clicks" 0 2.5 1']
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "0",
        "2.5",
        "<exists>",
        "2",
        *tiers,
        '0.75 "k"',
    ]
    text = "\n".join(lines)
    assert read_labels(text.encode("utf-16"), "textgrid") == [
        Label(start_s=1, stop_s=2, text='say "ah"', tier="words"),
        Label(start_s=0.75, text="k", tier="clicks"),
    ]


def test_audacity_with_frequencies_and_commas() -> None:
    labels = read_labels(b"0,5\t1,5\ta\tb\n\\\t100,0\t200,0\n2.000000\t2.000000\t\n", "audacity")
    assert labels == [Label(start_s=0.5, stop_s=1.5, text="a\tb"), Label(start_s=2)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1,2,a\n", Label(start_s=1, stop_s=2, text="a")),
        ("1.5;a\n", Label(start_s=1.5, text="a")),
        ("Onset,Duration,Label\n1,2,a\n", Label(start_s=1, stop_s=3, text="a")),
        ("tmin\ttier\ttext\ttmax\n1\tw\tah\t2\n", Label(start_s=1, stop_s=2, text="ah", tier="w")),
        ("time_s,value\n1,440\n", Label(start_s=1, value=440)),
        ("time_s,value\n1,loud\n", Label(start_s=1, text="loud")),
    ],
)
def test_tables(text: str, wanted: Label) -> None:
    assert read_labels(text.encode(), "csv") == [wanted]


def test_jams_of_columns() -> None:
    text = b"""{"annotations": [{"namespace": "beat", "data":
        {"time": [1, 2], "duration": [0, 0.5], "value": [3, "x"], "confidence": [null, null]}}]}"""
    assert read_labels(text, "jams") == [
        Label(start_s=1, value=3, tier="beat"),
        Label(start_s=2, stop_s=2.5, text="x", tier="beat"),
    ]


def test_elan_annotations_that_refer_to_others_and_slots_without_times() -> None:
    text = """<ANNOTATION_DOCUMENT><TIME_ORDER>
      <TIME_SLOT TIME_SLOT_ID="a" TIME_VALUE="1000"/><TIME_SLOT TIME_SLOT_ID="b"/>
      <TIME_SLOT TIME_SLOT_ID="c" TIME_VALUE="3000"/></TIME_ORDER>
      <TIER TIER_ID="w"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="1" TIME_SLOT_REF1="a" TIME_SLOT_REF2="b">
      <ANNOTATION_VALUE>x</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
      <TIER TIER_ID="t"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="2" ANNOTATION_REF="1">
      <ANNOTATION_VALUE>y</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>"""
    assert read_labels(text.encode(), "elan") == [
        Label(start_s=1, stop_s=2, text="x", tier="w"),
        Label(start_s=1, stop_s=2, text="y", tier="t"),
    ]


@pytest.mark.parametrize("format", READERS)
@pytest.mark.parametrize("seed", range(3))
def test_damage_is_refused_or_read_but_never_fails_otherwise(
    format: str, seed: int, segments: Result, tmp_path: Path
) -> None:
    whole = written(segments, format, tmp_path)
    rng = np.random.default_rng(440 + seed)
    for _ in range(60):
        data = bytearray(whole[: int(rng.integers(1, len(whole) + 1))])
        for place in rng.integers(0, len(data), 3):
            data[place] = int(rng.integers(0, 256))
        try:
            labels = read_labels(bytes(data), format)
        except FormatError:
            continue
        assert all(label.start_s >= 0 and (label.stop_s is None or label.stop_s >= label.start_s) for label in labels)


def test_a_document_with_entities_is_refused() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'
    with pytest.raises(FormatError, match="no elan file"):
        read_labels(bomb, "elan")


def test_times_that_are_none_are_refused() -> None:
    for line in (b"nan\t1\ta", b"-1\t1\ta", b"2\t1\ta", b"1\tinf\ta"):
        with pytest.raises(FormatError):
            read_labels(line, "audacity")
    with pytest.raises(FormatError, match="unknown"):
        read_labels(b"", "doc")
