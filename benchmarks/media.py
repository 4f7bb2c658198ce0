"""Ten minutes of music-like audio, synthesised, in the formats that are measured."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from timeside.sample import SAMPLERATE, synthesize
from timeside_core.audio import Array

FORMATS = {
    "wav": ("wav", ["-c:a", "pcm_s16le"]),
    "flac": ("flac", ["-c:a", "flac"]),
    "mp3": ("mp3", ["-c:a", "libmp3lame", "-q:a", "2"]),
    "ogg": ("ogg", ["-c:a", "libvorbis", "-q:a", "6"]),
    "opus": ("opus", ["-c:a", "libopus", "-b:a", "128k"]),
    "m4a": ("m4a", ["-c:a", "aac", "-b:a", "192k"]),
}
"""File suffix and what the ffmpeg command takes to write it."""


TRACK_MINUTES = 4


def music(minutes: float, seed: int = 440) -> Array:
    """The sample recording over and over, each time at another level, with a little noise, shape `(samples, 2)`."""
    once = synthesize()
    noise = np.random.default_rng(seed)
    samples = round(minutes * 60 * SAMPLERATE)
    rounds = -(-samples // len(once))
    parts = [once * noise.uniform(0.3, 1.1) for _ in range(rounds)]
    audio = np.concatenate(parts)[:samples]
    audio += 1e-3 * noise.standard_normal(audio.shape, dtype=np.float32)
    return np.clip(audio, -1, 1).astype(np.float32)


def prepare(folder: Path, minutes: float) -> dict[str, Path]:
    """Files by format; made once per folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"music-{minutes:g}min.{suffix}" for name, (suffix, _) in FORMATS.items()}
    if not files["wav"].exists():
        soundfile.write(files["wav"], music(minutes), SAMPLERATE, subtype="PCM_16")
    for name, (_, options) in FORMATS.items():
        if not files[name].exists():
            _encode(["-i", str(files["wav"]), *options], files[name])
    return files


def tracks(folder: Path, count: int, suffix: str) -> list[Path]:
    """Different recordings of the length of a song, in a format; made once per folder."""
    _, options = FORMATS[suffix]
    paths = [folder / f"track-{number}.{suffix}" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            with tempfile.NamedTemporaryFile(suffix=".wav") as wav:
                soundfile.write(wav.name, music(TRACK_MINUTES, seed=number), SAMPLERATE, subtype="PCM_16")
                _encode(["-i", wav.name, *options], path)
    return paths


def long(folder: Path, hours: float) -> Path:
    """A FLAC file of hours, made once per folder."""
    path = folder / f"long-{hours:g}h.flac"
    if not path.exists():
        with tempfile.NamedTemporaryFile(suffix=".wav") as wav:
            soundfile.write(wav.name, music(10), SAMPLERATE, subtype="PCM_16")
            _encode(["-stream_loop", "-1", "-i", wav.name, "-t", str(hours * 3600), "-c:a", "flac"], path)
    return path


def _encode(options: list[str], path: Path) -> None:
    """Have the ffmpeg command write a file, whole or not at all."""
    partial = path.with_stem(f"{path.stem}-partial")
    subprocess.run(["ffmpeg", "-v", "error", "-y", *options, str(partial)], check=True)
    partial.replace(path)
