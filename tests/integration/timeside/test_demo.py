"""`make run`: what it prints is true, its commands run as printed, and it ends as it should."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]  # machines may be busy

STARTS = {
    "pitch.csv": b"result,time_s",
    "mfcc.h5": b"\x89HDF",
    "waveform.png": b"\x89PNG",
    "spectrogram.png": b"\x89PNG",
    "sample.opus": b"OggS",
}


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "timeside.demo", str(folder / "out"), "0"]


def environ(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("ONCE", "TIMESIDE_HOME")} | more


def test_what_it_prints_runs_and_a_second_time_too(tmp_path: Path):
    assert shutil.which("curl"), "curl is missing: the commands that are printed use it"
    with subprocess.Popen(
        command(tmp_path), env=environ(), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while (line := process.stdout.readline()) and not line.startswith("Ctrl-C"):
            lines.append(line)
        said = "".join(lines)
        assert re.search(r"sign in as admin, one-time password: \S{16,}", said), said
        assert re.search(r"^  level\.max: -1\.9\d+ dBFS$", said, re.MULTILINE), said  # its peak is 0.8
        check_the_commands(said, tmp_path)
        process.send_signal(signal.SIGINT)
        assert process.wait(90) == 0
    again = subprocess.run(command(tmp_path), env=environ(ONCE="1"), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert item(again.stdout) == item(said)  # the recording is not added twice
    assert "Traceback" not in again.stderr


def item(said: str) -> str:
    found = re.search(r"/#/items/(\S+)", said)
    assert found, said
    return found[1]


def check_the_commands(said: str, folder: Path) -> None:
    """As somebody would who pastes them."""
    commands = re.findall(r"^  ((?:export|curl) .*)$", said, re.MULTILINE)
    assert len(commands) == 2 + len(STARTS)
    done = subprocess.run(
        ["bash", "-e"], input="\n".join(commands), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '"values":-20.4' in done.stdout
    for name, start in STARTS.items():
        assert (folder / name).read_bytes().startswith(start), name


def test_a_start_that_fails_is_told_in_a_line(tmp_path: Path):
    done = subprocess.run(
        [*command(tmp_path)[:-1], "70000"], env=environ(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "timeside up did not start" in done.stderr
    assert "Traceback" not in done.stderr
