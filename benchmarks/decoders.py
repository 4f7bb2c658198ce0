"""Decoding to float32 blocks, beside soundfile, PyAV and the ffmpeg command."""

from pathlib import Path

import av
import numpy as np
import soundfile

from benchmarks.measure import Row, compare, table
from timeside_decoder.file import FileDecoder

BLOCK_SAMPLES = 65_536
SOUNDFILE = ("wav", "flac", "mp3", "ogg", "opus")


def section(files: dict[str, Path], rounds: int) -> str:
    """Markdown of this section."""
    rows = [_row(name, path, rounds) for name, path in files.items()]
    return (
        "## Decoding into blocks of float32\n\n"
        "The SHA-256 of the bytes is computed by TimeSide beside the decode and reported apart: it is in its own row, "
        f"and taken off the others.\n\n{table([*rows, _hash(files['wav'], rounds)])}"
    )


def _row(name: str, path: Path, rounds: int) -> Row:
    def ours() -> None:
        with FileDecoder(str(path), hash=False).open() as source:
            for _ in source:
                pass

    others = {
        "PyAV": lambda: _pyav(path),
        "ffmpeg": ["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-y", "/dev/null"],
    }
    if name in SOUNDFILE:
        others = {"soundfile": lambda: _soundfile(path), **others}
    return compare(name, ours, others, rounds)


def _hash(path: Path, rounds: int) -> Row:
    import hashlib

    def ours() -> None:
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")

    return compare("SHA-256 of the WAV file", ours, {}, rounds)


def _soundfile(path: Path) -> None:
    block = np.empty((BLOCK_SAMPLES, 2), np.float32)
    with soundfile.SoundFile(path) as file:
        while len(file.read(out=block)):
            pass


def _pyav(path: Path) -> None:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", frame_size=BLOCK_SAMPLES)
        for frame in container.decode(audio=0):
            for resampled in resampler.resample(frame):
                resampled.to_ndarray()
        for resampled in resampler.resample(None):
            resampled.to_ndarray()
