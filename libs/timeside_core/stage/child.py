"""A child process: receives messages of runs, hands them to handlers, sends what they yield.

It is started by `children`, with a socket and a shared page as file descriptors; it ends with its parent.
"""

import contextlib
import ctypes
import importlib
import json
import logging
import mmap
import os
import resource
import signal
import socket
import sys
from collections import deque
from collections.abc import Mapping
from typing import Any

from timeside_core.errors import TimesideError
from timeside_core.messages import decode, encode
from timeside_core.processor import Step
from timeside_core.stage import log, sandbox
from timeside_core.stage.handler import Factory, Handler, Opener
from timeside_core.stage.pipe import Header, Pipe

_log = logging.getLogger(__name__)

BLAME_BYTES = 512
"""Size of the page on which a child notes what it is about to run."""
_PR_SET_PDEATHSIG = 1


class Blame:
    """Notes in shared memory which step runs: it outlives the process."""

    def __init__(self, descriptor: int) -> None:
        self._page = mmap.mmap(descriptor, BLAME_BYTES)
        self._job = 0
        self._notes: dict[tuple[int, int], bytes] = {}

    def job(self, number: int) -> None:
        """Work for a job begins; 0: there is none."""
        self._job = number
        self._notes.clear()
        self._write(json.dumps({"job": number}).encode() if number else b"")

    def step(self, step: Step, processors: tuple[int, ...]) -> None:
        """A step is about to run, which these processors of the plan need."""
        note = self._notes.get((id(step), len(processors)))
        if note is None:
            note = json.dumps({"job": self._job, "step": step.label(), "processors": processors[:32]}).encode()
            self._notes[id(step), len(processors)] = note
        self._write(note)

    def _write(self, note: bytes) -> None:
        note = note[: BLAME_BYTES - 2]
        self._page[: 2 + len(note)] = len(note).to_bytes(2, "little") + note


class Child:
    """The loop of a child."""

    def __init__(self, pipe: Pipe, blame: Blame, opener: Opener) -> None:
        self._pipe, self._blame, self._opener = pipe, blame, opener
        self._handlers: dict[int, Handler] = {}
        self._frames: deque[tuple[Header, memoryview]] = deque()
        self._cancelled: set[int] = set()
        self._stopped: set[int] = set()

    def run(self) -> None:
        """Until the parent hangs up."""
        while (frame := self._next()) is not None:
            header, payload = frame
            job, op = header["job"], header["op"]
            if op == "cancel":
                self._cancelled.discard(job)
                if job in self._handlers:
                    self._end(job)
                    self._pipe.send({"op": "finished", "job": job})
                self._pipe.send({"op": "taken", "job": job})
            elif op == "stop":
                self._stopped.discard(job)
                if job in self._handlers:
                    self._handlers[job].stop()
                self._pipe.send({"op": "taken", "job": job})
            else:
                self._take(job, header, payload)

    def _next(self) -> tuple[Header, memoryview] | None:
        return self._frames.popleft() if self._frames else self._pipe.receive()

    def _take(self, job: int, header: Header, payload: memoryview) -> None:
        """Hand a message to the handler of its job; a job that was ended meanwhile takes it without a word."""
        self._blame.job(job)
        try:
            message = decode(header["topic"], payload)
            if header["op"] == "open":
                self._handlers[job] = self._opener(message, header["prepared"])
            if job in self._handlers:
                self._handle(job, self._handlers[job], message)
        except Exception as error:
            self._end(job)
            self._pipe.send({"op": "failed", "job": job, **_explained(error)})
        finally:
            self._blame.job(0)
        handler = self._handlers.get(job)
        self._pipe.send({"op": "taken", "job": job, "needs": handler and handler.low_watermark})

    def _handle(self, job: int, handler: Handler, message: Any) -> None:
        for outgoing in handler.handle(message):
            if outgoing is not None:
                header = {"op": "send", "job": job, "topic": outgoing.topic, "partition": outgoing.partition}
                self._pipe.send(header, encode(outgoing.message))
            self._look_for_what_is_urgent()
            if job in self._cancelled:
                handler.cancel()
            elif job in self._stopped:
                handler.stop()
        if handler.done:
            self._end(job)
            self._pipe.send({"op": "finished", "job": job})

    def _look_for_what_is_urgent(self) -> None:
        """While a handler yields, only its end is urgent; all else waits its turn."""
        urgent = {"cancel": self._cancelled, "stop": self._stopped}
        while self._pipe.is_waiting() and (frame := self._pipe.receive()) is not None:
            self._frames.append(frame)
            if (jobs := urgent.get(frame[0]["op"])) is not None:
                jobs.add(frame[0]["job"])

    def _end(self, job: int) -> None:
        if (handler := self._handlers.pop(job, None)) is not None:
            try:
                handler.close()
            except Exception as error:  # of one run; others go on
                _log.error("a handler could not be closed", exc_info=error)


def _explained(error: Exception) -> dict[str, Any]:
    if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):
        return {"code": "memory", "reason": str(error) or "out of memory", "retriable": True}
    if isinstance(error, TimesideError):
        return {"code": "error", "reason": str(error), "retriable": False}
    _log.error("a handler failed", exc_info=error)  # our own mistake: the log says where
    return {"code": "internal", "reason": f"{type(error).__name__}: {error}", "retriable": True}


def die_with_parent() -> None:
    """Have the kernel end this process when its parent ends, however that happens."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def limit(memory_bytes: int) -> None:
    """Bound memory; an allocation beyond it fails. Cores are not dumped: they would hold other people's audio."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def function(name: str) -> Any:
    """The function that `package.module:name` names."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _prepared(start: Mapping[str, Any], blame: Blame) -> Opener:
    if start["sandbox"] is not None:
        sandbox.leave_the_network()
    factory: Factory = function(start["factory"])
    opener = factory(start["settings"], blame.step)
    if start["sandbox"] is not None:
        sandbox.enter(readable=start["sandbox"])
    return opener


def main() -> None:
    """Serve the socket at the first file descriptor named, with the page at the second."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business, who drains
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    die_with_parent()
    pipe = Pipe(socket.socket(fileno=int(sys.argv[1])))
    blame = Blame(int(sys.argv[2]))
    with contextlib.suppress(ConnectionError):
        if (first := pipe.receive()) is None:
            return
        log.configure(first[0]["service"])
        limit(first[0]["memory_bytes"])
        opener = _prepared(first[0], blame)
        pipe.send({"op": "ready"})
        Child(pipe, blame, opener).run()


if __name__ == "__main__":
    main()
