"""Many files, several processes: a bad file is reported and the rest goes on."""

import glob
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Any, Generic, TypeVar

from timeside_core.errors import MediaError, TimesideError

_SUFFIXES = """
wav w64 rf64 aif aiff aifc caf au snd flac ape wv ogg oga opus mp3 mp2 m4a m4b aac ac3 eac3 wma amr
mp4 m4v mov 3gp mkv mka webm avi wmv asf ts mts
"""
SUFFIXES = frozenset(f".{word}" for word in _SUFFIXES.split())
"""Files that are taken when a folder is named; a file that is named itself is taken whatever its suffix."""

Answer = TypeVar("Answer")
Tell = Callable[[float, float | None], None]
"""Progress of one file: seconds done and, where known, in all."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file to work on, and its path below the folder that was named."""

    path: Path
    relative: Path


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Answer]):
    """What came of one file: an answer, or an error in words."""

    file: Found
    answer: Answer | None = None
    error: str = ""


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
) -> Iterator[Outcome[Answer]]:
    """Outcomes of `work` over files as they come, in this process or in several; `work` must be importable there."""
    if processes == 1 or len(files) == 1:
        for file in files:
            yield _attempt(work, file, lambda done, total, file=file: tell(file, done, total))
        return
    waiting = {file.path: file for file in files}
    for outcome in _pooled(files, work, processes, tell):
        del waiting[outcome.file.path]
        yield outcome
    for file in waiting.values():  # a process died and took the pool along: one by one, to know which file kills
        alone = list(_pooled([file], work, 1, tell))
        yield alone[0] if alone else Outcome(file, error="the process that worked on it died")


def _pooled(
    files: Sequence[Found],
    work: Callable[[Found, Tell], Answer],
    processes: int,
    tell: Callable[[Found, float, float | None], None],
) -> Iterator[Outcome[Answer]]:
    """Outcomes from a pool of processes; files that a dying process leaves undone have none."""
    context = multiprocessing.get_context("spawn")
    with _told(context, {file.path: file for file in files}, tell) as told, _one_thread_each():
        pool = ProcessPoolExecutor(min(processes, len(files)), context, initializer=_begin, initargs=(told,))
        try:
            futures: list[Future[Outcome[Answer]]] = [pool.submit(_attempt_there, work, file) for file in files]
            for future in as_completed(futures):
                with suppress(BrokenProcessPool):
                    yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _attempt(work: Callable[[Found, Tell], Answer], file: Found, tell: Tell) -> Outcome[Answer]:
    try:
        return Outcome(file, work(file, tell))
    except TimesideError as error:
        return Outcome(file, error=str(error))
    except OSError as error:
        return Outcome(file, error=f"{error.strerror or error}: {error.filename or file.path}")
    except Exception as error:  # a defect of ours or of a plug-in: this file fails, the others go on
        return Outcome(file, error=f"{type(error).__name__}: {error}")


_there: "multiprocessing.Queue[tuple[Path, float, float | None]] | None" = None


def _begin(told: "multiprocessing.Queue[tuple[Path, float, float | None]]") -> None:
    global _there
    _there = told


def _attempt_there(work: Callable[[Found, Tell], Answer], file: Found) -> Outcome[Answer]:
    def tell(done: float, total: float | None) -> None:
        with suppress(queue.Full):
            if _there is not None:
                _there.put_nowait((file.path, done, total))

    return _attempt(work, file, tell)


@contextmanager
def _told(
    context: SpawnContext, files: dict[Path, Found], tell: Callable[[Found, float, float | None], None]
) -> "Generator[multiprocessing.Queue[tuple[Path, float, float | None]]]":
    """A bounded queue of progress, read by a thread; what does not fit is dropped, more will come."""
    told: multiprocessing.Queue[Any] = context.Queue(1000)

    def read() -> None:
        while (message := told.get()) is not None:
            path, done, total = message
            tell(files[path], done, total)

    reader = threading.Thread(target=read, name="progress", daemon=True)
    reader.start()
    try:
        yield told
    finally:
        told.put(None)
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
    if path.is_dir():
        below = (each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
        for file in sorted(
            each for each in below if not any(part.startswith(".") for part in each.relative_to(path).parts)
        ):
            yield Found(file, file.relative_to(path))
    elif path.exists():
        yield Found(path, Path(path.name))
    elif matches := sorted(glob.glob(word, recursive=True)):
        for match in matches:
            yield from _named(match)
    else:
        raise MediaError(f"{word!r} names no file or folder")
