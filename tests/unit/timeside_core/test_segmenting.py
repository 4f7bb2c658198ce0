"""Segments of an endless stream: joined, their rows are those of one pass; each is a result of its own.

Intentionally not checked: that trackers which remember everything find the same in segments. They do not.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from timeside_core import (
    Analyzer,
    Array,
    Effect,
    Events,
    Framewise,
    Media,
    Mono,
    Resampled,
    Result,
    Results,
    Stream,
    get_processor,
)
from timeside_core.engine import Wanted
from timeside_core.errors import CancelledError, PipelineError, ProcessorError
from timeside_core.segmenting import GRID_SAMPLES, SegmentedEngine, by_segment
from timeside_core.testing import SETTINGS
from timeside_decoder.array import ArrayDecoder

SAMPLERATE = 22_050
SAMPLES = 13 * SAMPLERATE + 777
PLAIN = ("rms", "zero_crossing_rate", "waveform_analyzer", "spectral_centroid", "spectral_rolloff", "spectral_contrast",
         "melspectrogram", "mfcc", "chroma", "spectrogram_analyzer", "aubio_pitch", "aubio_melenergy",
         "aubio_mfcc")  # fmt: skip
"""Their rows depend on their own frames."""
REMEMBERING = ("aubio_specdesc", "onset_strength", "onset_detection_function", "loudness_itu")
"""Theirs depend on more, which `context_s` tells."""


class Clicks(Analyzer, id="clicks_of_a_test", version="1.0"):
    """Samples above one half."""

    input: Mono = Mono()
    output = Events()

    def process(self, samples: Array) -> Array:
        return self.times[samples > 0.5]


class Counted(Analyzer, id="counted_of_a_test", version="1.0"):
    """Counts its copies that have started and not been closed."""

    input: Mono = Mono()
    output = Framewise()
    fails_at_s: float = float("inf")
    open_now: ClassVar[int] = 0
    open_most: ClassVar[int] = 0

    def start(self, stream: Stream) -> None:
        Counted.open_now += 1
        Counted.open_most = max(Counted.open_most, Counted.open_now)

    def process(self, samples: Array) -> Array:
        if self.times[-1] > self.fails_at_s:
            raise ProcessorError("it fails")
        return samples

    def close(self) -> None:
        Counted.open_now -= 1


@cache
def signal(samplerate: int = SAMPLERATE, channels: int = 2, samples: int = SAMPLES) -> Array:
    """Notes, pauses and a little noise, shape `(samples, channels)`."""
    rng = np.random.default_rng(440)
    t = np.arange(samples)[:, np.newaxis] / samplerate
    loud = np.cos(2 * np.pi * 0.7 * t) > -0.3
    tones = 0.3 * np.sin(2 * np.pi * (220 + 40 * np.floor(2 * t)) * t * (1 + np.arange(channels)))
    return (loud * (tones + 0.02 * rng.standard_normal((samples, channels)))).astype(np.float32)


def whole(audio: Array, *analyzers: Analyzer, samplerate: int = SAMPLERATE, **part: float) -> Results:
    """The results of one pass."""
    pipeline = ArrayDecoder(audio, samplerate, **part) | analyzers[0]
    for analyzer in analyzers[1:]:
        pipeline = pipeline | analyzer
    return pipeline.run()


def engine(audio: Array, *analyzers: Analyzer, samplerate: int = SAMPLERATE, **how: Any) -> SegmentedEngine:
    """An engine for the segments of such audio."""
    stream = Stream(samplerate=samplerate, channels=audio.shape[1])
    media = Media(uri="live:test", samplerate=samplerate, channels=audio.shape[1])
    return SegmentedEngine([Wanted(each) for each in analyzers], media, stream, **how)


def segmented(audio: Array, *analyzers: Analyzer, cuts: Sequence[int] = (), **how: Any) -> list[Results]:
    """The results of all segments."""
    with engine(audio, *analyzers, **how) as segments:
        found = [results for piece in np.split(audio, sorted(cuts)) for results in segments.push(piece)]
        return [*found, *segments.finish()]


def joined(parts: Sequence[Results], id: str) -> tuple[Array, Array]:
    """Times and values of a result over all segments."""
    results = [part[id] for part in parts]
    return np.concatenate([each.times for each in results]), np.concatenate([each.values for each in results])


def assert_equal(parts: Sequence[Results], expected: Result, *, atol: float = 0.0) -> None:
    times, values = joined(parts, expected.id)
    assert values.shape == expected.values.shape, expected.id
    assert np.allclose(times, expected.times, rtol=0, atol=1e-9), expected.id
    scale = float(np.abs(expected.values).max(initial=1e-6))
    assert np.allclose(values, expected.values, rtol=0, atol=1e-5 * scale + atol), expected.id


@cache
def one_pass() -> Results:
    return whole(signal(), *(get_processor(id)() for id in (*PLAIN, *REMEMBERING)))


EXACT = st.integers(15, 40).map(lambda n: n * GRID_SAMPLES / SAMPLERATE)
"""Lengths of segments whose pre-roll is not a sample longer than it need be."""


@settings(max_examples=8, phases=(Phase.explicit, Phase.generate), **SETTINGS)
@given(
    segment_s=EXACT | st.floats(2.7, 7.0),
    preroll_s=st.just(0.0) | st.floats(0, 1),
    cuts=st.lists(st.integers(0, SAMPLES), max_size=60),
)
def test_joined_rows_equal_those_of_one_pass(segment_s: float, preroll_s: float, cuts: list[int]):
    analyzers = [get_processor(id)() for id in (*PLAIN, *REMEMBERING)]
    parts = segmented(signal(), *analyzers, cuts=cuts, segment_s=segment_s, preroll_s=preroll_s)
    framewise = [result for result in one_pass() if result.output.time_mode == "framewise"]
    assert len(framewise) > len(analyzers)
    for expected in framewise:  # decibels of silence hang on rounding
        assert_equal(parts, expected, atol=2e-3 if expected.output.unit.startswith(("dB", "LU")) else 0)


@pytest.mark.parametrize("id", REMEMBERING)
def test_what_a_row_remembers_is_fed(id: str):
    """Alone, and where half a frame of pre-roll would begin on the grid: nothing more is fed by chance."""
    framewise = [
        each for each in one_pass() if each.provenance.processor == id and each.output.time_mode == "framewise"
    ]
    segment_s = (15 * GRID_SAMPLES + framewise[0].stream.frame_length // 2) / SAMPLERATE
    parts = segmented(signal(), get_processor(id)(), segment_s=segment_s, preroll_s=0)
    for expected in framewise:
        assert_equal(parts, expected, atol=2e-3 if expected.output.unit.startswith(("dB", "LU")) else 0)


@pytest.mark.parametrize(
    ("samplerate", "target"), [(44_100, 22_050), (48_000, 22_050), (22_050, 48_000), (8000, 16_000)]
)
def test_resampled_frames_lie_where_they_do_in_one_pass(samplerate: int, target: int):
    audio = signal(samplerate, 1, 11 * samplerate + 5)
    analyzer = get_processor("rms")(source=Resampled(samplerate=target))
    (expected,) = whole(audio, analyzer, samplerate=samplerate)
    parts = segmented(audio, analyzer, samplerate=samplerate, segment_s=4.0, preroll_s=0.001)
    assert_equal(parts, expected)


def test_rates_without_a_common_measure_are_close():
    """Then frames lie elsewhere in each segment, and say so."""
    audio = signal(44_101, 1, 11 * 44_101)
    analyzer = get_processor("rms")(source=Resampled(samplerate=22_050))
    (expected,) = whole(audio, analyzer, samplerate=44_101)
    times, values = joined(segmented(audio, analyzer, samplerate=44_101, segment_s=4.0), "rms")
    assert (np.diff(times) > 0).all()
    assert np.allclose(values, np.interp(times, expected.times, expected.values), atol=0.02)


def test_a_window_is_as_long_as_a_segment_allows():
    """A tempogram's window of 2 s, with what it reads, fits into segments of 2.8 s."""
    analyzer = get_processor("tempogram")(win_length=86)
    (expected,) = whole(signal(), analyzer)
    parts = segmented(signal(), analyzer, segment_s=15 * GRID_SAMPLES / SAMPLERATE, preroll_s=0)
    assert_equal(parts, expected, atol=1e-3)


def test_effects_are_upstream():
    gain = get_processor("fx_gain")(gain=0.5)
    assert isinstance(gain, Effect)
    wanted = Wanted(get_processor("rms")(), (gain,))
    stream, media = Stream(samplerate=SAMPLERATE, channels=2), Media(uri="live:", samplerate=SAMPLERATE, channels=2)
    with SegmentedEngine([wanted], media, stream, segment_s=3.0) as segments:
        parts = [*segments.push(signal()), *segments.finish()]
    (expected,) = whole(signal() * np.float32(0.5), wanted.step)
    assert_equal(parts, expected)
    assert parts[0]["rms"].provenance.effects


def test_each_segment_is_a_result_of_its_own():
    parts = segmented(signal(), get_processor("rms")(), get_processor("level")(), segment_s=3.0)
    provenances = [part["rms"].provenance for part in parts]
    assert [each.segment.first_sample for each in provenances] == [n * 3 * SAMPLERATE for n in range(5)]
    assert [each.segment.samples for each in provenances] == [*[3 * SAMPLERATE] * 4, SAMPLERATE + 777]
    assert len({each.digest for each in provenances}) == 5
    assert {each.media.uri for each in provenances} == {"live:test"}
    assert all(part.ids() == ("rms", "level.max", "level.rms") for part in parts)
    for part, provenance in zip(parts, provenances, strict=True):
        first_s = provenance.segment.first_sample / SAMPLERATE
        assert ((part["rms"].times >= first_s - 1e-9) & (part["rms"].times <= first_s + 3)).all()


def test_global_values_are_those_of_the_segment_alone():
    level = get_processor("level")()
    for n, part in enumerate(segmented(signal(), level, segment_s=2.5)):
        duration = min(2.5, SAMPLES / SAMPLERATE - n * 2.5)
        alone = whole(signal(), level, start=n * 2.5, duration=duration)
        assert [result.values for result in part] == [result.values for result in alone]


def test_a_stream_that_begins_later():
    stream = Stream(samplerate=SAMPLERATE, channels=2, start_s=100.0)
    media = Media(uri="live:test", samplerate=SAMPLERATE, channels=2)
    with SegmentedEngine([Wanted(get_processor("rms")())], media, stream, segment_s=3.0) as segments:
        parts = [*segments.push(signal()), *segments.finish()]
    assert parts[1][0].provenance.segment.first_sample == 103 * SAMPLERATE
    times, _ = joined(parts, "rms")
    assert np.allclose(times, 100 + np.arange(len(times)) * 512 / SAMPLERATE)


def test_each_event_is_told_once():
    audio = np.zeros((SAMPLES, 1), np.float32)
    at = np.unique([0, 1, SAMPLERATE * 3 - 1, SAMPLERATE * 3, SAMPLERATE * 3 + 1, SAMPLES - 1, *range(7, SAMPLES, 999)])
    audio[at] = 1
    parts = segmented(audio, Clicks(), segment_s=3.0)
    times, _ = joined(parts, "clicks_of_a_test")
    assert np.allclose(times, at / SAMPLERATE)


def test_intervals_are_cut_where_segments_are():
    silence = get_processor("aubio_silence")()
    (expected,) = whole(signal(), silence)
    parts = segmented(signal(), silence, segment_s=3.0)
    times, labels = joined(parts, "aubio_silence")
    ends = times + np.concatenate([part[0].event_durations for part in parts])
    assert times[0] == 0
    assert ends[-1] == pytest.approx(SAMPLES / SAMPLERATE)
    assert np.allclose(times[1:], ends[:-1])  # nothing is left out, nothing is told twice
    assert {0.0, 3.0, 6.0, 9.0, 12.0} <= set(times.round(9))
    at = np.arange(0, SAMPLES / SAMPLERATE, 0.01)
    before = np.searchsorted(expected.times, at, side="right") - 1
    assert np.array_equal(labels[np.searchsorted(times, at, side="right") - 1], expected.values[before])


@settings(max_examples=10, phases=(Phase.explicit, Phase.generate), **SETTINGS)
@given(died_at=st.integers(1, SAMPLES - 1))
def test_after_a_crash_a_replay_from_the_watermark_gives_the_same(died_at: int):
    audio, analyzers = signal(), [get_processor(id)() for id in ("rms", "level", "onset_strength", "loudness_itu")]
    expected = segmented(audio, *analyzers, segment_s=3.0)
    with engine(audio, *analyzers, segment_s=3.0) as died:
        done = died.push(audio[:died_at])
        segment, watermark = died.segment, died.low_watermark
    assert segment == len(done)
    assert 0 <= died_at - watermark <= 10 * SAMPLERATE
    with engine(audio, *analyzers, segment_s=3.0, first_segment=segment) as risen:
        assert risen.low_watermark == watermark
        done += [*risen.push(audio[watermark:]), *risen.finish()]
    assert len(done) == len(expected)
    for one, other in zip(done, expected, strict=True):
        for found, wanted in zip(one, other, strict=True):
            assert found.provenance.segment == wanted.provenance.segment
            assert np.array_equal(found.values, wanted.values)
            assert np.array_equal(found.times, wanted.times)


@pytest.mark.parametrize("samples", [0, 1, 3 * SAMPLERATE, 3 * SAMPLERATE + 1, 6 * SAMPLERATE])
def test_short_streams(samples: int):
    rms = get_processor("rms")()
    parts = segmented(signal()[:samples], rms, segment_s=3.0)
    assert len(parts) == -(-samples // (3 * SAMPLERATE))
    assert sum(len(part[0]) for part in parts) == len(whole(signal()[:samples], rms)[0])


@pytest.mark.parametrize("pieces", [1, 500])
def test_memory_is_bounded_and_nothing_stays_open(pieces: int):
    Counted.open_most = 0
    with engine(signal(), Counted(), segment_s=0.5, preroll_s=9.0) as segments:
        for piece in np.array_split(signal(), pieces):
            segments.push(piece)
    assert Counted.open_most <= 4
    assert Counted.open_now == 0


def test_a_step_that_fails_closes_all():
    with pytest.raises(ProcessorError, match="it fails"):
        segmented(signal(), Counted(fails_at_s=4.0), segment_s=3.0)
    assert Counted.open_now == 0


def test_only_analyzers():
    with pytest.raises(PipelineError, match="'flac_encoder' cannot run segment by segment"):
        engine(signal(), get_processor("flac_encoder")("a.flac"))


def test_by_segment():
    pipeline = ArrayDecoder(signal(), SAMPLERATE) | get_processor("rms")()
    assert_equal(list(by_segment(pipeline, segment_s=3.0)), whole(signal(), get_processor("rms")())[0])
    assert len(pipeline.results) == 0


def test_by_segment_can_be_cancelled():
    import threading

    cancel = threading.Event()
    found = by_segment(ArrayDecoder(signal(), SAMPLERATE) | get_processor("rms")(), segment_s=3.0, cancel=cancel)
    next(found)
    cancel.set()
    with pytest.raises(CancelledError):
        list(found)
