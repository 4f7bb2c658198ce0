"""Our spectral analyzers equal librosa's, on any signal, at any setting, however the signal is cut.

librosa is called with `top_db=None` and `tuning=0`: what needs the whole signal is left out on both sides.
Intentionally not checked: odd transforms (librosa has a frame less where the hop divides the signal).
"""

import subprocess
import sys
from itertools import pairwise

import librosa
import numpy as np
import pytest

from timeside_analyzer.chroma import Chroma, chroma_filters
from timeside_analyzer.mel import hz_to_mel, mel_edges, mel_filters, mel_to_hz
from timeside_analyzer.melspectrogram import MelSpectrogram
from timeside_analyzer.mfcc import MFCC
from timeside_analyzer.onset_strength import OnsetStrength
from timeside_analyzer.rms import RMS
from timeside_analyzer.spectral_bandwidth import SpectralBandwidth
from timeside_analyzer.spectral_centroid import SpectralCentroid
from timeside_analyzer.spectral_contrast import SpectralContrast
from timeside_analyzer.spectral_flatness import SpectralFlatness
from timeside_analyzer.spectral_rolloff import SpectralRolloff
from timeside_analyzer.tempogram import Tempogram
from timeside_analyzer.zero_crossing_rate import ZeroCrossingRate
from timeside_core import Resampled, Stream
from timeside_core.engine import Engine, Wanted
from timeside_core.errors import ParameterError
from timeside_core.testing import analyze, signal

SETTINGS = [(22_050, 2048, 512, 30_001), (44_100, 1024, 1500, 44_100), (16_000, 1000, 333, 17_777)]
"""Samplerate (Hz), n_fft, hop_length, samples: the default, hop > frame, nothing a power of two."""


@pytest.fixture(scope="module", params=SETTINGS, ids=lambda s: "-".join(map(str, s)))
def setting(request):
    return request.param


def mixture(samplerate, samples):
    """Seeded noise, a chirp, and a harmonic tone that begins in the middle."""
    t = np.arange(samples) / samplerate
    noise = 0.05 * np.random.default_rng(440).standard_normal(samples)
    chirp = 0.3 * np.sin(2 * np.pi * (100 * t + samplerate / 8 * t**2))
    tone = sum(0.1 / k * np.sin(2 * np.pi * 220 * k * t) for k in range(1, 8)) * (t > t[-1] / 2)
    return (noise + chirp + tone).astype(np.float32)


def values(analyzer, samples, samplerate):
    return analyze(analyzer, samples[:, np.newaxis], samplerate=samplerate)[""].values


def assert_equal(found, expected, *, rtol=1e-4, atol=1e-6):
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("htk", [False, True])
def test_mel_filters_equal_librosas(htk):
    edges = mel_edges(40, 30, 8000, htk=htk)
    expected = librosa.filters.mel(sr=22_050, n_fft=1024, n_mels=40, fmin=30, fmax=8000, htk=htk)
    assert_equal(mel_filters(22_050, 1024, edges), expected.T, atol=1e-9)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(edges, htk=htk), htk=htk), edges, atol=1e-9)


@pytest.mark.parametrize("n_chroma", [12, 24, 36])
def test_chroma_filters_equal_librosas(n_chroma):
    expected = librosa.filters.chroma(sr=44_100, n_fft=2048, n_chroma=n_chroma)
    assert_equal(chroma_filters(44_100, 2048, n_chroma), expected.T)


def test_melspectrogram(setting):
    samplerate, n_fft, hop, samples = setting
    audio, frames = mixture(samplerate, samples), {"n_fft": n_fft, "hop_length": hop}
    for bands in ({}, {"n_mels": 40, "fmin": 50.0, "fmax": 7000.0, "htk": True}):
        expected = librosa.feature.melspectrogram(y=audio, sr=samplerate, **frames, **bands)
        assert_equal(values(MelSpectrogram(**frames, **bands), audio, samplerate), expected.T)


def test_mfcc(setting):
    samplerate, n_fft, hop, samples = setting
    audio, frames = mixture(samplerate, samples), {"n_fft": n_fft, "hop_length": hop}
    mel = librosa.feature.melspectrogram(y=audio, sr=samplerate, **frames)
    level = librosa.power_to_db(mel, top_db=None)
    for parameters in ({}, {"n_mfcc": 13, "lifter": 22.0}):
        expected = librosa.feature.mfcc(S=level, **parameters)
        assert_equal(values(MFCC(**frames, **parameters), audio, samplerate), expected.T, atol=2e-3)


def test_chroma(setting):
    samplerate, n_fft, hop, samples = setting
    audio, frames = mixture(samplerate, samples), {"n_fft": n_fft, "hop_length": hop}
    for n_chroma in (12, 24):
        expected = librosa.feature.chroma_stft(y=audio, sr=samplerate, tuning=0, n_chroma=n_chroma, **frames)
        assert_equal(values(Chroma(n_chroma=n_chroma, **frames), audio, samplerate), expected.T)


@pytest.mark.parametrize(
    ("analyzer", "reference"),
    [
        (SpectralCentroid, librosa.feature.spectral_centroid),
        (SpectralBandwidth, librosa.feature.spectral_bandwidth),
        (SpectralRolloff, librosa.feature.spectral_rolloff),
    ],
)
def test_shape_of_the_spectrum(setting, analyzer, reference):
    samplerate, n_fft, hop, samples = setting
    audio, frames = mixture(samplerate, samples), {"n_fft": n_fft, "hop_length": hop}
    expected = reference(y=audio, sr=samplerate, **frames)[0]
    assert_equal(values(analyzer(**frames), audio, samplerate), expected)


def test_spectral_flatness(setting):
    samplerate, n_fft, hop, samples = setting
    audio, frames = mixture(samplerate, samples), {"n_fft": n_fft, "hop_length": hop}
    expected = librosa.feature.spectral_flatness(y=audio, **frames)[0]
    assert_equal(values(SpectralFlatness(**frames), audio, samplerate), expected)


def test_spectral_contrast(setting):
    samplerate, n_fft, hop, samples = setting
    audio, frames = mixture(samplerate, samples), {"n_fft": n_fft, "hop_length": hop}
    for parameters in ({"n_bands": 5}, {"n_bands": 3, "fmin": 150.0, "quantile": 0.1}):
        expected = librosa.feature.spectral_contrast(y=audio, sr=samplerate, **frames, **parameters)
        assert_equal(values(SpectralContrast(**frames, **parameters), audio, samplerate), expected.T, atol=2e-3)


def test_zero_crossing_rate_and_rms(setting):
    samplerate, length, hop, samples = setting
    audio, frames = mixture(samplerate, samples), {"frame_length": length, "hop_length": hop}
    crossings = librosa.feature.zero_crossing_rate(audio, **frames)[0]
    assert_equal(values(ZeroCrossingRate(**frames), audio, samplerate), crossings)
    assert_equal(values(RMS(**frames), audio, samplerate), librosa.feature.rms(y=audio, **frames)[0])


def test_onset_strength_and_tempogram(setting):
    samplerate, n_fft, hop, samples = setting
    audio, frames = mixture(samplerate, samples), {"n_fft": n_fft, "hop_length": hop}
    mel = librosa.feature.melspectrogram(y=audio, sr=samplerate, **frames)
    level = librosa.power_to_db(mel, top_db=None)
    for parameters in ({}, {"lag": 2, "max_size": 3}, {"lag": 3, "max_size": 4}):
        strength = librosa.onset.onset_strength(S=level, sr=samplerate, **frames, **parameters)
        analyzer = OnsetStrength(**frames, **parameters)
        assert_equal(values(analyzer, audio, samplerate), strength, atol=1e-4)
        for win_length in (384, 33):
            expected = librosa.feature.tempogram(onset_envelope=strength, sr=samplerate, win_length=win_length)
            found = values(Tempogram(input=analyzer, win_length=win_length), audio, samplerate)
            assert_equal(found, expected.T, atol=1e-4)


def test_a_resampled_source_is_analysed_at_its_samplerate():
    audio = mixture(44_100, 50_000)
    source = Resampled(samplerate=22_050)
    stream = Stream(samplerate=44_100)
    with Engine([Wanted(source)], stream) as engine:
        emissions = [*engine.push(audio[:, np.newaxis]), *engine.finish()]
    resampled = np.concatenate([each.payload for each in emissions])
    expected = librosa.feature.mfcc(S=librosa.power_to_db(librosa.feature.melspectrogram(y=resampled), top_db=None))
    assert_equal(values(MFCC(source=source), audio, 44_100), expected.T, atol=2e-3)


def test_neither_librosa_nor_its_kin_are_imported():
    ids = [
        "melspectrogram",
        "mfcc",
        "chroma",
        "spectral_contrast",
        "spectral_rolloff",
        "onset_strength",
        "tempogram",
        "rms",
    ]
    program = (
        "import sys; from timeside_core import get_processor; from timeside_core.testing import analyze, signal;"
        f"[analyze(get_processor(id)(), signal('noise')) for id in {ids}];"
        "sys.exit(str(sys.modules.keys() & {'librosa', 'numba', 'scipy.signal', 'sklearn'} or ''))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.stderr.strip() == ""


def test_all_share_one_transform():
    analyzers = (MelSpectrogram(), MFCC(), Chroma(), SpectralCentroid(), SpectralFlatness(), Tempogram())
    kinds = set()
    for step in analyzers:
        while (step := getattr(step, "input", None)) is not None:
            kinds.add(step)
    spectra = [step for step in kinds if step.id == "spectrum"]
    assert len(spectra) == 1


@pytest.mark.parametrize("analyzer", [OnsetStrength(lag=5), Tempogram(win_length=31), Tempogram(win_length=384)])
@pytest.mark.parametrize("samples", [1, 511, 512, 3000, 40_000])
def test_state_is_carried_over_the_smallest_blocks(analyzer, samples):
    audio = mixture(22_050, samples)[:, np.newaxis] if samples > 1 else np.ones((1, 1), np.float32)
    whole = analyze(analyzer, audio, samplerate=22_050)[""].values
    pieces = analyze(analyzer, audio, samplerate=22_050, block_samples=600)[""].values
    assert len(whole) == samples // 512 + 1
    np.testing.assert_allclose(pieces, whole, atol=1e-4)


def test_a_pulse_train_has_its_period():
    audio = np.zeros((22_050 * 12, 1), np.float32)
    audio[:: 20 * 512] = 1
    tempogram = analyze(Tempogram(), audio, samplerate=22_050)[""].values
    assert tempogram[len(tempogram) // 2, 5:].argmax() + 5 == 20


def test_a_tone_is_where_it_sounds():
    audio = signal("sine", duration_s=1.0)
    middle = slice(5, -5)
    assert analyze(SpectralCentroid(), audio)[""].values[middle] == pytest.approx(440, abs=2)
    assert analyze(SpectralRolloff(), audio)[""].values[middle] == pytest.approx(440, abs=44_100 / 2048)
    assert (analyze(Chroma(), audio)[""].values[middle].argmax(axis=1) == 9).all()
    assert analyze(RMS(), audio)[""].values[middle] == pytest.approx(0.5 / np.sqrt(2), rel=1e-2)
    assert analyze(ZeroCrossingRate(), audio)[""].values[middle] == pytest.approx(880 / 44_100, rel=0.05)


def test_silence_has_documented_floors():
    audio = signal("silence")
    for analyzer, floor in (
        (MelSpectrogram(), 0),
        (Chroma(), 0),
        (SpectralCentroid(), 0),
        (SpectralBandwidth(), 0),
        (SpectralRolloff(), 0),
        (SpectralContrast(), 0),
        (SpectralFlatness(), 1),
        (OnsetStrength(), 0),
        (Tempogram(), 0),
        (RMS(), 0),
        (ZeroCrossingRate(), 0),
    ):
        np.testing.assert_allclose(analyze(analyzer, audio)[""].values, floor, atol=1e-6)
    cepstrum = analyze(MFCC(), audio)[""].values
    np.testing.assert_allclose(cepstrum[:, 0], -100 * np.sqrt(128), rtol=1e-4)
    np.testing.assert_allclose(cepstrum[:, 1:], 0, atol=1e-2)


def test_bands_beyond_the_nyquist_frequency_have_no_contrast():
    audio = signal("noise", samplerate=8000)
    contrast = analyze(SpectralContrast(), audio, samplerate=8000)[""].values
    assert contrast.shape[1] == 7
    assert (contrast[:, :6] > 0).all()
    assert (contrast[:, 6] == 0).all()


@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"fmin": 500, "fmax": 400}, "fmin=500 Hz must be at least 1 Hz below fmax=400 Hz"),
        ({"fmax": 1e-30}, "fmin=0 Hz must be at least 1 Hz below"),
        ({"n_mfcc": 41, "n_mels": 40}, "n_mfcc=41 must not exceed n_mels=40"),
        ({"n_mels": 0}, "n_mels=0"),
    ],
)
def test_parameters_outside_their_rule_are_refused(parameters, rule):
    with pytest.raises(ParameterError, match=rule):
        MFCC(**parameters)


def test_bands_must_lie_below_the_nyquist_frequency():
    with pytest.raises(ParameterError, match="22050 Hz, the Nyquist frequency"):
        analyze(MelSpectrogram(fmax=30_000), signal("noise"))


def test_columns_say_what_they_are():
    engine_of = {step: _started(step) for step in (MelSpectrogram(), Chroma(), Chroma(n_chroma=24), Tempogram())}
    mel, names, quarter_tones, lags = (step.bins("") for step in engine_of.values())
    assert len(mel) == 128
    assert all(low < high for low, high in pairwise(mel))
    assert names[0] == "C"
    assert names[9] == "A"
    assert quarter_tones[1] == 0.5
    assert lags[1] == pytest.approx(512 / 44_100)


def _started(step):
    with Engine([Wanted(step)], Stream(samplerate=44_100)) as engine:
        return engine.step(0)
