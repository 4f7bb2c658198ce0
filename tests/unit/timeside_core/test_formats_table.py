"""A folder's table: one row for each media, whose cells are what numpy says they are."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from timeside_core import formats
from timeside_core.audio import Media
from timeside_core.errors import FormatError
from timeside_core.outputs import Framewise, Segments, Value
from timeside_core.results import Results

FAILED = {"uri": "bad.wav", "error": "holds no audio"}


def test_a_row_says_what_numpy_says(assorted: Results) -> None:
    row = formats.row(assorted)
    values = assorted[0].values
    assert (row["uri"], row["sha256"], row["duration_s"]) == (assorted[0].provenance.media.uri, "5e" * 32, 10)
    assert row["mfcc.count"] == 500
    for index in range(13):
        assert math.isclose(row[f"mfcc[{index}].mean"], values[:, index].astype(float).mean())
        assert math.isclose(row[f"mfcc[{index}].std"], values[:, index].astype(float).std())
        assert row[f"mfcc[{index}].min"] == values[:, index].min()
        assert row[f"mfcc[{index}].max"] == values[:, index].max()
        assert math.isclose(row[f"mfcc[{index}].median"], np.median(values[:, index]), rel_tol=1e-6)
    assert (row["zeros.mean"], row["zeros.max"], row["zeros.count"]) == (0, 0, 4)
    assert (row["level.max"], row["chroma.mean[C]"], row["key"], row["nothing"]) == (
        0,
        float(assorted["chroma.mean"].values[0]),
        "G",
        None,
    )
    assert "melspectrogram[55.5].median" in row
    assert (row["voiced[no].count"], row["voiced[oui, été].count"]) == (1, 2)
    assert (row["onsets.count"], row["onsets[onset].count"], row["no_onsets.count"]) == (2, 2, 0)
    assert (row["silence[silence].count"], row["silence[silence].duration_s"], row["silence[sound].duration_s"]) == (
        1,
        1.3,
        0.7,
    )
    assert (row["peaks.min"], row["peaks.mean"], row["peaks.max"]) == (0, 0.5, 1)
    assert (row["mfcc#2.count"], row["mfcc#2[0].mean"]) == (0, None)
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_media_that_failed_have_a_row(make_result: Any, assorted: Results) -> None:
    other = Media(uri="b.wav", samplerate=8000, channels=1)
    columns = formats.table([FAILED, assorted[4:5], Results([make_result("key", Value(), 2, media=other)])])
    assert list(columns) == ["uri", "sha256", "duration_s", "error", "level.max", "key"]
    assert columns["error"] == ["holds no audio", None, None]
    assert columns["level.max"] == [None, 0.0, None]
    assert columns["key"] == [None, None, 2]
    assert columns["duration_s"] == [None, 10, None]


def test_files_and_frames_agree(assorted: Results, tmp_path: Path) -> None:
    rows = [assorted, FAILED, formats.row(assorted[:3])]
    for name in ("a.csv", "a.parquet"):
        formats.write_table(rows, tmp_path / name)
    columns = formats.table(rows)
    frame = formats.to_pandas(rows)
    stored = pd.read_parquet(tmp_path / "a.parquet")
    assert list(frame) == list(stored) == list(columns)
    for name, column in columns.items():
        assert [None if pd.isna(cell) else cell for cell in stored[name]] == column
        assert [None if pd.isna(cell) else cell for cell in frame[name]] == column
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["uri"] for line in lines] == columns["uri"]
    assert [float(line["mfcc[0].mean"] or "nan") for line in lines][0::2] == columns["mfcc[0].mean"][0::2]


def test_no_media_make_an_empty_table(tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet"):
        formats.write_table([], tmp_path / name)
    assert (tmp_path / "a.csv").read_text() == "uri,sha256,duration_s,error\n"
    assert len(pd.read_parquet(tmp_path / "a.parquet")) == 0


def test_results_are_let_go_one_by_one(make_result: Any) -> None:
    alive: set[int] = set()

    class Counted(Results):
        def __del__(self) -> None:
            alive.discard(id(self))

    def media() -> Iterator[Results]:
        for _ in range(20):
            results = Counted([make_result("pitch", Framewise(), np.zeros(10))])
            alive.add(id(results))
            yield results
            del results
            assert len(alive) <= 1

    assert len(formats.table(media())["uri"]) == 20


def test_a_table_that_cannot_be_is_refused(make_result: Any, assorted: Results, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"a\.xlsx: a table is written as \.csv or \.parquet"):
        formats.check_table(tmp_path / "a.xlsx")
    with pytest.raises(FormatError, match="cannot be written"):
        formats.write_table([FAILED], tmp_path / "nowhere" / "a.csv")
    with pytest.raises(FormatError, match="of 0 media"):
        formats.row(Results())


def test_values_of_segments_are_summed_up(make_result: Any) -> None:
    times = np.arange(3.0)
    notes = make_result("f0", Segments(unit="Hz"), [1.0, 2.0, 6.0], event_times=times, event_durations=times)
    row = formats.row(Results([notes]))
    assert (row["f0.count"], row["f0.mean"], row["f0.median"]) == (3, 3.0, 2.0)
