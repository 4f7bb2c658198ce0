"""What pictures and points are drawn from: the rows and the level that a span and a size need, and no more."""

from pathlib import Path

import numpy as np
import pytest

from timeside_core import Array, Results, get_processor
from timeside_core.outputs import Rows
from timeside_core.pyramid import WAVEFORM_ROWS
from timeside_core.store import ResultKey, Store, StoredResult
from timeside_core.store.reader import MARGIN_ROWS, ROWS_PER_COLUMN, level_clock, level_for, rows_between
from timeside_decoder.array import ArrayDecoder

SAMPLERATE = 8000


def kept(folder: Path, processor: str, seconds: float, **parameters: object) -> tuple[Results, StoredResult]:
    """A result, in memory and in the store."""
    audio: Array = np.random.default_rng(440).uniform(-1, 1, (round(seconds * SAMPLERATE), 1)).astype(np.float32)
    wanted = get_processor(processor).from_parameters(parameters)
    made = (ArrayDecoder(audio, samplerate=SAMPLERATE) | wanted).run()
    store = Store(folder.as_uri())
    outputs = {each.id.partition(".")[2]: each for each in made}
    writer = store.writer(
        ResultKey("0" * 64, "p", "1", "0" * 64), {name: each.output for name, each in outputs.items()}
    )
    for name, each in outputs.items():
        values = each.values[np.newaxis] if each.output.time_mode == "global" else each.values
        writer.append(name, Rows(values, each.event_times, each.event_durations))
    written = writer.finish(made[0].provenance, made[0].stream, {name: each.bins for name, each in outputs.items()})
    return made, store.result(written.prefix)


@pytest.mark.parametrize(("start_s", "stop_s", "columns"), [(None, None, 100), (3.0, 50.0, 64), (10.0, 10.5, 500)])
def test_a_waveform_has_the_extremes_of_the_span_in_a_bounded_number_of_rows(
    tmp_path: Path, start_s: float | None, stop_s: float | None, columns: int
):
    made, stored = kept(tmp_path, "waveform_analyzer", 60, hop_length=16)
    low = {each.id: each for each in stored.shown(start_s, stop_s, columns)}["waveform_analyzer.min"]
    full = {each.id: each for each in made}["waveform_analyzer.min"]
    assert len(low) <= max(2 * ROWS_PER_COLUMN * columns, WAVEFORM_ROWS) + 2 * MARGIN_ROWS + 2
    step = low.stream.hop_length // full.stream.hop_length
    for time, value in zip(low.times, low.values, strict=True):
        first = round((time - full.stream.start_s) * full.stream.row_rate - (step - 1) / 2)
        assert value == full.values[first : first + step].min()
    span = (0.0 if start_s is None else start_s), (60.0 if stop_s is None else stop_s)
    assert low.times[0] <= span[0] + 1 / low.stream.row_rate
    assert low.times[-1] >= span[1] - 1 / low.stream.row_rate


def test_what_is_not_made_for_display_is_read_whole(tmp_path: Path):
    made, stored = kept(tmp_path, "mfcc", 5)
    (shown,) = stored.shown(1.0, 2.0, 10)
    np.testing.assert_array_equal(shown.values, made[0].values)


@pytest.mark.parametrize("processor", ["mfcc", "level", "aubio_silence", "waveform_analyzer"])
def test_pieces_are_all_of_a_result(tmp_path: Path, processor: str):
    made, stored = kept(tmp_path, processor, 2)
    pieces = list(stored.pieces(7))
    for result in made:
        of_output = [each for each in pieces if each.id == result.id]
        assert all(0 < len(each) <= 7 for each in of_output)
        if result.output.time_mode == "global":
            np.testing.assert_array_equal(of_output[0].values, result.values)
            continue
        np.testing.assert_array_equal(np.concatenate([each.values for each in of_output]), result.values)
        np.testing.assert_allclose(np.concatenate([each.times for each in of_output]), result.times)
        np.testing.assert_allclose(np.concatenate([each.durations for each in of_output]), result.durations)


def test_rows_of_a_span_reach_half_a_hop_to_both_sides(tmp_path: Path):
    _, stored = kept(tmp_path, "waveform_analyzer", 1, hop_length=100)
    hop_s = 100 / SAMPLERATE
    assert rows_between(stored.stream, 80, None, None) == (0, 80)
    assert rows_between(stored.stream, 80, 2.5 * hop_s, 2.6 * hop_s) == (2, 3)
    assert rows_between(stored.stream, 80, 2.5 * hop_s, 3.5 * hop_s) == (2, 4)
    assert rows_between(stored.stream, 80, 500.0, 600.0) == (80, 80)


def test_the_coarsest_level_that_has_enough_rows():
    assert [level_for(1024, wanted, 8) for wanted in (1, 256, 257, 512, 1024, 5000)] == [8, 2, 1, 1, 0, 0]
    assert level_for(1024, 1, 3) == 3


def test_a_row_of_a_level_lies_in_the_middle_of_those_that_it_stands_for(tmp_path: Path):
    _, stored = kept(tmp_path, "waveform_analyzer", 1, hop_length=100)
    times = stored.stream.times(0, 8)
    np.testing.assert_allclose(level_clock(stored.stream, 2).times(0, 2), [times[:4].mean(), times[4:].mean()])
