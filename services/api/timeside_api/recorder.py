"""The recorder: what workers say, into the database; several replicas share the partitions.

What a batch of messages says and how far it was read are one transaction, so each message counts once, whoever dies
when; the group only deals out partitions. A recorder that has lost one without knowing finds that another has moved
its offset, and drops what it has of it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import live, runs
from timeside_api.database import Database, is_away
from timeside_api.metrics import POISON, RECORDED, RECORDED_UNTIL, REFUSED
from timeside_api.models import Run, RunKind
from timeside_api.runs import HELD, Ledger
from timeside_api.settings import RunSettings
from timeside_core import dead_letters, topics
from timeside_core.bus import Bus, Consumer, OffsetOutOfRangeError, Partition, Record
from timeside_core.errors import BusError, MissingTopicError, PoisonError, StaleMemberError
from timeside_core.messages import Derived, Done, Ended, Facts, Failed, Gap, Lost, Progress, Renewal, RunRef, decode
from timeside_core.stage import traces

GROUP = "ts.recorder"
TOPICS = (topics.RESULT, topics.LEASE, topics.PROGRESS)
HANDED_BACK = "handed_back"
"""Code of a failure that is none: a worker stops, and gives back what it has not begun or cannot finish in time."""
BLAMELESS = frozenset({"overload", "store"})
"""Codes of failures that are not the run's fault: its worker is full, or cannot reach the store."""
COMMIT_S = 5.0
"""How often the group's offsets are committed as well: nobody reads from them, but lag is measured by them."""

_PCM = topics.pcm("", "bulk").removesuffix(".bulk")
_DRAWINGS = topics.graph_commands("bulk").removesuffix(".bulk")
_ABOUT_RESULTS = Done | Ended | Derived | Failed | Facts | Gap

_log = logging.getLogger(__name__)


class _Lost(NamedTuple):
    """A loss, and of how many partitions it was one."""

    message: Lost
    partitions: int


class Recorder:
    """Records what lies on a bus, which has a name: the offsets of one bus mean nothing on another."""

    def __init__(self, bus: Bus, database: Database, *, bus_name: str, settings: RunSettings | None = None) -> None:
        self._bus, self._database, self._bus_name = bus, database, bus_name
        self._settings = settings or RunSettings()
        self._next: dict[Partition, int] = {}
        self._consumer: Consumer | None = None
        self._committed_at = 0.0
        self.is_ready = False
        """Whether it reads."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; while the bus or the database is away it waits, and goes on by itself."""
        while not stop.is_set():
            try:
                while not stop.is_set():
                    await self.turn()
            except Exception as error:
                if not is_away(error) and not isinstance(error, BusError):
                    raise
                _log.warning("the recorder waits: %s", error)
                await self.leave()
                await _pause(self._settings.retry_s, stop)
        await self.leave()

    async def turn(self) -> bool:
        """Record what has come; whether there was anything."""
        consumer = await self._joined()
        try:
            batches = await consumer.getmany(timeout_s=self._settings.poll_s, max_records=self._settings.recorded)
        except OffsetOutOfRangeError as error:
            await self._skip(consumer, error)
            return True
        for partition, records in batches.items():
            await self._record(partition, records)
            RECORDED_UNTIL.set(records[-1].timestamp_ms / 1000)
        await self._commit(consumer)
        return bool(batches)

    async def leave(self) -> None:
        """Leave the group."""
        self.is_ready = False
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.close()

    async def _joined(self) -> Consumer:
        if self._consumer is None:
            consumer = self._bus.consumer(*TOPICS, group=GROUP, on_assigned=self._assigned)
            try:
                await consumer.start()
            except BaseException:
                await consumer.close()
                raise
            self._consumer = consumer
        self.is_ready = True
        return self._consumer

    async def _assigned(self, consumer: Consumer, partitions: frozenset[Partition]) -> None:
        """Go on where the database says."""
        async with self._database.transaction() as session:
            recorded = await runs.recorded(session, self._bus_name)
        self._next = dict(consumer.positions)
        for partition in partitions:
            if (offset := recorded.get(partition)) is not None:
                consumer.seek(partition, offset)
                self._next[partition] = offset

    async def _skip(self, consumer: Consumer, error: OffsetOutOfRangeError) -> None:
        """What is gone was never recorded: runs that it was about are handed out again when their leases run out."""
        _log.error("what workers said is lost: %s", error)
        first, read_from = error.bounds.first, self._next.get(error.partition, 0)
        async with self._database.transaction() as session:
            moved = await runs.advance(session, self._bus_name, error.partition, read_from=read_from, next=first)
        if not moved:
            return await self._catch_up(error.partition)
        consumer.seek(error.partition, first)
        self._next[error.partition] = first
        return None

    async def _record(self, partition: Partition, records: Sequence[Record]) -> None:
        """Record a batch; where one message of it cannot be, one by one, and that one goes to the dead letters."""
        try:
            await self._until_recorded(partition, records)
        except (DataError, IntegrityError) as error:
            if len(records) > 1:
                for record in records:
                    await self._record(partition, [record])
                return
            await self._bury(records[0], error)
            await self._until_recorded(partition, records, skip=True)

    async def _until_recorded(self, partition: Partition, records: Sequence[Record], *, skip: bool = False) -> None:
        """Record a batch, however long the database is away."""
        messages = [] if skip else [each for record in records if (each := await self._read(record)) is not None]
        while True:
            try:
                if await self._apply(partition, records[0].offset, records[-1].offset + 1, messages):
                    _trace(records)
                else:
                    await self._catch_up(partition)
            except Exception as error:
                if not is_away(error):
                    raise
                _log.warning("the recorder waits for the database: %s", error)
                await asyncio.sleep(self._settings.retry_s)
            else:
                return

    async def _apply(self, partition: Partition, first: int, next: int, messages: Sequence[Any]) -> bool:
        """Record messages that begin and end there; False where that was done already, or cannot be told."""
        read_from = self._next.get(partition, next)
        if first < read_from:  # dealt out anew since they were fetched
            return False
        async with self._database.transaction() as session:
            if not await runs.advance(session, self._bus_name, partition, read_from=read_from, next=next):
                return False
            await self._apply_messages(session, messages)
        self._next[partition] = next
        return True

    async def _catch_up(self, partition: Partition) -> None:
        """Go on where the database says that this or another recorder has come to."""
        async with self._database.transaction() as session:
            recorded = await runs.recorded(session, self._bus_name)
        offset = recorded.get(partition)
        if offset is None or self._consumer is None:
            return
        _log.info("%s was recorded up to %d meanwhile", partition, offset)
        with contextlib.suppress(StaleMemberError):
            self._consumer.seek(partition, offset)
            self._next[partition] = offset

    async def _apply_messages(self, session: AsyncSession, messages: Sequence[Any]) -> None:
        ledger = Ledger(session, self._settings)
        await ledger.lock({each.run_id for each in messages if isinstance(each, _ABOUT_RESULTS)})
        for message in messages:
            counts = await self._note(session, ledger, message)
            (RECORDED if counts else REFUSED).labels(type(message).__name__).inc()
        await ledger.close()
        stages = [each for each in messages if isinstance(each, Progress)]
        signs = [RunRef(run_id=each.run_id, attempt=each.attempt) for each in stages]
        signs += [run for each in messages if isinstance(each, Renewal) for run in each.runs]
        if signs:
            await runs.signs_of_life(session, signs, lease_s=self._settings.lease_s)
            await runs.progress(session, stages)

    async def _note(self, session: AsyncSession, ledger: Ledger, message: Any) -> bool:
        """Note what a message says of results; whether it counts."""
        if isinstance(message, _Lost):
            return await self._lost(session, ledger, message)
        if not isinstance(message, _ABOUT_RESULTS):
            return True
        if isinstance(message, Facts):  # they are true of the media, whatever has become of the run
            run = ledger.of_attempt(message.run_id, message.attempt)
            if run is not None:
                await _learn(session, ledger, run, message)
            return run is not None
        if isinstance(message, Done) and message.segment is not None:
            run = ledger.run(message.run_id)
            return run is not None and await ledger.segment(run, message)
        run = ledger.held(message.run_id, message.attempt)
        if run is None:
            return False
        match message:
            case Done():
                return ledger.done(run, message)
            case Ended():
                return await ledger.ended(run, message)
            case Derived(processor=None) if run.kind is RunKind.DRAW:
                return ledger.derived(run, 0, message)  # a drawing has one result
            case Derived(processor=int(position)):
                return ledger.derived(run, position, message)
            case Derived():
                return False
            case Gap():
                await ledger.again_at_once(
                    run, f"{message.stage}: block {message.seq} is missing, {message.found_seq} came"
                )
            case Failed():
                await _failed(ledger, run, message)
        return True

    async def _lost(self, session: AsyncSession, ledger: Ledger, lost: _Lost) -> bool:
        """Hand out again all runs of which a partition may have held blocks or commands that nobody has read."""
        where = f"{lost.message.topic}[{lost.message.partition}]"
        family, _, lane = lost.message.topic.rpartition(".")
        pool = family.removeprefix(_PCM) if family.startswith(_PCM) else None
        kind = RunKind.DRAW if family == _DRAWINGS else RunKind.DECODE
        ids = await runs.runs_of_partition(
            session, lane, kind=kind, pool=pool, partition=lost.message.partition, partitions=lost.partitions
        )
        again = [run for run in await ledger.lock(ids) if run.state in HELD]
        _log.error("%s has lost records: %d runs are handed out again", where, len(again))
        for run in again:
            await ledger.again_at_once(run, f"{where} has lost records that were not read")
        return True

    async def _read(self, record: Record) -> Any:
        """What a record says; None where that is nothing."""
        try:
            message = decode(record.partition.topic, record.value)
            return await self._located(message) if isinstance(message, Lost) else message
        except (PoisonError, MissingTopicError) as error:
            await self._bury(record, error)
            return None

    async def _located(self, message: Lost) -> _Lost:
        return _Lost(message, await self._bus.partition_count(message.topic))

    async def _bury(self, record: Record, error: Exception) -> None:
        POISON.inc()
        _log.error("poison at %s %d: %s", record.partition, record.offset, error)
        await dead_letters.bury(self._bus, record, group=GROUP, cause=str(error))

    async def _commit(self, consumer: Consumer) -> None:
        if time.monotonic() - self._committed_at < COMMIT_S:
            return
        self._committed_at = time.monotonic()
        try:
            await consumer.commit({each: at for each, at in self._next.items() if each in consumer.positions})
        except BusError as error:
            _log.info("the group's offsets are committed later: %s", error)


def _trace(records: Sequence[Record]) -> None:
    """Note in their traces that results can be seen from now on, and since when they were on their way."""
    for record in records:
        if (parent := traces.parent(record.headers)) is not None:
            attributes = {"messaging.system": "kafka", "messaging.destination.name": record.partition.topic}
            traces.begin("recorder", parent, attributes, began_ms=record.timestamp_ms).end()


async def _learn(session: AsyncSession, ledger: Ledger, run: Run, message: Facts) -> None:
    if run.lane != live.LANE:
        await runs.learn(session, run, message.facts, final=message.final)
    elif refusal := await live.learn(session, run, message.facts, final=message.final):
        ledger.fail_all(run, "samplerate", refusal)


async def _failed(ledger: Ledger, run: Run, message: Failed) -> None:
    result = None if message.processor is None else ledger.pending(run, message.processor)
    cause = f"{message.stage}: {message.reason}"
    if message.code == HANDED_BACK:
        await ledger.again_at_once(run, cause)
    elif message.retriable:
        await ledger.again(run, cause, culprit=result, blame=message.code not in BLAMELESS)
    elif message.processor is None:
        ledger.fail_all(run, message.code, message.reason)
    elif result is not None:
        ledger.fail(run, result, message.code, message.reason)


async def _pause(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
