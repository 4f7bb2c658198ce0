"""What librosa does with the whole signal, on signals whose answer is known, and on those that have none.

Few and short: each first call of librosa compiles for seconds.
"""

import librosa
import numpy as np
import pytest

from timeside_analyzer.librosa_beat import LibrosaBeat
from timeside_analyzer.librosa_chroma_cqt import LibrosaChromaCQT
from timeside_analyzer.librosa_cqt import LibrosaCQT
from timeside_analyzer.librosa_hpss import LibrosaHPSS
from timeside_analyzer.librosa_pyin import LibrosaPYIN
from timeside_core.errors import LimitError, ParameterError
from timeside_core.testing import analyze, signal

SAMPLERATE = 22_050


def tone(hz, duration_s=1.5, gap_s=0.0):
    """A harmonic tone, after a silence of `gap_s`."""
    t = np.arange(round(duration_s * SAMPLERATE)) / SAMPLERATE
    audio = sum(0.2 / k * np.sin(2 * np.pi * hz * k * t) for k in range(1, 6))
    return np.concatenate([np.zeros(round(gap_s * SAMPLERATE)), audio]).astype(np.float32)[:, np.newaxis]


def test_pyin_finds_a_tone_and_the_silence_before_it():
    found = analyze(LibrosaPYIN(), tone(220, gap_s=0.5), samplerate=SAMPLERATE)
    f0, voiced, probability = (found[name].values for name in ("f0", "voiced", "voiced_probability"))
    assert len(f0) == len(voiced) == len(probability) == 1 + round(2 * SAMPLERATE) // 512
    sounding = slice(28, -3)
    assert f0[sounding] == pytest.approx(220, rel=0.01)
    assert (voiced[sounding] == 1).all()
    assert (f0[:15] == 0).all()
    assert (voiced[:15] == 0).all()
    assert ((f0 == 0) == (voiced == 0)).all()


def test_cqt_and_its_chroma_peak_at_the_tone():
    audio = tone(440)
    cqt = analyze(LibrosaCQT(), audio, samplerate=SAMPLERATE)[""].values
    assert cqt.shape == (1 + len(audio) // 512, 84)
    np.testing.assert_allclose(cqt, np.abs(librosa.cqt(audio[:, 0], fmin=32.703)).T, atol=1e-5)
    assert (cqt[10:-10].argmax(axis=1) == 45).all()  # A4 is 45 semitones above C1
    chroma = analyze(LibrosaChromaCQT(), audio, samplerate=SAMPLERATE)[""].values
    assert (chroma[10:-10].argmax(axis=1) == 9).all()
    assert chroma.max() == 1


def test_hpss_tells_a_tone_from_a_click():
    sine = signal("sine", samplerate=SAMPLERATE, duration_s=1.5)
    found = analyze(LibrosaHPSS(), sine, samplerate=SAMPLERATE)
    steady = slice(20, -20)
    assert found["harmonic"].values[steady] == pytest.approx(0.5**2 / 2, rel=1e-2)
    assert found["percussive_ratio"].values[steady] == pytest.approx(0, abs=1e-3)
    click = signal("click", samplerate=SAMPLERATE, duration_s=1.5)
    ratio = analyze(LibrosaHPSS(), click, samplerate=SAMPLERATE)["percussive_ratio"].values
    assert ratio.max() > 0.95


def test_beats_of_a_pulse_train_are_half_a_second_apart():
    audio = np.zeros((8 * SAMPLERATE, 1), np.float32)
    audio[:: SAMPLERATE // 2] = 1
    found = analyze(LibrosaBeat(), audio, samplerate=SAMPLERATE)
    assert found["tempo"].values == pytest.approx(120, abs=4)
    assert np.diff(found["beats"].times) == pytest.approx(0.5, abs=0.03)
    assert len(found["beats"]) >= 10


@pytest.mark.parametrize("analyzer", [LibrosaPYIN(), LibrosaCQT(), LibrosaChromaCQT(), LibrosaHPSS(), LibrosaBeat()])
@pytest.mark.parametrize("name", ["silence", "dc", "click", "one_sample", "empty"])
def test_signals_without_an_answer_give_finite_rows_and_no_warning(analyzer, name):
    audio = signal(name, samplerate=SAMPLERATE, duration_s=0.2)
    for rows in analyze(analyzer, audio, samplerate=SAMPLERATE).values():
        assert np.isfinite(rows.values).all()
        if name == "empty":
            assert len(rows) == 0


def test_what_librosa_refuses_is_refused_before_the_signal_comes():
    nothing = signal("empty")
    with pytest.raises(ParameterError, match=r"librosa_pyin: .*fmax"):
        analyze(LibrosaPYIN(fmax=20_000), nothing)
    with pytest.raises(ParameterError, match="two periods of fmin=30 Hz at 22050 Hz do not fit into frame_length=1024"):
        analyze(LibrosaPYIN(fmin=30, frame_length=1024), nothing)
    with pytest.raises(ParameterError, match=r"librosa_cqt: .*Nyquist"):
        analyze(LibrosaCQT(n_bins=200), nothing)


@pytest.mark.parametrize("analyzer", [LibrosaCQT(), LibrosaChromaCQT(), LibrosaHPSS(), LibrosaBeat()])
def test_silence_is_zero(analyzer):
    for rows in analyze(analyzer, signal("silence", samplerate=SAMPLERATE), samplerate=SAMPLERATE).values():
        assert (rows.values == 0).all()


def test_the_length_is_bounded():
    with pytest.raises(LimitError, match=r"max_duration_s=0\.1"):
        analyze(LibrosaHPSS(max_duration_s=0.1), signal("noise"))
