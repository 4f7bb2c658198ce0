"""Recordings that all differ, in several formats; some damaged, and some that are no recordings at all."""

import io
import random
import struct
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import soundfile

from timeside_core import Array

MAX_SAMPLES = 1 << 20
"""Limit that decoders are given, so that a bomb can be a small one."""

FORMATS = {
    "s16.wav": ("WAV", "PCM_16"),
    "f32.wav": ("WAV", "FLOAT"),
    "s16.aiff": ("AIFF", "PCM_16"),
    "s16.flac": ("FLAC", "PCM_16"),
    "s24.flac": ("FLAC", "PCM_24"),
    "vorbis.ogg": ("OGG", "VORBIS"),
    "opus.ogg": ("OGG", "OPUS"),
    "lame.mp3": ("MP3", "MPEG_LAYER_III"),
}
SAMPLERATES = (16_000, 24_000, 48_000)
"""All formats know these."""


class Recording(NamedTuple):
    """Bytes, and what they are."""

    kind: str
    data: bytes


def recording(rng: random.Random) -> Recording:
    """One to six seconds of tones and noise that nobody has heard before, in some format."""
    name = rng.choice(list(FORMATS))
    samplerate = rng.choice(SAMPLERATES)
    audio = _audio(rng, round(rng.uniform(1, 6) * samplerate), samplerate, rng.choice((1, 2)))
    return Recording(name, _written(name, audio, samplerate))


def damaged(rng: random.Random) -> Recording:
    """A recording of which the end is missing, or some bytes are others."""
    whole = recording(rng)
    data = bytearray(whole.data)
    if rng.random() < 0.5:
        return Recording(f"cut {whole.kind}", bytes(data[: len(data) * 2 // 3]))
    for _ in range(8):
        data[rng.randrange(len(data) // 4, len(data))] ^= 1 << rng.randrange(8)
    return Recording(f"flipped {whole.kind}", bytes(data))


def hostile(rng: random.Random) -> Recording:
    """What no decoder may take for a recording, or may not decode to its end; different each time."""
    kind = rng.choice(list(_HOSTILE))
    return Recording(kind, _HOSTILE[kind](rng))


def _audio(rng: random.Random, samples: int, samplerate: int, channels: int) -> Array:
    noise = np.random.default_rng(rng.getrandbits(64))
    t = np.arange(samples)[:, np.newaxis] / samplerate
    audio = 0.02 * noise.standard_normal((samples, channels))
    for _ in range(3):
        audio += 0.25 * np.sin(2 * np.pi * rng.uniform(80, 4000) * t + noise.uniform(0, 6, channels))
    return np.clip(audio, -0.99, 0.99).astype(np.float32)


def _written(name: str, audio: Array, samplerate: int) -> bytes:
    container, subtype = FORMATS[name]
    file = io.BytesIO()
    soundfile.write(file, audio, samplerate, subtype, format=container)
    return file.getvalue()


def _wav(rng: random.Random, *, channels: int, samples: int) -> bytes:
    """A header that promises, and a few bytes."""
    size = min(2 * channels * samples, (1 << 32) - 64)
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, 48_000, 1, (2 * channels) & 0xFFFF, 16)
    return b"RIFF" + struct.pack("<I", size + 36) + b"WAVE" + fmt + b"data" + struct.pack("<I", size) + rng.randbytes(9)


_HOSTILE: dict[str, Callable[[random.Random], bytes]] = {
    "noise": lambda rng: rng.randbytes(rng.randrange(1, 65_536)),
    "text": lambda rng: f"This is no music, {rng.random()}.\n".encode() * 40,
    "playlist": lambda rng: f"#EXTM3U\n#{rng.random()}\nfile:///etc/passwd\nhttp://127.0.0.1:9/\n".encode(),
    "concatenation": lambda rng: f"ffconcat version 1.0\n# {rng.random()}\nfile /etc/passwd\n".encode(),
    "stump": lambda rng: _written("s16.wav", _audio(rng, 500, 16_000, 1), 16_000)[:20] + rng.randbytes(3),
    "many channels": lambda rng: _wav(rng, channels=65_535, samples=1),
    "bomb": lambda rng: _written("s16.flac", np.full((MAX_SAMPLES + 1 + rng.randrange(4096), 1), 0.0), 48_000),
}
