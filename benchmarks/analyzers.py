"""Analyzers, alone and together, beside librosa and aubio's own calls on the same samples."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aubio
import librosa
import numpy as np
import soundfile

from benchmarks.measure import compare, push, table
from timeside_core.audio import Array
from timeside_core.pipeline import Pipeline
from timeside_core.registry import get_processor
from timeside_decoder.file import FileDecoder

SPECTRAL = (
    "mfcc",
    "melspectrogram",
    "chroma",
    "spectral_centroid",
    "spectral_bandwidth",
    "spectral_contrast",
    "spectral_rolloff",
    "spectral_flatness",
    "onset_strength",
)
SIGNAL = ("rms", "zero_crossing_rate", "tempogram")
ORIGINAL = (
    "mean_dc_shift",
    "level",
    "loudness_itu",
    "waveform_analyzer",
    "spectrogram_analyzer",
    "onset_detection_function",
    "aubio_pitch",
    "aubio_temporal",
    "aubio_specdesc",
    "aubio_melenergy",
    "aubio_silence",
)


def section(files: dict[str, Path], rounds: int) -> str:
    """Markdown of this section."""
    audio, samplerate = soundfile.read(files["wav"], dtype="float32")
    mono = audio.mean(axis=1)
    _warm_up()

    def run(ids: Sequence[str]) -> Callable[[], object]:
        return partial(push, [get_processor(id)() for id in ids], audio, samplerate)

    rows = [compare(id, run([id]), _librosa(id, mono, samplerate), rounds) for id in (*SPECTRAL, *SIGNAL)]
    rows += [compare(id, run([id]), _aubio(id, mono, samplerate), rounds) for id in (*ORIGINAL, "aubio_mfcc")]
    together = [
        compare(
            "the nine spectral ones together",
            run(SPECTRAL),
            {"librosa": lambda: _all(mono, samplerate)},
            rounds,
        ),
        compare("the eleven of TimeSide 1 together, from the WAV file", _from_file(files["wav"], ORIGINAL), {}, rounds),
        compare("all core analyzers together", run((*SPECTRAL, *SIGNAL, *ORIGINAL, "aubio_mfcc")), {}, rounds),
    ]
    return (
        "## Analyzers\n\nFrom samples in memory, stereo; librosa and aubio are given the mono mix. The spectra that "
        "librosa's features share are computed once per feature, as its functions do when called one by one; in the "
        "row "
        f"of all nine they are computed once.\n\n{table(rows)}\n\n{table(together)}"
    )


def _from_file(path: Path, ids: Sequence[str]) -> Callable[[], object]:
    return Pipeline(FileDecoder(str(path)), tuple(get_processor(id)() for id in ids)).run


def _warm_up() -> None:
    noise = np.random.default_rng(440).standard_normal(44_100).astype(np.float32)
    _all(noise, 44_100)
    for id in SIGNAL:
        for work in _librosa(id, noise, 44_100).values():
            work()


def _librosa(id: str, mono: Array, samplerate: int) -> dict[str, Any]:
    feature = librosa.feature
    calls: dict[str, Callable[[], object]] = {
        "mfcc": lambda: feature.mfcc(y=mono, sr=samplerate),
        "melspectrogram": lambda: feature.melspectrogram(y=mono, sr=samplerate),
        "chroma": lambda: feature.chroma_stft(y=mono, sr=samplerate, tuning=0),
        "spectral_centroid": lambda: feature.spectral_centroid(y=mono, sr=samplerate),
        "spectral_bandwidth": lambda: feature.spectral_bandwidth(y=mono, sr=samplerate),
        "spectral_contrast": lambda: feature.spectral_contrast(y=mono, sr=samplerate),
        "spectral_rolloff": lambda: feature.spectral_rolloff(y=mono, sr=samplerate),
        "spectral_flatness": lambda: feature.spectral_flatness(y=mono),
        "onset_strength": lambda: librosa.onset.onset_strength(y=mono, sr=samplerate),
        "rms": lambda: feature.rms(y=mono),
        "zero_crossing_rate": lambda: feature.zero_crossing_rate(y=mono),
        "tempogram": lambda: feature.tempogram(y=mono, sr=samplerate),
    }
    return {"librosa": calls[id]}


def _all(mono: Array, samplerate: int) -> None:
    """The spectral features of librosa over one spectrum."""
    feature = librosa.feature
    magnitude = np.abs(librosa.stft(mono))
    power = magnitude**2
    mel = feature.melspectrogram(S=power, sr=samplerate)
    decibels = librosa.power_to_db(mel, top_db=None)
    feature.mfcc(S=decibels)
    feature.chroma_stft(S=power, sr=samplerate, tuning=0)
    feature.spectral_centroid(S=magnitude, sr=samplerate)
    feature.spectral_bandwidth(S=magnitude, sr=samplerate)
    feature.spectral_contrast(S=magnitude, sr=samplerate)
    feature.spectral_rolloff(S=magnitude, sr=samplerate)
    feature.spectral_flatness(S=magnitude)
    librosa.onset.onset_strength(S=decibels, sr=samplerate)


def _aubio(id: str, mono: Array, samplerate: int) -> dict[str, Any]:
    hops = np.ascontiguousarray(mono[: len(mono) // 1024 * 1024])

    def each(hop: int, *calls: Callable[[Array], object]) -> None:
        for start in range(0, len(hops), hop):
            piece = hops[start : start + hop]
            for call in calls:
                call(piece)

    def pitch() -> None:
        each(1024, aubio.pitch("yinfast", 2048, 1024, samplerate))

    def temporal() -> None:
        each(256, aubio.onset("default", 1024, 256, samplerate), aubio.tempo("default", 1024, 256, samplerate))

    def spectral(*made: Any) -> Callable[[], None]:
        def run() -> None:
            vocoder = aubio.pvoc(1024, 256)

            def call(piece: Array) -> None:
                spectrum = vocoder(piece)
                for each in made:
                    each(spectrum)

            each(256, call)

        return run

    names = "default energy hfc complex phase specdiff kl mkl specflux"
    names += " centroid slope rolloff spread skewness kurtosis decrease"
    bank = aubio.filterbank(40, 1024)
    bank.set_mel_coeffs_slaney(samplerate)
    calls = {
        "aubio_pitch": pitch,
        "aubio_temporal": temporal,
        "aubio_specdesc": spectral(*(aubio.specdesc(name, 1024) for name in names.split())),
        "aubio_melenergy": spectral(bank),
        "aubio_mfcc": spectral(aubio.mfcc(1024, 40, 13, samplerate)),
    }
    return {"aubio": calls[id]} if id in calls else {}
