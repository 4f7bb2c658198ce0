"""Ten minutes of music-like audio, synthesised, in the formats that are measured."""

import subprocess
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


def music(minutes: float) -> Array:
    """The sample recording over and over, each time at another level, with a little noise, shape `(samples, 2)`."""
    once = synthesize()
    noise = np.random.default_rng(440)
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
            command = ["ffmpeg", "-v", "error", "-i", str(files["wav"]), *options, str(files[name])]
            subprocess.run(command, check=True)
    return files
