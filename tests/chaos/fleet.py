"""The processes of a platform on one machine, and who starts again what dies, as an orchestrator would.

Each service is a process group of its own and dies with us, however we end.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import psutil
from tests.support.kafka import Broker

from timeside_api.embedded import EmbeddedPostgres

POLL_S = 0.1
RESTART_S = 0.3
"""Pause before what died is started again."""
GRACE_S = 15.0
"""What an orchestrator waits beyond `drain_s` before it kills."""
SETTLED_S = 4.0
"""A process is hit when it has had so long to start: most faults should find it at work."""

SERVICES: Mapping[str, tuple[int, Sequence[str]]] = {
    "dispatcher": (2, ("timeside_api", "--role", "dispatcher")),
    "recorder": (2, ("timeside_api", "--role", "recorder")),
    "decoder": (2, ("timeside_decoder",)),
    "analyzer": (2, ("timeside_analyzer",)),
    "grapher": (1, ("timeside_grapher",)),
    "encoder": (1, ("timeside_encoder",)),
    "worker": (2, ("timeside.worker",)),
}
"""Replicas, module and arguments."""

Note = Callable[..., None]


class Victim(Protocol):
    """What faults happen to."""

    name: str

    @property
    def is_up(self) -> bool:
        """Whether it runs, and nothing is being done to it."""
        ...


class Member:
    """A service."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], folder: Path, note: Note) -> None:
        self.name = name
        self._command = [sys.executable, "-m", *command]
        self._environ = {**os.environ, **environ}
        self._log = folder / f"{name}.log"
        self._note = note
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._expected = False
        """Whether its end was our doing."""
        self._drain_until: float | None = None
        self._drained = False
        self._is_frozen = False
        self.ends: Counter[str] = Counter()

    @property
    def is_up(self) -> bool:
        """Whether it runs, and nothing is being done to it."""
        is_busy = self._expected or self._is_frozen or self._drain_until is not None
        is_running = self._process is not None and self._process.poll() is None
        return is_running and not is_busy and time.monotonic() - self._started_at > SETTLED_S

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._command],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started_at, self._expected, self._drain_until = time.monotonic(), False, None

    def watch(self) -> bool:
        """Whether it has ended; kills it where a drain takes too long."""
        if self._process is None:
            return True
        status = self._process.poll()
        if status is None:
            if self._drain_until is not None and time.monotonic() > self._drain_until:
                self._note("overrun", self.name, "its drain took too long")
                self.ends["overrun"] += 1
                self._drain_until, self._expected = None, True
                self._signal(signal.SIGKILL, whole=True)
            return False
        if self._drain_until is not None:
            how = {0: "drained", -signal.SIGTERM: "not begun"}.get(status, "failed drain")
            self.ends[how] += 1
            self._note(how, self.name, f"status {status}")
        elif not self._expected:
            self.ends["by itself"] += 1
            self._note("ended", self.name, f"by itself, with status {status}")
        self._process = None
        return True

    def kill(self, *, whole: bool = False) -> None:
        """End it as a power cut would; `whole`: with all of its children at the same moment."""
        self._expected = True
        self._signal(signal.SIGKILL, whole=whole)

    def kill_child(self, pick: Callable[[Sequence[psutil.Process]], psutil.Process]) -> bool:
        """End one of its children so; False where it has none."""
        with contextlib.suppress(psutil.Error):
            assert self._process is not None
            if children := psutil.Process(self._process.pid).children(recursive=True):
                pick(children).kill()
                return True
        return False

    async def freeze(self, seconds: float, *, whole: bool) -> None:
        """Let it hang for so long, then wake up as if nothing had been."""
        self._is_frozen = True
        process = self._process
        self._signal(signal.SIGSTOP, whole=whole)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._is_frozen = False
            if process is self._process:
                self._signal(signal.SIGCONT, whole=True)

    def drain(self, drain_s: float) -> None:
        """Ask it to stop in good order."""
        self._drain_until = time.monotonic() + drain_s + GRACE_S
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals, *, whole: bool = False) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if whole else os.kill)(self._process.pid, number)


class Database:
    """PostgreSQL, all of its processes."""

    name = "postgres"

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        self._is_busy = False

    @property
    def is_up(self) -> bool:
        """Whether it runs, and nothing is being done to it."""
        return not self._is_busy and self._postgres.pid is not None

    async def kill(self) -> None:
        """End all of it at once; start it again."""
        self._is_busy = True
        self._each(signal.SIGKILL)
        await asyncio.to_thread(self._start_again)
        self._is_busy = False

    async def freeze(self, seconds: float) -> None:
        """Let all of it hang."""
        self._is_busy = True
        self._each(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._each(signal.SIGCONT)
            self._is_busy = False

    def _start_again(self) -> None:
        while self._postgres.pid is not None:
            time.sleep(0.01)
        self._postgres.ensure()

    def _each(self, number: signal.Signals) -> None:
        assert self._postgres.pid is not None
        server = psutil.Process(self._postgres.pid)
        for process in (server, *server.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)


class Bus:
    """The broker."""

    name = "broker"

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._is_busy = False

    @property
    def is_up(self) -> bool:
        """Whether it runs, and nothing is being done to it."""
        return not self._is_busy

    async def kill(self) -> None:
        """End it as a power cut would; start it again on the same data."""
        self._is_busy = True
        self._broker.kill()
        await asyncio.to_thread(self._broker.start)
        self._is_busy = False

    async def freeze(self, seconds: float) -> None:
        """Let it hang."""
        self._is_busy = True
        self._broker.freeze()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._broker.thaw()
            self._is_busy = False


class Fleet:
    """All services, and their supervisor."""

    def __init__(self, environ: Mapping[str, str], folder: Path, note: Note) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.members = [
            Member(f"{name}-{number}", command, environ, folder, note)
            for name, (replicas, command) in SERVICES.items()
            for number in range(1, replicas + 1)
        ]
        self.restarts = 0

    async def supervise(self) -> None:
        """Start all; start again what ends; until cancelled."""
        for member in self.members:
            member.start()
        due: dict[Member, float] = {}
        while True:
            for member in self.members:
                if member not in due and member.watch():
                    due[member] = time.monotonic() + RESTART_S
            for member in [each for each, at in due.items() if at <= time.monotonic()]:
                del due[member]
                member.start()
                self.restarts += 1
            await asyncio.sleep(POLL_S)

    async def stop(self, drain_s: float) -> None:
        """Drain all, and wait until they have ended."""
        for member in self.members:
            member.drain(drain_s)
        while True:
            if all([member.watch() for member in self.members]):
                return
            await asyncio.sleep(POLL_S)

    def kill(self) -> None:
        """End what is left, at once."""
        for member in self.members:
            member.kill(whole=True)
            member.watch()

    def ends(self) -> Counter[str]:
        """How services ended, apart from those that were killed; what had not begun yet had nothing to drain."""
        return sum((member.ends for member in self.members), Counter[str]())


def up(victims: Iterable[Victim]) -> list[Victim]:
    """Those that a fault would find at work."""
    return [each for each in victims if each.is_up]
