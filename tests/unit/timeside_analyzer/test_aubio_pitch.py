"""Pitch is exact on harmonic tones, equal to aubio's, and 0 where there is none."""

import aubio
import numpy as np
import pytest

from timeside_analyzer.aubio_pitch import AubioPitch
from timeside_core import Pipeline
from timeside_core.errors import ParameterError
from timeside_core.testing import analyze, signal
from timeside_decoder.array import ArrayDecoder


def tone(frequency_hz, duration_s=1.0, samplerate=44_100):
    t = np.arange(round(duration_s * samplerate)) / samplerate
    harmonics = sum(0.3 / n * np.sin(2 * np.pi * n * frequency_hz * t) for n in range(1, 5))
    return np.asarray(harmonics, np.float32)


def found_in(samples, samplerate=44_100, **parameters):
    rows = analyze(AubioPitch(**parameters), samples[:, np.newaxis], samplerate=samplerate)
    return rows["pitch"].values, rows["pitch_confidence"].values


@pytest.mark.parametrize("frequency_hz", [55, 110, 220, 440, 880])
def test_is_exact_on_harmonic_tones(frequency_hz):
    pitch, confidence = (values[2:-1] for values in found_in(tone(frequency_hz)))
    np.testing.assert_allclose(pitch, frequency_hz, rtol=3e-4)
    assert (confidence > 0.99).all()


@pytest.mark.parametrize("samplerate", [8_000, 48_000, 96_000, 192_000])
def test_is_exact_at_other_samplerates_with_frames_as_long(samplerate):
    frame_length = {8_000: 512, 48_000: 2048, 96_000: 4096, 192_000: 8192}[samplerate]
    pitch, _ = found_in(tone(220, samplerate=samplerate), samplerate, frame_length=frame_length, hop_length=256)
    np.testing.assert_allclose(pitch[frame_length // 256 : -frame_length // 256], 220, rtol=1e-3)


@pytest.mark.parametrize("method", ["yinfast", "yin", "yinfft", "mcomb", "fcomb", "schmitt"])
def test_equals_aubio(method):
    samples = np.concatenate([tone(110, 0.5), 0.1 * signal("noise")[:, 0], tone(330, 0.5)])
    detector = aubio.pitch(method, 2048, 1024, 44_100)
    detector.set_silence(-50)
    hops = np.pad(samples, (0, 1024 - len(samples) % 1024)).reshape(-1, 1024)
    expected = np.array([(detector(hop)[0], detector.get_confidence()) for hop in hops])
    pitch, confidence = found_in(samples, method=method)
    np.testing.assert_array_equal(pitch, np.where(expected[:, 0] < 22_050, expected[:, 0], 0))
    np.testing.assert_array_equal(confidence, np.clip(expected[:, 1], 0, 1))


def test_silence_has_no_pitch():
    pitch, confidence = found_in(np.concatenate([tone(220, 0.5), np.zeros(22_050, np.float32)]))
    assert not pitch[-10:].any()
    assert not confidence[-10:].any()


def test_what_is_softer_than_the_threshold_has_no_pitch():
    soft = 0.01 * tone(220)  # about -52 dB
    assert not found_in(soft)[0].any()
    assert found_in(soft, silence_db=-60)[0][2:-1].all()


def test_rows_are_at_the_centres_of_frames():
    samples = np.concatenate([np.zeros(22_050, np.float32), tone(440, 0.5)])
    pipeline = Pipeline(ArrayDecoder(samples, 44_100)) | AubioPitch()
    result = pipeline.run()["aubio_pitch.pitch"]
    assert len(result) == 44_100 // 1024 + 1
    assert result.times[0] == 0  # the first frame ends at 1024 and is 2048 long
    assert result.times[1] == pytest.approx(1024 / 44_100)
    heard = result.times[np.abs(result.values - 440) < 1]
    assert 0.5 < heard[0] < 0.5 + 2 * 1024 / 44_100


def test_a_strict_tolerance_still_finds_a_clean_tone():
    np.testing.assert_allclose(found_in(tone(220), tolerance=0.01)[0][2:-1], 220, rtol=3e-4)


def test_hops_fit_into_frames():
    with pytest.raises(ParameterError, match="hop_length=1024 is longer than frame_length=512"):
        AubioPitch(frame_length=512)
