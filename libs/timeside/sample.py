"""A sample recording, synthesised: known notes, beats and stereo places, so that results can be checked by ear and eye.

`python -m timeside.sample FILE` writes it as FLAC.
"""

import sys
from pathlib import Path

import numpy as np

from timeside_core.audio import Array

SAMPLERATE = 44_100
BPM = 100
CHORDS = ((57, 60, 64), (53, 57, 60), (48, 55, 64), (55, 59, 62))
"""MIDI notes of four bars: A minor, F, C, G; played twice."""


def synthesize() -> Array:
    """About 20 s of music, shape `(samples, 2)`, float32, peak 0.8: bass, plucked arpeggio, voice-like pad, drums."""
    beat_s = 60 / BPM
    bars = CHORDS * 2
    audio = np.zeros((round((len(bars) * 4 * beat_s + 1) * SAMPLERATE), 2))
    noise = np.random.default_rng(440)
    for bar, chord in enumerate(bars):
        start_s = bar * 4 * beat_s
        _add(audio, start_s, 0.5 * _pluck(_hertz(chord[0] - 24), 4 * beat_s), pan=0.0)
        for note in chord:
            _add(audio, start_s, 0.07 * _voice(_hertz(note), 4 * beat_s), pan=(note - 57) / 12)
        for eighth in range(8):
            note = chord[eighth % 3] + (12 if eighth % 4 == 3 else 0)
            _add(audio, start_s + eighth * beat_s / 2, 0.25 * _pluck(_hertz(note), 0.8), pan=0.6 * (-1) ** eighth)
        for beat in range(4):
            _add(audio, start_s + beat * beat_s, _kick() if beat % 2 == 0 else _snare(noise), pan=0.0)
    return (0.8 * audio / np.abs(audio).max()).astype(np.float32)


def write(path: Path) -> None:
    """Write the recording to a FLAC file, 16 bits."""
    from timeside_core import get_processor
    from timeside_core.pipeline import Pipeline

    decoder = get_processor("array_decoder")(synthesize(), SAMPLERATE)  # pyright: ignore[reportCallIssue]
    encoder = get_processor("flac_encoder").from_parameters(
        {
            "output": str(path),
            "overwrite": True,
            "bit_depth": 16,
            "metadata": {"title": "Sample recording", "artist": "TimeSide", "comment": "synthesised, CC0"},
        }
    )
    (Pipeline(decoder) | encoder).run()  # pyright: ignore[reportArgumentType]


def _hertz(midi: int) -> float:
    return 440 * 2 ** ((midi - 69) / 12)


def _time(duration_s: float) -> Array:
    return np.arange(round(duration_s * SAMPLERATE)) / SAMPLERATE


def _pluck(f0: float, duration_s: float) -> Array:
    t = _time(duration_s)
    partials = [np.sin(2 * np.pi * n * f0 * t) / n * np.exp(-t * (2 + n)) for n in range(1, 9)]
    return np.sum(partials, axis=0)


def _voice(f0: float, duration_s: float) -> Array:
    t = _time(duration_s)
    phase = 2 * np.pi * f0 * t + 0.08 * np.sin(2 * np.pi * 5.5 * t)
    formants = [
        np.exp(-(((n * f0 - 700) / 250) ** 2)) + 0.4 * np.exp(-(((n * f0 - 1200) / 300) ** 2)) for n in range(1, 20)
    ]
    sung = np.sum([gain * np.sin(n * phase) for n, gain in enumerate(formants, 1)], axis=0)
    return sung * np.sin(np.pi * t / duration_s)


def _kick() -> Array:
    t = _time(0.25)
    return 0.7 * np.sin(2 * np.pi * (45 * t + 6 * (1 - np.exp(-t * 30)))) * np.exp(-t * 14)


def _snare(noise: np.random.Generator) -> Array:
    t = _time(0.18)
    return 0.25 * noise.standard_normal(len(t)) * np.exp(-t * 25) + 0.2 * np.sin(2 * np.pi * 190 * t) * np.exp(-t * 30)


def _add(audio: Array, start_s: float, sound: Array, *, pan: float) -> None:
    start = round(start_s * SAMPLERATE)
    sound = sound[: len(audio) - start]
    angle = (np.clip(pan, -1, 1) + 1) * np.pi / 4
    audio[start : start + len(sound)] += sound[:, np.newaxis] * [np.cos(angle), np.sin(angle)]


if __name__ == "__main__":
    write(Path(sys.argv[1]))
