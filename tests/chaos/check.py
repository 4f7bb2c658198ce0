"""What came of it: every visible result is read from the store and compared with a run in this process, bit by bit."""

import hashlib
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, NamedTuple
from uuid import UUID

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from tests.chaos.cases import Case
from tests.chaos.media import MAX_SAMPLES

from timeside_api import tasks
from timeside_api.database import Database
from timeside_api.models import Outbox, Result, ResultState, Run, RunState, Task, TaskState
from timeside_core import Encoder, Processor, Results
from timeside_core.errors import StoreError, TimesideError
from timeside_core.processor import Effect
from timeside_core.store import Store
from timeside_decoder.file import DamagedMediaWarning, FileDecoder

Fate = Literal["lost", "doubled", "wrong", "half", "stuck", "unexplained"]
FATES: tuple[Fate, ...] = ("lost", "doubled", "wrong", "half", "stuck", "unexplained")
WORKERS = 2


class Finding(NamedTuple):
    """Something that is not as it must be."""

    fate: Fate
    what: str


class Row(NamedTuple):
    """A result as the database has it."""

    id: UUID
    processor: str
    state: ResultState
    object_name: str | None
    object_sha256: str | None
    code: str
    reason: str


class Asked(NamedTuple):
    """A task, and what is recorded for it."""

    case: Case
    state: TaskState
    rows: Sequence[Row]


@dataclass
class Checked:
    """All that was found."""

    findings: list[Finding] = field(default_factory=list[Finding])
    results: Counter[str] = field(default_factory=Counter[str])
    """By state, of all rows."""
    tasks: Counter[str] = field(default_factory=Counter[str])
    compared: int = 0
    """Visible results that were compared with a run in one process."""
    attempts: Counter[int] = field(default_factory=Counter[int])
    """Runs by how often they were handed out."""
    causes: Counter[str] = field(default_factory=Counter[str])
    """Why runs were handed out again."""
    orphans: int = 0
    """Results and files that nobody knows: of writers that died, or whose attempt did not count any more."""
    orphan_bytes: int = 0
    left: int = 0
    """Files that are in the store and belong to nothing, after the sweep."""

    def counts(self) -> dict[str, int]:
        """Of each fate."""
        found = Counter(finding.fate for finding in self.findings)
        return {fate: found[fate] for fate in FATES}


async def checked(database: Database, store: Store, cases: Sequence[Case]) -> Checked:
    """Look at everything. The platform must be at rest."""
    found = Checked()
    async with database.transaction() as session:
        visible = await _of_database(session, found)
        asked = await _tasks(session, cases, found)
    _compare(store, asked, found)
    _upkeep(store, visible, found)
    return found


async def _of_database(session: AsyncSession, found: Checked) -> set[str]:
    """Counts of rows, and the names of what is visible."""
    results = (await session.scalars(select(Result))).all()
    found.results = Counter(str(each.state) for each in results)
    found.tasks = Counter(str(state) for state in await session.scalars(select(Task.state)))
    keys = Counter(
        (each.media_sha256, each.processor, each.version, each.digest)
        for each in results
        if each.state == ResultState.DONE
    )
    _add(found, "doubled", (f"{count} visible results of {key}" for key, count in keys.items() if count > 1))
    names = Counter(each.object_name for each in results if each.state == ResultState.DONE)
    _add(found, "doubled", (f"{count} results are kept as {name}" for name, count in names.items() if count > 1))
    pending = [each for each in results if each.state == ResultState.PENDING]
    _add(found, "stuck", (f"result {each.id} of {each.processor} is pending" for each in pending))
    for run in await session.scalars(select(Run)):
        found.attempts[run.attempt] += 1
        found.causes.update(cause.partition(": ")[2] for cause in run.causes)
        if run.state not in (RunState.DONE, RunState.FAILED, RunState.CANCELLED):
            found.findings.append(Finding("stuck", f"run {run.id} is {run.state}: {run.causes}"))
    unsent = await session.scalar(select(func.count()).select_from(Outbox))
    _add(found, "stuck", [f"{unsent} messages were not sent"] if unsent else [])
    return {name for name in names if name is not None}


async def _tasks(session: AsyncSession, cases: Sequence[Case], found: Checked) -> list[Asked]:
    """What was acknowledged, each as it is recorded."""
    known = {task.id: task for task in await session.scalars(select(Task))}
    acknowledged = {task_id for case in cases for task_id in case.task_ids.values()}
    _add(found, "doubled", (f"task {id} is nobody's" for id in known.keys() - acknowledged))
    asked: list[Asked] = []
    for case in cases:
        rows: dict[UUID, list[Row]] = {}
        for task_id in case.task_ids.values():
            if task_id not in known:
                found.findings.append(Finding("lost", f"case {case.number}: task {task_id}"))
                continue
            rows[task_id] = [_row(each) for each in await tasks.results(session, task_id)]
            asked.append(Asked(case, known[task_id].state, rows[task_id]))
        _add(found, "doubled", _unshared(case, list(rows.values())))
    return asked


def _row(result: Result) -> Row:
    return Row(
        result.id,
        result.processor,
        result.state,
        result.object_name,
        result.object_sha256,
        result.code,
        result.reason,
    )


def _unshared(case: Case, rows: Sequence[Sequence[Row]]) -> Iterator[str]:
    """Results of which two tasks have one each, where both should have the same."""
    for first, second in pairwise(rows):
        for one, other in zip(first, second, strict=True):
            if one.id != other.id and ResultState.FAILED not in (one.state, other.state):
                yield f"case {case.number}: {one.processor} was computed for each of two tasks"


def _compare(store: Store, asked: Sequence[Asked], found: Checked) -> None:
    with ProcessPoolExecutor(WORKERS, get_context("forkserver")) as pool:
        for compared, findings in pool.map(_compared, [(store.objects.url, each) for each in asked], chunksize=4):
            found.compared += compared
            found.findings += findings


def _compared(job: tuple[str, Asked]) -> tuple[int, list[Finding]]:
    """Count of results compared, and what is not as in one process."""
    url, (case, state, rows) = job
    store = Store(url)
    findings: list[Finding] = []
    if state == TaskState.RUNNING:
        findings.append(Finding("stuck", f"case {case.number} ({case.kind}): its task"))
    chosen = case.processors()
    effects = [each for each in chosen if isinstance(each, Effect)]
    wanted = [each for each in chosen if not isinstance(each, Effect)]
    if len(rows) != len(wanted):
        findings.append(Finding("lost", f"case {case.number}: {len(rows)} results of {len(wanted)}"))
    compared = 0
    for processor, row in zip(wanted, rows, strict=False):
        compared += row.state == ResultState.DONE
        where = f"case {case.number} ({case.kind}, {case.recording}, {case.lane}) {processor.id}"
        findings += [Finding(fate, f"{where}: {what}") for fate, what in _judged(store, case, effects, processor, row)]
    return compared, findings


def _judged(store: Store, case: Case, effects: list[Effect], processor: Processor, row: Row) -> Iterator[Finding]:
    """What is wrong with a result."""
    if row.state == ResultState.PENDING:
        return  # told by its row
    if row.state == ResultState.CANCELLED:
        if not case.cancelled:
            yield Finding("lost", "cancelled, though nobody said so")
        return
    if row.state == ResultState.FAILED and not (row.code and row.reason):
        yield Finding("unexplained", "failed without a cause")
    try:
        expected = _reference(store, case, effects, processor)
    except TimesideError as error:
        if row.state == ResultState.DONE:
            yield Finding("wrong", f"there is a result, where one process says: {error}")
        return
    if row.state == ResultState.FAILED:
        yield Finding("lost", f"{row.code}: {row.reason}")
        return
    try:
        stored = _stored(store, processor, row)
    except StoreError as error:
        yield Finding("half", str(error))
    else:
        if differing := list(_differing(stored, expected)):
            yield Finding("wrong", f"not what one process makes: {', '.join(differing)}")


def _reference(store: Store, case: Case, effects: list[Effect], processor: Processor) -> Results | bytes:
    """What a run in this process makes."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedMediaWarning)
        pipeline = FileDecoder(store.media_file(case.sha256, Path(folder)), max_samples=MAX_SAMPLES)
        for effect in effects:
            pipeline = pipeline | effect
        if not isinstance(processor, Encoder):
            return (pipeline | processor).run()
        output = Path(folder) / "audio"
        (pipeline | type(processor).from_parameters({**processor.parameters(), "output": str(output)})).run()
        return output.read_bytes()


def _stored(store: Store, processor: Processor, row: Row) -> Results | bytes:
    """What is visible; raises `StoreError` where it is not whole."""
    if row.object_name is None:
        raise StoreError("it has no object")
    if not isinstance(processor, Encoder):
        return store.result(row.object_name, manifest_sha256=row.object_sha256).results()
    data = store.objects.get(row.object_name)
    if hashlib.sha256(data).hexdigest() != row.object_sha256:
        raise StoreError(f"{row.object_name} has another SHA-256 than was recorded")
    return data


def _differing(stored: Results | bytes, expected: Results | bytes) -> Iterator[str]:
    """Outputs that are not, to the bit, the same."""
    if isinstance(stored, bytes) or isinstance(expected, bytes):
        if stored != expected:
            yield "the file"
        return
    if stored.ids() != expected.ids():
        yield f"outputs {stored.ids()}"
        return
    for found, wanted in zip(stored, expected, strict=True):
        same = np.array_equal(found.values, wanted.values, equal_nan=found.values.dtype.kind == "f")
        if not (same and found.values.dtype == wanted.values.dtype and np.array_equal(found.times, wanted.times)):
            yield found.id


def _upkeep(store: Store, visible: set[str], found: Checked) -> None:
    """Scrub, sweep what nobody knows, scrub again: what is visible must be whole before and after."""
    _add(found, "half", (f"{each.name}: {each.reason}" for each in store.scrub() if _belongs(each.name, visible)))
    swept = list(store.sweep(visible.__contains__, dry_run=False, grace_s=0))
    found.orphan_bytes = sum(size for _, size in swept)
    found.orphans = len({_kept_as(name) for name, _ in swept})
    _add(found, "lost", (f"{name} was swept" for name, _ in swept if _belongs(name, visible)))
    _add(found, "half", (f"{each.name} after the sweep: {each.reason}" for each in store.scrub()))
    present = {_kept_as(name) for folder in ("results", "derived") for name, _, _ in store.objects.list(folder)}
    _add(found, "lost", (f"{name} is visible, and not in the store" for name in visible - present))
    assert store.objects.folder is not None
    files = [path for path in store.objects.folder.rglob("*") if path.is_file()]
    names = [path.relative_to(store.objects.folder).as_posix() for path in files]
    found.left = sum(not name.startswith("media/") and not _belongs(name, visible) for name in names)


def _kept_as(name: str) -> str:
    """What an object is visible by: the prefix of its result, or its own name."""
    return "/".join(name.split("/")[: 8 if name.startswith("results/") else 7])


def _belongs(name: str, visible: set[str]) -> bool:
    return name.startswith("media/") or _kept_as(name) in visible


def _add(found: Checked, fate: Fate, what: Iterable[str]) -> None:
    found.findings += [Finding(fate, each) for each in what]
