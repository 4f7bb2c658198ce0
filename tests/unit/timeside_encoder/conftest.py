"""Encode and decode without the engine or the project's decoders."""

import io
import subprocess

import av
import numpy as np
import pytest
import soundfile

from timeside_core import Stream


def _tones(samples, *, samplerate=44_100, channels=2):
    """Tones and a little noise, each channel softer than the last, shape (samples, channels)."""
    t = np.arange(samples) / samplerate
    mono = 0.3 * np.sin(2 * np.pi * 441 * t) + 0.2 * np.sin(2 * np.pi * 900 * t + 3 * np.sin(2 * np.pi * 3 * t))
    noise = np.random.default_rng(440).standard_normal((samples, channels))
    return (mono[:, np.newaxis] / (1 + np.arange(channels)) + 0.005 * noise).astype(np.float32)


def _encode(encoder, audio, *, samplerate=44_100, cuts=None):
    """Chunks of one run; None where there was none."""
    stream = Stream(samplerate=samplerate, channels=audio.shape[1])
    run = encoder.working_copy(stream)
    run.start(stream)
    try:
        pieces = np.split(audio, range(32_768, len(audio), 32_768) if cuts is None else cuts)
        chunks = []
        for piece in pieces:
            block = piece.copy()
            block.flags.writeable = False
            chunks.append(run.process(block))
        return [*chunks, run.finish()]
    finally:
        run.close()


def _av(data):
    with av.open(io.BytesIO(data)) as container:
        resampler = av.AudioResampler(format="flt")
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        channels = container.streams.audio[0].channels
    parts = [frame.to_ndarray().reshape(-1, channels) for frame in frames]
    return np.concatenate(parts) if parts else np.empty((0, channels), np.float32)


def _ffmpeg(source, channels=2):
    """Decode a file, or bytes from a pipe, by the command."""
    piped = isinstance(source, bytes)
    command = ["ffmpeg", "-v", "error", "-i", "-" if piped else str(source), "-f", "f32le", "-"]
    done = subprocess.run(command, input=source if piped else None, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float32).reshape(-1, channels)


def _soundfile(data):
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]


@pytest.fixture(scope="session")
def tones():
    return _tones


@pytest.fixture(scope="session")
def encode():
    return _encode


@pytest.fixture(scope="session")
def by_av():
    return _av


@pytest.fixture(scope="session")
def by_ffmpeg():
    return _ffmpeg


@pytest.fixture(scope="session")
def by_soundfile():
    return _soundfile
