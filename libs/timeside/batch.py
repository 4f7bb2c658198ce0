"""Many files, several processes: a bad file is reported and the rest goes on."""

import glob
import multiprocessing
import os
import queue
import signal
import stat
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, TypeVar

from timeside_core.errors import MediaError, TimesideError
from timeside_core.suffixes import SUFFIXES

GRACE_S = 5.0
"""Time that a process has to come to the end of a block, s."""
IDLE_GRACE_S = 0.2
"""Time that an outcome has to get from a process to this one, s."""

Answer = TypeVar("Answer")
Tell = Callable[[float, float | None], None]
"""Progress of one file: seconds done and, where known, in all."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file to work on, and its path below the folder that was named."""

    path: Path
    relative: Path
    error: str = ""
    """Why it cannot be worked on, where that is known already."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Answer]):
    """What came of one file: an answer, or an error in words."""

    file: Found
    answer: Answer | None = None
    error: str = ""
    warnings: Sequence[str] = ()
    """What is wrong although there is an answer: damage, for one."""


def find(words: Iterable[str]) -> list[Found]:
    """Files that words name: files, folders (all audio and video below them), patterns with `*`, `?` and `[…]`."""
    found: dict[Path, Found] = {}
    for word in words:
        for file in _named(word):
            found.setdefault(file.path, file)
    return list(found.values())


def run(
    files: Sequence[Found],
    work: Callable[[Found, Tell], Answer],
    *,
    processes: int,
    tell: Callable[[Found, float, float | None], None],
) -> Generator[Outcome[Answer]]:
    """Outcomes of `work` over files as they come, in this process or in several; `work` must be importable there.

    Close the iterator to end the work early: files that are at work are left, nothing half-written stays behind.
    """
    if processes == 1 or len(files) == 1:
        for file in files:
            yield _attempt(work, file, lambda done, total, file=file: tell(file, done, total))
        return
    waiting = {file.path: file for file in files}
    while waiting:
        with closing(_pooled(list(waiting.values()), work, processes, tell)) as outcomes:
            for outcome in outcomes:
                del waiting[outcome.file.path]
                yield outcome
        # a process died and took the pool along; the first of those left were at work: one by one they tell which kills
        for file in list(waiting.values())[:processes]:
            del waiting[file.path]
            with closing(_pooled([file], work, 1, tell)) as outcomes:
                died: Outcome[Answer] = Outcome(file, error="the process that worked on it died")
                yield next(outcomes, died)


def _pooled(
    files: Sequence[Found],
    work: Callable[[Found, Tell], Answer],
    processes: int,
    tell: Callable[[Found, float, float | None], None],
) -> Generator[Outcome[Answer]]:
    """Outcomes from a pool of processes; files that a dying process leaves undone have none."""
    context = multiprocessing.get_context("spawn")
    others = multiprocessing.active_children()
    with _told(context, {file.path: file for file in files}, tell) as told, _one_thread_each():
        pool = ProcessPoolExecutor(min(processes, len(files)), context, initializer=_begin, initargs=(told, work))
        futures: list[Future[Outcome[Answer]]] = []
        try:
            with suppress(BrokenProcessPool), _interrupts_blocked():
                futures.extend(pool.submit(_attempt_there, file) for file in files)
            for future in as_completed(futures):
                with suppress(BrokenProcessPool):
                    yield future.result()
        except BaseException:  # an interrupt, or closed
            _end(set(multiprocessing.active_children()) - set(others))
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _attempt(work: Callable[[Found, Tell], Answer], file: Found, tell: Tell) -> Outcome[Answer]:
    if file.error:
        return Outcome(file, error=file.error)
    with warnings.catch_warnings(record=True) as caught:
        try:
            answer = work(file, tell)
        except TimesideError as error:
            return Outcome(file, error=str(error))
        except OSError as error:
            return Outcome(file, error=f"{error.filename or file.path}: {error.strerror or error}")
        except Exception as error:  # a defect of ours or of a plug-in: this file fails, the others go on
            return Outcome(file, error=f"{type(error).__name__}: {error}")
    return Outcome(file, answer, warnings=[str(each.message) for each in caught])


_told_there: "multiprocessing.Queue[tuple[Path, float, float | None]]"
_work_there: Callable[[Found, Tell], Any]
_ended = threading.Event()
"""Set in a process of the pool that was told to end; it does so between two blocks, never while it writes."""
_idle = True


def _begin(told: "multiprocessing.Queue[tuple[Path, float, float | None]]", work: Callable[[Found, Tell], Any]) -> None:
    """Make a process of the pool ready."""
    global _told_there, _work_there
    _told_there, _work_there = told, work
    told.cancel_join_thread()  # its end need not wait until all progress was read
    for target in (_end_with_parent, _leave):
        threading.Thread(target=target, name=target.__name__, daemon=True).start()
    signal.signal(signal.SIGTERM, _set_ended)


def _set_ended(*_: object) -> None:
    _ended.set()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    _ended.set()


def _leave() -> None:
    """Leave once told to: soon where there is no work, as nobody may ever give some; else when the work has ended."""
    _ended.wait()
    time.sleep(IDLE_GRACE_S)
    if not _idle:
        time.sleep(GRACE_S)
    os._exit(1)


def _attempt_there(file: Found) -> Outcome[Any]:
    global _idle

    def tell(done: float, total: float | None) -> None:
        if _ended.is_set():
            sys.exit()
        with suppress(queue.Full):
            _told_there.put_nowait((file.path, done, total))

    _idle = False
    if not _ended.is_set():
        with suppress(SystemExit):
            outcome = _attempt(_work_there, file, tell)
            _idle = True
            return outcome
    os._exit(1)  # the pool would hand it the next file


def _end(children: Iterable[BaseProcess]) -> None:
    """End processes of a pool; those that compute for long without a look at the time are killed."""
    for child in children:
        child.terminate()
    last = time.monotonic() + GRACE_S
    for child in children:
        child.join(max(0, last - time.monotonic()))
        child.kill()


@contextmanager
def _interrupts_blocked() -> Generator[None]:
    """Processes started now never see Ctrl-C, which a terminal sends to all: this one ends them in order."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _told(
    context: SpawnContext, files: dict[Path, Found], tell: Callable[[Found, float, float | None], None]
) -> "Generator[multiprocessing.Queue[tuple[Path, float, float | None]]]":
    """A bounded queue of progress, read by a thread; what does not fit is dropped, more will come."""
    told: multiprocessing.Queue[Any] = context.Queue(1000)
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            with suppress(queue.Empty):
                path, done, total = told.get(timeout=0.1)
                tell(files[path], done, total)

    reader = threading.Thread(target=read, name="progress", daemon=True)
    reader.start()
    try:
        yield told
    finally:
        over.set()  # not by a message: a process that died while it wrote may hold the queue's lock for ever
        reader.join()
        told.close()


@contextmanager
def _one_thread_each() -> Generator[None]:
    """Child processes compute on one thread each: there is one per core."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _named(word: str) -> Iterator[Found]:
    if "://" in word and not word.startswith("file://"):
        raise MediaError(f"{word!r} is a URL: only local files and folders are read")
    path = Path(word)
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        matches = sorted(glob.glob(word, recursive=True))
        if not matches:
            raise MediaError(f"{word!r} names no file or folder") from None
        for match in matches:
            yield from _named(match)
        return
    except OSError as error:
        raise MediaError(f"{word!r} cannot be looked into: {error.strerror}") from None
    if stat.S_ISDIR(kind):
        yield from _below(path)
    else:
        yield Found(path, Path(path.name))


def _below(folder: Path) -> Iterator[Found]:
    """Audio and video below a folder, hidden ones left out, and folders that cannot be looked into."""
    closed: list[OSError] = []
    files: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=closed.append):
        folders[:] = [each for each in folders if not each.startswith(".")]
        files += [Path(root, name) for name in names if not name.startswith(".")]
    for file in sorted(files):
        if file.suffix.lower() in SUFFIXES and file.is_file():
            yield Found(file, file.relative_to(folder))
    for error in closed:
        path = Path(error.filename)
        yield Found(path, path.relative_to(folder), error=f"{path}: {error.strerror}")
