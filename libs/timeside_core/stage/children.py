"""The children of a worker, seen from its I/O process: started, given work, watched, replaced."""

import asyncio
import contextlib
import json
import logging
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from uuid import UUID

from timeside_core.errors import PoisonError, TimesideError
from timeside_core.messages import decode
from timeside_core.stage.child import BLAME_BYTES
from timeside_core.stage.metrics import CHILD_DEATHS
from timeside_core.stage.pipe import AsyncPipe, Header
from timeside_core.stage.settings import StageSettings
from timeside_core.stage.traces import INVALID_SPAN, Span

_log = logging.getLogger(__name__)

START_S = 60.0
"""A cold, busy machine takes some seconds to import numpy."""
WATCH_EVERY_S = 0.5
CLOSE_S = 2.0
"""How long a dead child's last messages may wait for the bus."""
_HARMLESS = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONHASHSEED", "PYTHONWARNINGS", "VIRTUAL_ENV")
"""Variables that a sandboxed child may see."""
_ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
"""As many children as cores: more threads would only wait for each other, and each reserves memory."""

_SAFE_PATH = ("-P",)
"""Children import from where things are installed, not from the working folder: what they import they may read."""

Payload: TypeAlias = "bytes | bytearray | memoryview"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended."""

    kind: Literal["finished", "failed", "died", "cancelled"]
    code: str = ""
    reason: str = ""
    retriable: bool = True
    processors: tuple[int, ...] = ()
    """Indices in the plan of those that needed the step which ran when the child died, if it ran for this job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What children of a kind do, and what they may."""

    name: str
    """Of the service, for logs."""
    factory: str
    """`package.module:function`, see `handler.Factory`."""
    settings: Mapping[str, Any]
    topics: frozenset[str]
    """Families of topics that their handlers send to: `ts.result`, `ts.pcm`."""
    readable: tuple[str, ...] | None = None
    """Folders that sandboxed children may read; None: no sandbox."""


_Need: TypeAlias = tuple[int, frozenset["asyncio.Future[Any]"]]
Send: TypeAlias = Callable[["Job", str, int | None, memoryview], Awaitable[None]]


@dataclass(eq=False)
class Job:
    """A run in a child."""

    number: int
    run_id: UUID
    attempt: int
    child: "Child"
    send: Send = field(repr=False)
    is_endless: bool = False
    """Whether it lasts as long as its source."""
    span: Span = field(default=INVALID_SPAN, repr=False)
    """In the trace of its run."""
    began: float = field(default_factory=time.monotonic)
    outcome: "asyncio.Future[Outcome]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    last: dict[tuple[str, int | None], memoryview] = field(default_factory=dict[tuple[str, int | None], memoryview])
    """The last block that was sent to each pool."""
    unacknowledged: set["asyncio.Future[Any]"] = field(default_factory=set["asyncio.Future[Any]"], repr=False)
    _needs: deque["_Need"] = field(default_factory=deque["_Need"], init=False, repr=False)
    """First samples that its handler needed, and what was not kept then."""

    def give(self, op: Literal["open", "block"], topic: str, payload: Payload, **more: Any) -> None:
        """Hand it a message; it is `child.waiting` until taken."""
        self.child.post({"op": op, "job": self.number, "topic": topic, **more}, payload)

    def cancel(self) -> None:
        """Ask the child to bring it to an end; what that makes is still sent."""
        self.child.post({"op": "cancel", "job": self.number})

    def stop(self) -> None:
        """Ask the child to end it as if there were no more to come."""
        self.child.post({"op": "stop", "job": self.number})

    def abandon(self) -> None:
        """Have no more of it: nothing that it makes from now on is sent."""
        self.end(Outcome(kind="cancelled"))
        self.cancel()

    def end(self, outcome: Outcome) -> None:
        """Note how it ended; only the first outcome counts."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def sent(self, acknowledged: "asyncio.Future[Any]") -> None:
        """Something was sent for it that is not kept yet."""
        self.unacknowledged.add(acknowledged)
        acknowledged.add_done_callback(self._noted)

    def need(self, first_sample: int) -> None:
        """Its handler needs no sample before that one any more."""
        if not self._needs or first_sample > self._needs[-1][0]:
            self._needs.append((first_sample, frozenset(self.unacknowledged)))

    def needed_from(self) -> int | None:
        """The first sample that is needed again, now that all which came of others is kept; None where that is old."""
        first_sample: int | None = None
        while self._needs and not self._needs[0][1] & self.unacknowledged:
            first_sample, _ = self._needs.popleft()
        return first_sample

    def _noted(self, acknowledged: "asyncio.Future[Any]") -> None:
        """Forget what is kept; what is not ends an endless job, as nobody else would look at it."""
        if not acknowledged.cancelled() and acknowledged.exception() is None:
            self.unacknowledged.discard(acknowledged)
        elif self.is_endless:
            self.abandon()

    async def acknowledged(self) -> None:
        """Wait until all that was sent for it is kept; raises `BusError` where something is not."""
        while self.unacknowledged:
            future = next(iter(self.unacknowledged))
            await future
            self.unacknowledged.discard(future)


class Child:
    """A process that computes."""

    def __init__(self, kind: Kind, settings: StageSettings) -> None:
        self._kind, self._settings = kind, settings
        self.jobs: dict[int, Job] = {}
        self.begun = 0
        """Jobs so far."""
        self.waiting = 0
        """Frames posted that it has not taken."""
        self.is_ready = False
        self.is_dead = False
        self.changed: Callable[[], None] = lambda: None
        """Called when it has taken something, or died."""
        self._posted: deque[tuple[Header, Payload]] = deque()
        self._wake = asyncio.Event()
        self._heard = time.monotonic()
        self._is_sending = False
        self._cause = ""
        self._death = asyncio.Event()

    def start(self) -> None:
        """Start the process; `is_ready` follows."""
        ours, theirs = socket.socketpair()
        page = os.memfd_create("timeside-blame")
        os.truncate(page, BLAME_BYTES)
        self._blame = mmap.mmap(page, BLAME_BYTES)
        environ = dict(os.environ)
        if self._kind.readable is not None:
            environ = {name: environ[name] for name in _HARMLESS if name in environ}
        command = [sys.executable, *_SAFE_PATH, "-m", "timeside_core.stage.child", str(theirs.fileno()), str(page)]
        try:
            self._process = subprocess.Popen(
                command, pass_fds=(theirs.fileno(), page), env=environ | _ONE_THREAD, stdin=subprocess.DEVNULL
            )
        finally:
            theirs.close()
            os.close(page)
        self._pipe = AsyncPipe(ours)
        first = {
            "service": self._kind.name,
            "factory": self._kind.factory,
            "settings": dict(self._kind.settings),
            "sandbox": self._kind.readable,
            "memory_bytes": self._settings.child_memory_bytes,
        }
        self._posted.append((first, b""))
        self._wake.set()
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def post(self, header: Header, payload: Payload = b"") -> None:
        """Queue a frame for it; who calls keeps `waiting` bounded."""
        if self.is_dead:
            return
        if not self.waiting:
            self._heard = time.monotonic()
        self.waiting += 1
        self._posted.append((header, payload))
        self._wake.set()

    def watch(self) -> None:
        """Kill it if it hangs; that it waits for the bus is not its fault."""
        now = time.monotonic()
        if self._is_sending:
            self._heard = now
        limit_s = self._settings.step_s if self.is_ready else START_S
        if (self.waiting or not self.is_ready) and now - self._heard > limit_s:
            self.kill(f"hung: silent for {limit_s:g} s")
        for job in list(self.jobs.values()):
            is_late = now - job.began > self._settings.run_s and not job.is_endless
            if is_late and not job.outcome.done():
                job.end(Outcome(kind="failed", code="deadline", reason=f"took longer than {self._settings.run_s:g} s"))
                job.cancel()

    def kill(self, cause: str) -> None:
        """End it at once."""
        if not self.is_dead:
            self._cause = self._cause or cause
            self._process.kill()

    async def close(self) -> None:
        """End it, and wait for that."""
        self.kill("was closed")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._death.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._posted:
                    await self._pipe.send(*self._posted.popleft())
        except OSError:
            return  # it died: the reader sees that too

    async def _read(self) -> None:
        try:
            while (frame := await self._pipe.receive()) is not None:
                self._heard = time.monotonic()
                self._is_sending = True
                await self._frame(*frame)
                self._is_sending = False
                self._heard = time.monotonic()
        except (PoisonError, KeyError, TypeError, ValueError) as error:
            self.kill(f"sent what it must not: {error!r}")
        except TimesideError as error:
            self.kill(f"could not be sent for: {error}")
        finally:
            await self._buried()

    async def _frame(self, header: Header, payload: memoryview) -> None:
        op = header["op"]
        job = self.jobs.get(header.get("job", 0))
        if op == "ready":
            self.is_ready = True
        elif op == "taken":
            self.waiting -= 1
            if job is not None and header.get("needs") is not None:
                job.need(int(header["needs"]))
        elif job is None:
            return  # it was given up meanwhile
        elif op == "send":
            await self._send(job, header["topic"], header["partition"], payload)
            return
        elif op == "finished":
            self._end(job, Outcome(kind="finished"))
        elif op == "failed":
            reason, retriable = str(header["reason"])[:4096], bool(header["retriable"])
            self._end(job, Outcome(kind="failed", code=str(header["code"])[:64], reason=reason, retriable=retriable))
        else:
            raise PoisonError(f"op {op!r} is unknown")
        self.changed()

    async def _send(self, job: Job, topic: str, partition: int | None, payload: memoryview) -> None:
        if not any(topic == family or topic.startswith(f"{family}.") for family in self._kind.topics):
            raise PoisonError(f"topic {topic!r} is none of {sorted(self._kind.topics)}")
        if self._kind.readable is not None:
            _check_run(job, topic, payload)
        if not job.outcome.done():
            await job.send(job, topic, partition, payload)

    def _end(self, job: Job, outcome: Outcome) -> None:
        self.jobs.pop(job.number, None)
        job.end(outcome)

    async def _buried(self) -> None:
        """It is dead: say so to its jobs, with what is known of the cause."""
        self.is_dead = True
        self.waiting = 0
        self._process.kill()
        status = await asyncio.shield(asyncio.to_thread(self._process.wait))
        self._pipe.close()
        cause = self._cause or _cause_of(status)
        step, blamed, processors = self._blamed()
        if self.jobs:
            _log.error("child %d %s, step %r ran", self.pid, cause, step)
        for job in list(self.jobs.values()):
            ran = f" while {step!r} ran" if step and job.number == blamed else ""
            mine = processors if job.number == blamed else ()
            code = "hung" if cause.startswith("hung") else "crashed"
            self._end(job, Outcome(kind="died", code=code, reason=f"its process {cause}{ran}", processors=mine))
        self._blame.close()
        self._death.set()
        CHILD_DEATHS.inc(int(self._cause != "was closed"))
        self.changed()

    def _blamed(self) -> tuple[str, int, tuple[int, ...]]:
        """The step that ran, the job it ran for, the processors that need it."""
        length = int.from_bytes(self._blame[:2], "little")
        try:
            note = json.loads(self._blame[2 : 2 + length])
            return str(note.get("step", "")), int(note["job"]), tuple(int(each) for each in note.get("processors", ()))
        except (ValueError, KeyError, TypeError):
            return "", 0, ()


def _check_run(job: Job, topic: str, payload: memoryview) -> None:
    """Raise `PoisonError` unless a message is one, and about the job's run: hostile media may have taken the child."""
    message = decode(topic, payload)
    if (message.run_id, message.attempt) != (job.run_id, job.attempt):
        raise PoisonError(f"a message about run {message.run_id} is not for a child that works on {job.run_id}")


def _cause_of(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    name = signal.Signals(-status).name
    hint = " (out of memory, most likely)" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"


class Children:
    """So many children of a kind, and one more for each run that is to be alone."""

    def __init__(self, kind: Kind, settings: StageSettings, *, changed: Callable[[], None]) -> None:
        self._kind, self._settings, self._changed = kind, settings, changed
        self._shared: list[Child] = []
        self._others: list[Child] = []
        """Those of a single run, and those that were replaced but have not finished."""
        self._numbers = 0

    async def start(self) -> None:
        """Start all, and wait until they are ready; raises `TimesideError` where one is not."""
        self._shared = [self._child() for _ in range(self._settings.children)]
        while not all(child.is_ready for child in self._shared):
            self._check()
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        """End all of them."""
        await asyncio.gather(*(child.close() for child in (*self._shared, *self._others)))

    @property
    def jobs(self) -> Sequence[Job]:
        """All open jobs."""
        return [job for child in (*self._shared, *self._others) for job in child.jobs.values()]

    @property
    def pids(self) -> tuple[int, ...]:
        """Of all processes."""
        return tuple(child.pid for child in (*self._shared, *self._others) if not child.is_dead)

    @property
    def is_doomed(self) -> bool:
        """Whether one did not start: `watch` is about to raise, and nothing should be begun any more."""
        return bool(self._stillborn())

    def begin(
        self, run_id: UUID, attempt: int, send: Send, span: Span = INVALID_SPAN, *, is_endless: bool = False
    ) -> Job:
        """A job in the child with the fewest; from some attempt on, in a child of its own."""
        self._replace()
        is_alone = attempt >= self._settings.alone_from_attempt
        child = self._alone() if is_alone else min(self._shared, key=lambda each: (each.is_dead, len(each.jobs)))
        self._numbers += 1
        job = Job(self._numbers, run_id, attempt, child, send, is_endless, span)
        if child.is_dead:
            job.end(Outcome(kind="died", code="crashed", reason="its process had just died"))
            return job
        child.jobs[job.number] = job
        child.begun += 1
        return job

    def _alone(self) -> Child:
        child = self._child()
        self._others.append(child)
        return child

    def _child(self) -> Child:
        child = Child(self._kind, self._settings)
        child.changed = self._changed
        child.start()
        return child

    async def watch(self) -> None:
        """For as long as they are needed: kill what hangs, replace what died; raises where none can be started."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            self._check()
            for child in (*self._shared, *self._others):
                child.watch()
            self._replace()
            for child in [each for each in self._others if not each.jobs]:
                self._others.remove(child)
                await child.close()

    def _check(self) -> None:
        if dead := self._stillborn():
            raise TimesideError(f"child {dead[0].pid} of {self._kind.factory} did not start: see its messages")

    def _stillborn(self) -> list[Child]:
        return [child for child in self._shared if child.is_dead and not child.is_ready]

    def _replace(self) -> None:
        """New children for those that died or have done enough."""
        for index, child in enumerate(self._shared):
            if (child.is_dead and child.is_ready) or child.begun >= self._settings.child_runs:
                self._shared[index] = self._child()
                self._others.append(child)
