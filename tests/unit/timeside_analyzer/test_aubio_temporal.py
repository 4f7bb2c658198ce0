"""Onsets and beats lie where they are played, and where aubio finds them."""

import aubio
import numpy as np
import pytest

from timeside_analyzer.aubio_temporal import AubioTemporal
from timeside_core import Pipeline
from timeside_core.errors import ParameterError
from timeside_core.testing import analyze
from timeside_decoder.array import ArrayDecoder

SAMPLERATE = 44_100


def played(bpm=120.0, duration_s=20.0, decay_s=0.08, noise=0.003, samplerate=SAMPLERATE):
    """Struck notes at a steady pulse over a little noise, shape `(samples,)`; and when they are struck, s."""
    rng = np.random.default_rng(440)
    struck = np.arange(0.3, duration_s - 0.5, 60 / bpm)
    audio = noise * rng.standard_normal(round(duration_s * samplerate))
    t = np.arange(round(0.25 * samplerate)) / samplerate
    for n, at_s in enumerate(struck):
        first = round(at_s * samplerate)
        note = 0.4 * np.sin(2 * np.pi * (220 + 110 * (n % 4)) * t) + 0.1 * rng.standard_normal(len(t))
        audio[first : first + len(t)] += note * np.exp(-t / decay_s)
    return audio.astype(np.float32), struck


def found_in(audio, samplerate=SAMPLERATE, **parameters):
    return analyze(AubioTemporal(**parameters), audio[:, np.newaxis], samplerate=samplerate)


def farthest(times, others):
    """Largest distance from one of `times` to the nearest of `others`, s."""
    return np.abs(np.subtract.outer(times, others)).min(axis=1).max()


def by_aubio(audio, samplerate, n_fft, hop_length):
    onset = aubio.onset("default", n_fft, hop_length, samplerate)
    tempo = aubio.tempo("default", n_fft, hop_length, samplerate)
    onsets, beats = [], []
    for hop in audio[: len(audio) // hop_length * hop_length].reshape(-1, hop_length):
        if onset(hop)[0]:
            onsets.append(onset.get_last())
        if tempo(hop)[0]:
            beats.append(tempo.get_last())
    return np.array(onsets) / samplerate, np.array(beats) / samplerate


@pytest.mark.parametrize(
    ("samplerate", "n_fft", "hop_length"),
    [(44_100, 1024, 256), (44_100, 2048, 256), (48_000, 1024, 512), (22_050, 512, 128), (96_000, 4096, 1024)],
)
def test_equals_aubio(samplerate, n_fft, hop_length):
    audio, _ = played(samplerate=samplerate)
    onsets, beats = by_aubio(audio, samplerate, n_fft, hop_length)
    found = found_in(audio, samplerate, n_fft=n_fft, hop_length=hop_length)
    np.testing.assert_allclose(found["onset"].times, onsets, rtol=0, atol=1.5 / samplerate)
    distances = np.abs(np.subtract.outer(beats, found["beat"].times)).min(axis=1)
    assert np.mean(distances < 1e-3) > 0.9  # one may be lost where two predictions meet
    assert abs(len(beats) - len(found["beat"])) <= 2


def test_onsets_are_where_notes_are_struck():
    audio, struck = played()
    onsets = found_in(audio)["onset"].times
    assert onsets[0] == 0  # the sound, if only of noise, begins with the signal
    assert len(onsets) == len(struck) + 1
    assert farthest(struck, onsets) < 0.007


@pytest.mark.parametrize("length", [1, 64, 441, 2205])
def test_clicks_in_digital_silence_are_found_however_short(length):
    audio = np.zeros(5 * SAMPLERATE, np.float32)
    clicks = np.arange(0.25, 4.75, 0.5)
    for at_s in clicks:
        first = round(at_s * SAMPLERATE)
        audio[first : first + length] = np.random.default_rng(440).uniform(-0.5, 0.5, length)
    onsets = found_in(audio)["onset"].times
    assert len(onsets) == len(clicks)
    assert farthest(clicks, onsets) < 0.007


def test_what_is_softer_than_the_threshold_does_not_begin():
    audio, _ = played(noise=0)
    assert not len(found_in(1e-4 * audio)["onset"])
    assert len(found_in(1e-4 * audio, silence_db=-110)["onset"])


@pytest.mark.parametrize("bpm", [80, 100, 120, 140])
def test_beats_follow_a_steady_pulse(bpm):
    audio, struck = played(bpm, duration_s=25)
    found = found_in(audio)
    beats = found["beat"].times
    inside = beats[beats < struck[-1] + 0.1]
    assert len(inside) > 0.7 * len(struck)
    assert farthest(inside[-20:], struck) < 0.01
    assert np.median(found["bpm"].values) == pytest.approx(bpm, rel=0.005)
    assert (found["beat_confidence"].values >= 0).all()
    np.testing.assert_array_equal(found["beat_confidence"].times, beats)


@pytest.mark.parametrize(("events", "rates"), [("onset", "onset_rate"), ("beat", "bpm")])
def test_rates_go_from_each_event_to_the_next(events, rates):
    found = found_in(played(97)[0])
    times = found[events].times
    np.testing.assert_allclose(found[rates].times, times[:-1])
    np.testing.assert_allclose(found[rates].durations, np.diff(times))
    np.testing.assert_allclose(found[rates].values, 60 / np.diff(times), rtol=1e-6)


def test_times_of_a_segment_are_those_of_the_media():
    audio, struck = played()
    pipeline = Pipeline(ArrayDecoder(audio, SAMPLERATE, start=4.0, duration=6.0)) | AubioTemporal()
    onsets = pipeline.run()["aubio_temporal.onset"].times
    inside = struck[(struck > 4.1) & (struck < 9.9)]
    assert farthest(inside, onsets) < 0.007
    assert ((onsets >= 4) & (onsets <= 10)).all()


def test_silence_has_neither_onsets_nor_beats():
    assert all(len(rows) == 0 for rows in found_in(np.zeros(10 * SAMPLERATE, np.float32)).values())


def test_beats_stop_with_the_sound():
    audio, _ = played(noise=0)
    beats = found_in(np.append(audio, np.zeros(10 * SAMPLERATE, np.float32)))["beat"].times
    assert 19 < beats[-1] < 21.1


def test_too_few_frames_a_second_are_refused():
    with pytest.raises(ParameterError, match=r"hop_length=256 makes 3\.91 frames a second of 1000 Hz: 6 is the least"):
        found_in(np.zeros(100, np.float32), samplerate=1000)
