"""Commands: taken when a child is free, committed on acceptance, one at a time in each child.

A command that kills its worker is therefore not read again: its lease runs out, and the dispatcher counts the attempt.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from timeside_core.bus import Bus, Consumer, Partition, Record
from timeside_core.errors import BusUnavailableError, PoisonError, StaleMemberError, StoreError
from timeside_core.messages import Decode, Failed, LiveSource, Run, RunRef, decode
from timeside_core.stage import traces
from timeside_core.stage.children import Children, Job, Kind
from timeside_core.stage.outbox import Outbox, Patience
from timeside_core.stage.settings import StageSettings
from timeside_core.stage.traces import Span

_log = logging.getLogger(__name__)

POLL_S = 0.2
URGENT_IN_A_ROW = 8
"""Commands of the most urgent lane that are taken before the others have a turn."""


class Files(Protocol):
    """The I/O that a command needs before a child takes it; called in threads."""

    readable: tuple[str, ...]
    """Folders that a sandboxed child reads."""

    def prepare(self, command: Any) -> Mapping[str, Any]:
        """Fetch; what it returns goes along with the command. Raises `StoreError`."""
        ...

    def release(self, command: Any) -> None:
        """The command is done with what was fetched, if anything was."""


class NoFiles:
    """For commands that need none."""

    readable: tuple[str, ...] = ()

    def __init__(self, settings: StageSettings) -> None:
        """Nothing is set."""

    def prepare(self, command: Any) -> Mapping[str, Any]:
        """Nothing is fetched."""
        return {}

    def release(self, command: Any) -> None:
        """Nothing is released."""


@dataclass(eq=False, slots=True)
class _Open:
    """A command that is at work."""

    ref: RunRef
    job: Job | None = None
    """Once a child has it."""
    is_cancelled: bool = False
    is_stopped: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True
        if self.job is not None:
            self.job.cancel()

    def stop(self) -> None:
        self.is_stopped = True
        if self.job is not None:
            self.job.stop()


class Commands:
    """Takes commands from topics, the most urgent topic first."""

    def __init__(
        self,
        bus: Bus,
        topics: tuple[str, ...],
        *,
        group: str,
        kind: Kind,
        outbox: Outbox,
        settings: StageSettings,
        files: Files,
    ) -> None:
        self._bus, self._topics, self._group = bus, topics, group
        self.outbox, self._settings, self._files = outbox, settings, files
        self._changed = asyncio.Event()
        self.children = Children(kind, settings, changed=self._changed.set)
        self._open: list[_Open] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._drain_until: float | None = None
        self._urgent = 0
        self.failure: BaseException | None = None

    @property
    def runs(self) -> list[RunRef]:
        """What is at work here."""
        return [each.ref for each in self._open]

    @property
    def leased(self) -> list[RunRef]:
        """All of these: whoever decodes a run has it."""
        return self.runs

    def cancel(self, run_id: UUID, attempt: int | None = None) -> None:
        """Nobody wants that run any more, or not up to that attempt."""
        for each in self._open:
            if each.ref.run_id == run_id and (attempt is None or each.ref.attempt <= attempt):
                each.cancel()

    def stop(self, run_id: UUID) -> None:
        """That run is to end as if its source had."""
        for each in self._open:
            if each.ref.run_id == run_id:
                each.stop()

    def drain(self, within_s: float) -> None:
        """Take nothing new; `run` returns once what is open has ended, or after that time."""
        self._drain_until = time.monotonic() + within_s
        self._changed.set()

    async def run(self) -> None:
        """Until drained."""
        consumer = self._bus.consumer(*self._topics, group=self._group)
        patience = Patience()
        async with consumer:
            while self._drain_until is None:
                if self.failure is not None:
                    raise self.failure
                async with patience:
                    await self._step(consumer)
        while self._is_busy and time.monotonic() < self._drain_until:
            await self._changes()

    @property
    def _is_busy(self) -> bool:
        """Whether something is open that will end by itself."""
        return any(each.job is None or not each.job.is_endless for each in self._open)

    async def _step(self, consumer: Consumer) -> None:
        """Take one command, if a child is free."""
        if len(self._open) >= self._settings.children or self.children.is_doomed:
            await self._changes()
            return
        for record in await self._next(consumer):
            await self._take(consumer, record)

    async def _changes(self) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(POLL_S):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _next(self, consumer: Consumer) -> list[Record]:
        """One command; others than the most urgent where there is none of that, and every so often."""
        partitions = [each for each in consumer.positions if each.topic == self._topics[0]]
        fetched: dict[Partition, list[Record]] = {}
        if len(self._topics) > 1 and self._urgent < URGENT_IN_A_ROW and partitions:
            fetched = await consumer.getmany(partitions, max_records=1)
        self._urgent = self._urgent + 1 if fetched else 0
        fetched = fetched or await consumer.getmany(timeout_s=POLL_S, max_records=1)
        return [record for records in fetched.values() for record in records]

    async def _take(self, consumer: Consumer, record: Record) -> None:
        try:
            command = decode(record.partition.topic, record.value)
        except PoisonError as poison:
            await self.outbox.bury(record, self._group, poison)
            command = None
        if not await self._accepted(consumer, record) or command is None:
            return
        run = command.run if isinstance(command, Decode) else command
        if any(each.ref.run_id == run.run_id and each.ref.attempt >= run.attempt for each in self._open):
            return  # handed out twice
        self.cancel(run.run_id)  # the dispatcher has given up the attempt at hand, if there is one
        ref = RunRef(run_id=run.run_id, attempt=run.attempt)
        if isinstance(run, Run) and run.deadline is not None and run.deadline < datetime.now(UTC):
            await self.outbox.tell(self._failed(ref, "deadline", f"its deadline {run.deadline} has passed"))
            return
        opened = _Open(ref)
        self._open.append(opened)
        task = asyncio.create_task(self._do(opened, command, record))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _accepted(self, consumer: Consumer, record: Record) -> bool:
        """Commit a command; False where its partition has gone to another worker, who has it then."""
        while True:
            try:
                await consumer.commit({record.partition: record.offset + 1})
            except StaleMemberError:
                return False
            except BusUnavailableError as error:
                _log.warning("a command waits to be accepted: %s", error)
            else:
                return True

    async def _do(self, opened: _Open, command: Any, record: Record) -> None:
        """Fetch, have a child do it, report what went wrong; done when all that was sent is kept."""
        span = self.outbox.span(record, opened.ref.run_id, opened.ref.attempt)
        try:
            prepared = await asyncio.to_thread(self._files.prepare, command)
            is_live = isinstance(command, Decode) and isinstance(command.run.plan.source, LiveSource)
            await self._done_by_child(opened, record, prepared, span, is_live=is_live)
        except StoreError as error:
            traces.fail(span, str(error))
            await self.outbox.tell(self._failed(opened.ref, "store", str(error)[:4096]))
        finally:
            span.end()
            await asyncio.to_thread(self._files.release, command)
        self._open.remove(opened)
        self._changed.set()

    async def _done_by_child(
        self, opened: _Open, record: Record, prepared: Mapping[str, Any], span: Span, *, is_live: bool
    ) -> None:
        job = self.children.begin(opened.ref.run_id, opened.ref.attempt, self.outbox.send, span, is_endless=is_live)
        opened.job = job
        job.give("open", record.partition.topic, record.value, prepared=dict(prepared))
        if opened.is_cancelled:
            job.cancel()
        elif opened.is_stopped:
            job.stop()
        outcome = await job.outcome
        if outcome.kind in ("failed", "died"):
            await self.outbox.break_off(job, outcome)
            await self.outbox.fail(job, outcome)
        await job.acknowledged()
        self.outbox.settle(job, outcome)

    def _failed(self, ref: RunRef, code: str, reason: str) -> Failed:
        return Failed(
            run_id=ref.run_id,
            attempt=ref.attempt,
            stage=self.outbox.stage,
            code=code,
            reason=reason,
            retriable=code != "deadline",
        )

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failure = error
            self._changed.set()

    async def close(self) -> None:
        """Give up what is open, and say so, that others may begin at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        handed_back = [self.outbox.tell(self._failed(ref, "handed_back", "its worker stops")) for ref in self.runs]
        await asyncio.gather(*handed_back, self.children.close(), return_exceptions=True)
