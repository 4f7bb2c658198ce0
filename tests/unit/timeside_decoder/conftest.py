"""The reference signal in every format, made once."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import soundfile
from tests.support.media import AUDIO, SAMPLERATE, SAMPLES, TAGS, VIDEO, ffmpeg, sweeps

from timeside_core import Array


@pytest.fixture(scope="session")
def reference() -> Array:
    """The signal that all files hold, shape `(66273, 2)`, on the grid of 16 bits."""
    return sweeps(SAMPLES, SAMPLERATE)


@pytest.fixture(scope="session")
def files(reference: Array, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the reference in every format."""
    assert shutil.which("ffmpeg"), "these tests need the ffmpeg command: scripts/test installs it"
    folder = tmp_path_factory.mktemp("files")
    soundfile.write(folder / "reference.wav", reference, SAMPLERATE, subtype="PCM_16")
    tags = [word for name, value in TAGS.items() for word in ("-metadata", f"{name}={value}")]
    ffmpeg(folder, ["-i", "reference.wav"], {name: f"-map 0:a {how}" for name, how in AUDIO.items()}, tags)
    video = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=1.5"]
    ffmpeg(folder, ["-i", "reference.wav", *video], {name: f"-map 1:v -map 0:a {how}" for name, how in VIDEO.items()})
    ffmpeg(folder, video, {"silent.mp4": "-c:v mpeg4", "film.flv": "-c:v flv"})
    return folder


@pytest.fixture
def changed(files: Path, tmp_path: Path) -> Callable[[str, Callable[[bytearray], Any]], Path]:
    """Make a changed copy of one of the files."""

    def change(name: str, how: Callable[[bytearray], Any]) -> Path:
        content = bytearray((files / name).read_bytes())
        how(content)
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return change


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    """No thread and no open file more than before."""
    threads, files = set(threading.enumerate()), psutil.Process().num_fds()
    yield
    assert set(threading.enumerate()) <= threads
    assert psutil.Process().num_fds() <= files
