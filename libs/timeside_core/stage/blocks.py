"""Blocks of PCM: many runs at once, each pinned to a child, committed up to the oldest that is open.

What is read of a partition is kept until the child whose turn it is has room; meanwhile the partition is left out of
what is fetched, and so its senders wait or its records do. A run is settled when all that was sent for it is kept.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from timeside_core.bus import Bus, Consumer, OffsetOutOfRangeError, Partition, Record, patiently
from timeside_core.errors import BusUnavailableError, PoisonError, StaleMemberError
from timeside_core.messages import Block, Gap, Lost, RunRef, decode, is_live
from timeside_core.stage.children import Children, Job, Kind, Outcome
from timeside_core.stage.follow import Followed, Follower
from timeside_core.stage.metrics import AUDIO_SECONDS, DROPPED, GAPS, LOST, REBALANCES, SAMPLES
from timeside_core.stage.outbox import Outbox, Patience
from timeside_core.stage.settings import StageSettings

_log = logging.getLogger(__name__)

POLL_S = 0.2
FETCHED_AT_ONCE = 64
"""Records; a fetch of the bus is bounded in bytes as well."""


@dataclass(eq=False)
class _Part:
    """A partition that is read here."""

    partition: Partition
    follower: Follower
    committed: int
    """What this worker has committed, or found committed."""
    pending: deque[tuple[Record, Block | None]] = field(default_factory=deque[tuple[Record, Block | None]])
    """Read, but not handed on; None is what was no block."""
    jobs: dict[Followed, Job] = field(default_factory=dict[Followed, Job])
    heard: dict[Followed, float] = field(default_factory=dict[Followed, float])
    """When the last block of each came."""
    is_ours: bool = True
    """False once another worker has gone on with it: nothing of it counts here any more."""


class Blocks:
    """Reads the blocks of a pool, as a member of its group."""

    def __init__(
        self, bus: Bus, topics: Sequence[str], *, group: str, kind: Kind, outbox: Outbox, settings: StageSettings
    ) -> None:
        self._bus, self._topics, self._group = bus, topics, group
        self.outbox, self._settings = outbox, settings
        self._changed = asyncio.Event()
        self.children = Children(kind, settings, changed=self._changed.set)
        self._parts: dict[Partition, _Part] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._drain_until: float | None = None
        self._committed_at = time.monotonic()
        self.failure: BaseException | None = None

    @property
    def runs(self) -> list[RunRef]:
        """What is at work here."""
        return [RunRef(run_id=job.run_id, attempt=job.attempt) for part in self._ours() for job in part.jobs.values()]

    @property
    def leased(self) -> list[RunRef]:
        """Those that a sign of life of this worker is one of: a live source is lost with who listens to it."""
        jobs = [job for part in self._ours() for job in part.jobs.values() if not job.is_endless]
        return [RunRef(run_id=job.run_id, attempt=job.attempt) for job in jobs]

    def cancel(self, run_id: UUID, attempt: int | None = None) -> None:
        """Nobody wants that run any more, or not up to that attempt."""
        for part in self._ours():
            for job in part.jobs.values():
                if job.run_id == run_id and (attempt is None or job.attempt <= attempt):
                    job.abandon()

    def stop(self, run_id: UUID) -> None:
        """Nothing to do: its blocks will end."""

    def drain(self, within_s: float) -> None:
        """Begin no run any more; `run` returns once those that are open have ended, or after that time."""
        self._drain_until = time.monotonic() + within_s
        self._changed.set()

    @property
    def _is_drained(self) -> bool:
        if self._drain_until is None:
            return False
        jobs = [job for part in self._ours() for job in part.jobs.values() if not job.is_endless]
        return time.monotonic() > self._drain_until or not jobs

    async def run(self) -> None:
        """Until drained."""
        consumer = self._bus.consumer(
            *self._topics, group=self._group, on_revoked=self._revoked, on_assigned=self._assigned
        )
        patience = Patience()
        async with consumer:
            while not self._is_drained:
                if self.failure is not None:
                    raise self.failure
                async with patience:
                    await self._step(consumer)
            await self._commit(consumer, self._ours())

    async def close(self) -> None:
        """Give up what is open; it is replayed elsewhere."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.children.close()

    async def _step(self, consumer: Consumer) -> None:
        """Hand on, fetch, commit."""
        self._changed.clear()
        self._hand_on()
        ready = [each for each in consumer.positions if each in self._parts and not self._parts[each].pending]
        if ready:
            await self._fetch(consumer, ready)
            self._hand_on()
        else:
            await self._changes()
        await self._find_stalled()
        if time.monotonic() - self._committed_at > self._settings.commit_every_s:
            await self._commit(consumer, self._ours())

    async def _changes(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _fetch(self, consumer: Consumer, ready: list[Partition]) -> None:
        # What waits in other partitions must not wait for these: then only a short look is taken.
        timeout_s = POLL_S if not any(part.pending for part in self._ours()) else 0.01
        try:
            fetched = await consumer.getmany(ready, timeout_s=timeout_s, max_records=FETCHED_AT_ONCE)
        except OffsetOutOfRangeError as lost:
            await self._lose(consumer, lost)
            return
        batches = [(self._parts[partition], records) for partition, records in fetched.items()]  # now, not later
        for part, records in batches:
            for record in records:
                if part.is_ours and record.offset >= _next(part):
                    await self._read(part, record)

    async def _read(self, part: _Part, record: Record) -> None:
        try:
            part.pending.append((record, decode(record.partition.topic, record.value)))
        except PoisonError as poison:
            await self.outbox.bury(record, self._group, poison)
            part.pending.append((record, None))

    def _hand_on(self) -> None:
        """Give children what they have room for; never waits."""
        for part in self._ours():
            while part.pending and self._place(part, *part.pending[0]):
                part.pending.popleft()

    def _place(self, part: _Part, record: Record, block: Block | None) -> bool:
        """Take a block, unless its child is full."""
        if block is None:
            part.follower.skip(record.offset)
            return True
        for followed, job in part.jobs.items():
            if followed.run_id == block.run_id and job.child.waiting >= self._settings.child_blocks:
                return False
        verdict = part.follower.take(record.offset, block)
        followed = verdict.followed
        if followed is None:
            DROPPED.inc()
        elif verdict.action == "begin":
            if verdict.replaced is not None:
                self._give_up(part, verdict.replaced)
            self._begin(part, followed, record, block)
        elif verdict.action == "gap":
            self._missing(part, followed, block)
        elif verdict.action == "feed" and (job := part.jobs.get(followed)) is not None and not job.outcome.done():
            part.heard[followed] = time.monotonic()
            job.give("block", record.partition.topic, record.value)
            SAMPLES.inc(block.samples)
            AUDIO_SECONDS.inc(block.samples / block.samplerate)
        return True

    def _begin(self, part: _Part, followed: Followed, record: Record, block: Block) -> None:
        if self._drain_until is not None:
            return  # it stays pinned: whoever has the partition next begins there
        span = self.outbox.span(record, followed.run_id, followed.attempt)
        job = self.children.begin(followed.run_id, followed.attempt, self.outbox.send, span, is_endless=is_live(block))
        part.jobs[followed], part.heard[followed] = job, time.monotonic()
        if sum(len(each.jobs) for each in self._ours()) > self._settings.runs_max:
            reason = f"this worker has runs_max={self._settings.runs_max} open runs already"
            job.end(Outcome(kind="failed", code="overload", reason=reason))
            job.child.jobs.pop(job.number, None)
        else:
            job.give("open", record.partition.topic, record.value, prepared={})
        task = asyncio.create_task(self._attend(part, followed, job))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _attend(self, part: _Part, followed: Followed, job: Job) -> None:
        """Wait for the end of a run, report it where it is none, and settle it when all of that is kept."""
        outcome = await job.outcome
        if outcome.kind in ("failed", "died"):
            await self.outbox.fail(job, outcome)
        await job.acknowledged()
        part.jobs.pop(followed, None)
        part.heard.pop(followed, None)
        part.follower.settle(followed)
        self.outbox.settle(job, outcome)
        job.span.end()
        self._changed.set()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failure = error
            self._changed.set()

    def _give_up(self, part: _Part, followed: Followed) -> None:
        if (job := part.jobs.get(followed)) is not None:
            job.abandon()
        else:
            part.follower.settle(followed)

    def _missing(self, part: _Part, followed: Followed, block: Block) -> None:
        GAPS.inc()
        job = part.jobs.get(followed)
        if job is None or job.outcome.done():
            return
        gap = Gap(
            run_id=followed.run_id,
            attempt=followed.attempt,
            stage=self.outbox.stage,
            seq=followed.next_seq,
            found_seq=block.seq,
        )
        _log.error("block %d is missing", gap.seq, extra={"run_id": str(gap.run_id), "found_seq": gap.found_seq})
        task = asyncio.create_task(self._tell_and_abandon(gap, job))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _tell_and_abandon(self, gap: Gap, job: Job) -> None:
        await self.outbox.tell(gap)
        job.abandon()

    async def _find_stalled(self) -> None:
        """Runs whose decoder is gone. While the bus is away no time passes; then decoders too must find it again."""
        now, back = min(time.monotonic(), self.outbox.heard), self.outbox.back
        for part in self._ours():
            for followed, heard in list(part.heard.items()):
                job = part.jobs.get(followed)
                limit_s = self._settings.live_stall_s if job is not None and job.is_endless else self._settings.stall_s
                if now - max(heard, back) > limit_s and not followed.ended:
                    if await self._is_behind(part):
                        part.heard[followed] = time.monotonic()
                    elif job is not None and not job.child.waiting:
                        job.end(Outcome(kind="failed", code="stalled", reason=f"no block came for {now - heard:.0f} s"))
                        job.cancel()

    async def _is_behind(self, part: _Part) -> bool:
        """Whether there are blocks that were not handed on."""
        bounds = await patiently(partial(self._bus.bounds, [part.partition]))
        return bounds[part.partition].next > part.follower.position

    def _ours(self) -> list[_Part]:
        return list(self._parts.values())

    async def _commit(self, consumer: Consumer, parts: Sequence[_Part]) -> None:
        """Commit what moved; what cannot be committed now is, later."""
        self._committed_at = time.monotonic()
        for part in parts:
            for followed, job in part.jobs.items():
                if (first_sample := job.needed_from()) is not None:
                    followed.need(first_sample)
        moved = {
            part: part.follower.watermark
            for part in parts
            if part.partition in consumer.positions and part.follower.watermark != part.committed
        }
        if not moved:
            return
        try:
            await consumer.commit({part.partition: offset for part, offset in moved.items()})
        except StaleMemberError as error:
            _log.info("a commit came too late: %s", error)
        except BusUnavailableError as error:
            _log.warning("a commit waits: %s", error)
        else:
            for part, offset in moved.items():
                part.committed = offset

    async def _lose(self, consumer: Consumer, error: OffsetOutOfRangeError) -> None:
        """Say that records are gone, then go on with what is left."""
        LOST.inc()
        _log.error("%s", error)
        lost = Lost(
            topic=error.partition.topic,
            partition=error.partition.number,
            group=self._group,
            offset=error.offset,
            first_offset=error.bounds.first,
        )
        await self.outbox.tell(lost)
        if (part := self._parts.pop(error.partition, None)) is not None:
            self._drop(part)
        consumer.seek(error.partition, error.bounds.first)
        committed = -1 if error.offset is None else error.offset
        self._parts[error.partition] = _Part(error.partition, Follower(error.bounds.first), committed)

    async def _revoked(self, consumer: Consumer, partitions: frozenset[Partition]) -> None:
        """Partitions are about to go: commit what counts; keep the rest, as they may come back."""
        REBALANCES.inc()
        await self._commit(consumer, [self._parts[each] for each in partitions if each in self._parts])

    async def _assigned(self, consumer: Consumer, partitions: frozenset[Partition]) -> None:
        """Partitions have come: go on where this worker was, unless another has committed past it meanwhile."""
        for partition in set(self._parts) - partitions:
            self._drop(self._parts.pop(partition))
        for partition in partitions:
            part = self._parts.get(partition)
            committed = await patiently(partial(consumer.committed, partition))
            if part is not None and committed == part.committed:
                consumer.seek(partition, _next(part))
                continue
            if part is not None:
                self._drop(part)
            begin = consumer.positions[partition]
            self._parts[partition] = _Part(partition, Follower(begin), begin if committed is None else committed)

    def _drop(self, part: _Part) -> None:
        part.is_ours = False
        part.pending.clear()
        for job in part.jobs.values():
            job.abandon()


def _next(part: _Part) -> int:
    """Offset of the next record to be read."""
    return part.pending[-1][0].offset + 1 if part.pending else part.follower.position
