"""What a sandboxed process can no longer do, tried in one."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from timeside_core.stage import sandbox

TRIED = """
import json, os, socket, subprocess, sys, threading
from timeside_core.stage import sandbox

sandbox.leave_the_network()
allowed, secret = sys.argv[1:]
sandbox.enter(readable=[os.path.dirname(allowed)])

def thread():
    started = threading.Thread(target=lambda: None)
    started.start()
    started.join()

tries = {
    "read": lambda: open(allowed).read(),
    "thread": thread,
    "read elsewhere": lambda: open(secret).read(),
    "list elsewhere": lambda: os.listdir(os.path.dirname(secret)),
    "environment of the parent": lambda: open(f"/proc/{os.getppid()}/environ", "rb").read(),
    "write": lambda: open(allowed, "w"),
    "remove": lambda: os.unlink(allowed),
    "socket": lambda: socket.socket(),
    "program": lambda: subprocess.run(["/bin/true"]),
    "fork": os.fork,
    "kill": lambda: os.kill(os.getppid(), 0),
}

def works(tried):
    try:
        tried()
    except OSError:
        return False
    return True

print(json.dumps([name for name, tried in tries.items() if works(tried)]))
"""


@pytest.mark.skipif(
    platform.machine() not in sandbox._ARCHITECTURES,
    reason=f"sandbox.py lists no system calls of {platform.machine()}: it warns and goes on without that wall",
)
def test_it_reads_and_computes_and_nothing_else(tmp_path: Path) -> None:
    allowed, secret = tmp_path / "media" / "a", tmp_path / "secret" / "b"
    for each in (allowed, secret):
        each.parent.mkdir()
        each.write_text("bytes")
    command = [sys.executable, "-c", TRIED, str(allowed), str(secret)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["read", "thread"]
    assert not done.stderr


def test_a_machine_whose_calls_are_not_known_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    sandbox._filter_calls()
    assert "without seccomp: calls of riscv64 are not known" in caplog.text
