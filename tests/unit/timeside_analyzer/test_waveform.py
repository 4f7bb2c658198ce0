"""Rows of a waveform are the minimum, maximum and RMS of their samples, the last ones included."""

import numpy as np
import pytest

from timeside_analyzer.waveform import Waveform
from timeside_core import Stream
from timeside_core.testing import analyze, signal


def expected_rows(audio, hop_length):
    pieces = [audio[first : first + hop_length] for first in range(0, len(audio), hop_length)]
    return {
        "min": np.array([piece.min(axis=0) for piece in pieces]),
        "max": np.array([piece.max(axis=0) for piece in pieces]),
        "rms": np.array([np.sqrt((piece.astype(float) ** 2).mean(axis=0)) for piece in pieces]),
    }


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize(
    ("samples", "hop_length"), [(1, 256), (255, 256), (256, 256), (100_000, 256), (70_000, 50_000)]
)
def test_rows_are_those_of_the_samples(samples, hop_length, channels):
    audio = np.random.default_rng(440).standard_normal((samples, channels)).astype(np.float32)
    found = analyze(Waveform(hop_length=hop_length), audio)
    for name, rows in expected_rows(audio, hop_length).items():
        assert found[name].values.dtype == np.float32
        assert found[name].values.shape == (-(-samples // hop_length), channels)
        assert np.allclose(found[name].values, rows, rtol=1e-5)


def test_rows_do_not_depend_on_the_pieces_that_come():
    rng = np.random.default_rng(440)
    audio = rng.standard_normal((10_000, 2)).astype(np.float32)
    stream = Stream(samplerate=8_000, channels=2)
    analyzer = Waveform().working_copy(stream)
    analyzer.start(stream)
    pieces = [piece for piece in np.split(audio, np.sort(rng.integers(0, 10_000, 60))) if len(piece)]
    made = [rows for rows in (*map(analyzer.process, pieces), analyzer.finish()) if rows is not None]
    for name, rows in expected_rows(audio, 256).items():
        assert np.allclose(np.concatenate([each[name] for each in made]), rows, rtol=1e-5)


def test_times_are_the_centres_of_the_rows():
    clock = Waveform(hop_length=100).clock(Stream(samplerate=1000, channels=2, start_s=3))
    assert clock.times(0, 2).tolist() == pytest.approx([3.05, 3.15])


def test_no_signal_no_rows():
    assert all(len(rows) == 0 for rows in analyze(Waveform(), signal("empty")).values())
