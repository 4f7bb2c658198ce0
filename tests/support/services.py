"""Services as processes of their own, over a real broker; they end with the test, or are killed by it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

START_LIMIT_S = 60.0
STOP_LIMIT_S = 30.0


@dataclass
class Service:
    """A process: `python -m timeside_<name>`, or the fused `worker`."""

    name: str
    environ: dict[str, str]
    log: Path
    arguments: tuple[str, ...] = ()
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it; `wait_ready` follows."""
        self.port = _free_port()
        environ = {**os.environ, **self.environ, "TIMESIDE_PORT": str(self.port), "TIMESIDE_HOST": "127.0.0.1"}
        module = "timeside.worker" if self.name == "worker" else f"timeside_{self.name}"
        command = [sys.executable, "-m", module, *self.arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_ready(self) -> None:
        """Return once it takes work."""
        deadline = time.monotonic() + START_LIMIT_S
        while self.get("/readyz")[0] != 200:
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.name} did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.05)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of one of its probes; status 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def stop(self) -> int:
        """Ask it to drain; the status it ended with."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end of a drain; the status it ended with."""
        assert self.process is not None
        try:
            return self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not drain:\n{self.log.read_text()[-4000:]}") from None

    def children(self) -> list[int]:
        """Processes that compute for it."""
        assert self.process is not None
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]


@contextlib.contextmanager
def running(
    folder: Path, bootstrap: str, *names: str, logs: Path | None = None, **settings: str
) -> Generator[dict[str, Service]]:
    """Services that are ready, with settings by environment; stopped afterwards."""
    variables = {f"TIMESIDE_{name.upper()}": value for name, value in settings.items()}
    services = {
        name: Service(name, environ(folder, bootstrap) | variables, (logs or folder) / f"{name}.log") for name in names
    }
    try:
        for service in services.values():
            service.start()
        for service in services.values():
            service.wait_ready()
        yield services
    finally:
        alive = [each for each in services.values() if each.process is not None and each.process.poll() is None]
        for service in alive:
            service.signal(signal.SIGTERM)
        failed = [service for service in alive if service.wait()]
        if failed:
            raise AssertionError("\n".join(f"{each.name} failed:\n{each.log.read_text()[-4000:]}" for each in failed))


def environ(folder: Path, bootstrap: str) -> dict[str, str]:
    """Variables of a service that has all its files in a folder."""
    return {
        "TIMESIDE_KAFKA_BOOTSTRAP": bootstrap,
        "TIMESIDE_STORE_URL": (folder / "store").as_uri(),
        "TIMESIDE_SCRATCH": str(folder),
        "TIMESIDE_CHILDREN": "1",
        "TIMESIDE_SESSION_S": "6",
        "TIMESIDE_COMMIT_EVERY_S": "0.2",
        "TIMESIDE_DRAIN_S": "10",
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]
