"""`timeside up` as a process, for tests that come in by its address."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STOP_S = 90.0


@dataclass
class Platform:
    """A platform that runs."""

    url: str
    said: str
    process: "subprocess.Popen[str]"

    def stop(self) -> int:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_S)

    @property
    def first_password(self) -> str | None:
        """Where there was no account yet."""
        found = re.search(r"one-time password: (\S+)", self.said)
        return found[1] if found else None


def environ(home: Path) -> dict[str, str]:
    return {**os.environ, "TIMESIDE_HOME": str(home), "TIMESIDE_CHILDREN": "1", "TIMESIDE_LOG_LEVEL": "WARNING"}


@contextmanager
def up(home: Path, **settings: str) -> Generator[Platform]:
    command = [sys.executable, "-m", "timeside.cli", "up", "--port", "0"]
    with (home.parent / "log").open("a") as log:
        process = subprocess.Popen(
            command, env=environ(home) | settings, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
    assert process.stdout is not None
    said = ""
    try:
        while (line := process.stdout.readline()) and (found := re.search(r"http://\S+", line)) is None:
            said += line
        assert line, (home.parent / "log").read_text()[-4000:]
        yield Platform(found[0], said, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
