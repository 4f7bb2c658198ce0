"""The dispatcher: hands out runs, and hands them out again; one at a time, by a lock of the database.

All it does to the database it does over the connection that has the lock: a dispatcher that lost it (frozen, cut off)
can change nothing any more. What it sends late is of an attempt that does not count.

An attempt is raised before its command is sent, and the command noted as sent afterwards: a dispatcher that dies in
between has its successor send another one, of a higher attempt.

Leases run out only on evidence. Every few seconds it sends a tick to each partition on which workers give signs of
life, and looks where the results end. When the recorder has come that far, it has recorded all that was said before; a
lease that had ended when the tick was sent has then ended for want of a sign. If the tick was kept late, the bus was
away, nobody could be heard, and all leases begin anew. So while the bus, the recorder or the database are away, nothing
expires.
"""

import asyncio
import heapq
import logging
import math
import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from timeside_api import events, live, queue, views
from timeside_api.database import Database, advisory_lock, is_away
from timeside_api.metrics import DISPATCHED, IS_DISPATCHER, OUTBOX, QUEUED_SECONDS, RUNS
from timeside_api.models import Outbox, Run, RunKind, RunState
from timeside_api.queue import Claimed, Load, Placed, Sent, Waiting
from timeside_api.runs import HELD, Ledger, recorded, say
from timeside_api.settings import RunSettings
from timeside_api.tasks import WAKE
from timeside_core import topics
from timeside_core.bus import Bus, Partition, Position
from timeside_core.errors import BusError, MessageSizeError, StoreError
from timeside_core.ids import uuid7
from timeside_core.messages import (
    Decode,
    Draw,
    Lane,
    Plan,
    PlannedProcessor,
    ProcessorValue,
    Renewal,
    SegmentOfMedia,
    Sink,
    Stop,
    StoredMedia,
    StoredResultRef,
    encode,
)
from timeside_core.messages import Run as RunMessage
from timeside_core.stage import traces
from timeside_core.stage.traces import Span, SpanKind

LOCK = 0x7473_6469
"""Key of the advisory lock."""
LANES: tuple[Lane, ...] = ("interactive", "bulk")
"""The most urgent first."""
QUEUES = (*LANES, live.LANE)
"""Lanes of the queue, whose runs are handed out each for themselves."""
FUSED: frozenset[Lane] = frozenset({"bulk"})
"""Lanes in which one worker does all of a run, and no blocks cross the bus."""
COMMAND_GROUPS = ("ts.decoder", "ts.worker", "ts.decoder-live")
"""Groups that take commands to decode."""
DRAWING_GROUPS = ("ts.drawer",)
"""Groups that take commands to draw."""
STAGE = "dispatcher"
NEVER = (1 << 15) - 1
"""Strikes that no run has."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Tick:
    """How far the recorder must have come to have heard all that was said up to a time."""

    sent_at: datetime
    """By the database's clock."""
    offsets: Mapping[Partition, int]
    """Of each partition the next offset."""


class Dispatcher:
    """Hands out the runs of a database over a bus."""

    def __init__(
        self,
        bus: Bus,
        database: Database,
        *,
        bus_name: str,
        settings: RunSettings | None = None,
        command_groups: Sequence[str] = COMMAND_GROUPS,
        fused: Collection[Lane] = FUSED,
        is_new_bus: bool = False,
    ) -> None:
        """A new bus is one on which nothing is that was handed out before, as one in memory when its process starts."""
        self._bus, self._database, self._bus_name = bus, database, bus_name
        self._settings = settings or RunSettings()
        self._groups: dict[RunKind, Sequence[str]] = {RunKind.DECODE: command_groups, RunKind.DRAW: DRAWING_GROUPS}
        """Groups that take commands, by what these are for."""
        self._fused = frozenset(fused)
        self._is_new_bus = is_new_bus
        self._connection: AsyncConnection | None = None
        self._wake = asyncio.Event()
        self._id = uuid7()
        self._tick: _Tick | None = None
        self._ticked_at = self._measured_at = -math.inf
        self._is_heard = False
        """Whether the last tick was kept in time, so that workers could be heard since."""
        self.is_ready = False
        """Whether it is at work, or ready to be when it is its turn."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; while the bus or the database is away it waits, and goes on by itself."""
        while not stop.is_set():
            try:
                active = await self.take()
                self.is_ready = True
                if active:
                    busy = await self.turn()
                    await self._pause(0.0 if busy else self._settings.poll_s, stop)
                else:
                    await self._pause(self._settings.retry_s, stop)
            except Exception as error:
                if not is_away(error) and not isinstance(error, BusError):
                    raise
                self.is_ready = False
                _log.warning("the dispatcher waits: %s", error)
                await self._pause(self._settings.retry_s, stop)
        await self.release()

    @property
    def is_active(self) -> bool:
        """Whether it is this one's turn."""
        return self._connection is not None

    async def take(self) -> bool:
        """Whether it is (or has now become) this one's turn."""
        if self._connection is not None:
            return True
        connection = await self._database.engine.connect()
        try:
            if not await advisory_lock(connection, LOCK):
                await connection.close()
                return False
            await connection.execute(text(f"SET idle_session_timeout = '{self._settings.idle_s:g}s'"))
            await connection.commit()
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await raw.add_listener(WAKE, self._woken)
        except BaseException:
            await connection.invalidate()
            await connection.close()
            raise
        self._connection = connection
        try:
            await self._begin()
        except BaseException:
            await self.release()
            raise
        return True

    async def _begin(self) -> None:
        """Find out what the last one left behind."""
        self._tick, self._ticked_at, self._is_heard = None, -math.inf, False
        IS_DISPATCHER.set(1)
        _log.info("this is the dispatcher now")
        async with self._transaction() as session:
            await queue.unclaim(session)
            if self._is_new_bus:
                await self._again(session, await queue.held(session), "the platform was started anew", *HELD)
        self._is_new_bus = False

    async def release(self) -> None:
        """Let another have its turn: the lock goes with the connection."""
        connection, self._connection = self._connection, None
        IS_DISPATCHER.set(0)
        if connection is not None:
            await connection.invalidate()
            await connection.close()

    async def turn(self) -> bool:
        """Do what there is to be done now; whether there may be more. After a failure it is another's turn."""
        try:
            relayed = await self._relay()
            if time.monotonic() - self._ticked_at >= self._settings.tick_s:
                await self.look_after()
            handed_out = [await self._hand_out(lane) for lane in QUEUES]
        except BaseException:
            await self.release()  # a connection that was lost would come back without the lock
            raise
        return relayed or any(handed_out)

    # The outbox

    async def _relay(self) -> bool:
        """Send what transactions left to be sent, then forget it."""
        async with self._transaction() as session:
            rows = (await session.scalars(select(Outbox).order_by(Outbox.id).limit(self._settings.relayed))).all()
        if not rows:
            return False
        await self._kept([await self._bus.send(row.topic, row.value, key=row.key) for row in rows])
        async with self._transaction() as session:
            await session.execute(delete(Outbox).where(Outbox.id.in_([row.id for row in rows])))
        return True

    # Handing out

    async def _hand_out(self, lane: str) -> bool:
        """Hand out the runs of a lane whose turn it is and for which there is room; whether there were any."""
        placed = await self._place(lane)
        if not placed:
            return False
        async with self._transaction() as session:
            ids = await queue.claim(session, lane, placed)
            if lane == live.LANE:
                await live.begin_attempts(session, ids)
            claimed = await queue.claimed(session, ids)
        await self._send(lane, claimed)
        return True

    async def _place(self, lane: str) -> list[Placed]:
        if lane == live.LANE:
            return await self._place_live()
        partitions = await self._bus.partition_count(command_topic(RunKind.DECODE, lane))
        alone_from_strikes = self._settings.max_strikes - 1
        async with self._transaction() as session:
            waiting = await queue.waiting(session, lane, limit=self._settings.batch)
            loads = await queue.loads(session, lane, alone_from_strikes=alone_from_strikes) if waiting else {}
        return place(waiting, loads, partitions, credits=self._settings.credits, alone_from_strikes=alone_from_strikes)

    async def _place_live(self) -> list[Placed]:
        """As many as may be open. None waits until it is alone on a partition: the others may never end."""
        partitions, most = await self._bus.partition_count(topics.LIVE), self._settings.live_runs
        async with self._transaction() as session:
            waiting = await queue.waiting(session, live.LANE, limit=self._settings.batch)
            loads = await queue.loads(session, live.LANE, alone_from_strikes=NEVER) if waiting else {}
        room = max(0, most - sum(load.runs for load in loads.values()))
        return place(waiting[:room], loads, partitions, credits=most, alone_from_strikes=NEVER)

    async def _send(self, lane: str, claimed: Sequence[Claimed]) -> None:
        """Send commands, then note that they are sent."""
        on_their_way: list[tuple[Claimed, asyncio.Future[Position]]] = []
        spans: list[Span] = []
        for each in claimed:
            topic = command_topic(each.run.kind, lane)
            try:
                value = encode(await self._command(lane, each))
            except (MessageSizeError, StoreError) as error:
                await self._refuse(each, error)
                continue
            number = cast("int", each.run.partition) % await self._bus.partition_count(topic)
            spans.append(span := _span(each.run, topic))
            headers = traces.headers(span)
            sent = await self._bus.send(topic, value, key=each.run.id.bytes, partition=number, headers=headers)
            on_their_way.append((each, sent))
        positions = await self._kept([sent for _, sent in on_their_way])
        for span in spans:
            span.end()
        sent = [
            Sent(each.run.id, each.run.attempt, position.partition.number, position.offset)
            for (each, _), position in zip(on_their_way, positions, strict=True)
        ]
        async with self._transaction() as session:
            await queue.dispatched(session, sent)
        DISPATCHED.labels(lane).inc(len(sent))

    async def _command(self, lane: str, claimed: Claimed) -> Decode | Draw:
        if claimed.run.kind is RunKind.DRAW:
            return drawing(claimed)
        pools = [] if lane in self._fused else sorted({result.pool for result in claimed.results})
        lane_of_blocks = blocks_lane(lane)
        counts = {pool: await self._bus.partition_count(topics.pcm(pool, lane_of_blocks)) for pool in pools}
        return command(claimed, lane_of_blocks, counts)

    async def _refuse(self, claimed: Claimed, error: Exception) -> None:
        async with self._transaction() as session:
            ledger = Ledger(session, self._settings)
            for run in await ledger.lock([claimed.run.id]):
                ledger.fail_all(run, "size", f"the command of the run cannot be sent: {error}")
            await ledger.close()

    # Looking after what is handed out

    async def look_after(self) -> None:
        """Find what was accepted, what is gone, what expired; hand out again what must be."""
        self._ticked_at = time.monotonic()
        for lane in QUEUES:
            for kind in self._groups:
                await self._accept(lane, kind)
        await self._remind()
        if self._tick is not None and await self._is_recorded(self._tick):
            await self._expire(self._tick)
            self._tick = None
        if self._tick is None:
            self._tick = await self._send_tick()
        if time.monotonic() - self._measured_at >= self._settings.measure_s:
            await self._measure()

    async def _accept(self, lane: str, kind: RunKind) -> None:
        """Begin the leases of commands that were accepted; hand out again those that are gone without that."""
        async with self._transaction() as session:
            numbers = await queue.dispatched_partitions(session, lane, kind)
        if not numbers:
            return
        partitions = [Partition(command_topic(kind, lane), number) for number in numbers]
        committed = [await self._bus.committed(group, partitions) for group in self._groups[kind]]
        bounds = {each.number: held for each, held in (await self._bus.bounds(partitions)).items()}
        accepted = {each.number: max(offsets.get(each, 0) for offsets in committed) for each in partitions}
        async with self._transaction() as session:
            await queue.accept(session, lane, kind, accepted, lease_s=self._settings.lease_s)
            gone = await queue.gone(session, lane, kind, bounds)
            cause = "its command is gone from the log, and nobody had accepted it"
            await self._again(session, gone, cause, RunState.DISPATCHED)

    async def _remind(self) -> None:
        """Say again which live sources are to be heard no more: who has them may not have been there to hear it."""
        async with self._transaction() as session:
            for run_id in await live.stopping(session):
                say(session, topics.CONTROL, Stop(run_id=run_id), key=run_id)

    async def _is_recorded(self, tick: _Tick) -> bool:
        async with self._transaction() as session:
            reached = await recorded(session, self._bus_name)
        return all(reached.get(partition, 0) >= next for partition, next in tick.offsets.items())

    async def _expire(self, tick: _Tick) -> None:
        """Hand out again the runs whose lease had ended when the tick was sent."""

        def is_expired(run: Run) -> bool:
            return run.state is RunState.RUNNING and run.lease_until is not None and run.lease_until < tick.sent_at

        cause = f"no worker gave a sign of life for {self._settings.lease_s:g} s"
        async with self._transaction() as session:
            ledger = Ledger(session, self._settings)
            for run in await ledger.lock(await queue.expired(session, tick.sent_at)):
                if is_expired(run):  # still, now that nobody else can change it
                    _log.warning("run %s is handed out again: %s", run.id, cause)
                    await ledger.again(run, cause)
            await ledger.close()

    async def _again(self, session: AsyncSession, run_ids: Collection[UUID], cause: str, *states: RunState) -> None:
        """Hand out again the runs that are still in one of these states."""
        ledger = Ledger(session, self._settings)
        for run in await ledger.lock(run_ids):
            if run.state in states:
                _log.warning("run %s is handed out again: %s", run.id, cause)
                await ledger.again_at_once(run, cause)
        await ledger.close()

    async def _send_tick(self) -> _Tick:
        """Say that the bus is there, and wait until that is kept; if it took long, nobody could be heard meanwhile."""
        async with self._transaction() as session:
            sent_at = await queue.clock(session)
        began = time.monotonic()
        results = range(await self._bus.partition_count(topics.RESULT))
        bounds = await self._bus.bounds(Partition(topics.RESULT, number) for number in results)
        offsets = {partition: held.next for partition, held in bounds.items()}
        value = encode(Renewal(worker=self._id, stage=STAGE, runs=()))
        signs = range(await self._bus.partition_count(topics.LEASE))
        sent = [await self._bus.send(topics.LEASE, value, key=self._id.bytes, partition=number) for number in signs]
        offsets |= {partition: offset + 1 for partition, offset in await self._kept(sent)}
        in_time = time.monotonic() - began < self._settings.late_s
        if not in_time or not self._is_heard:
            async with self._transaction() as session:
                await queue.extend(session, lease_s=self._settings.lease_s)
        self._is_heard = in_time
        return _Tick(sent_at, offsets)

    async def _measure(self) -> None:
        self._measured_at = time.monotonic()
        async with self._transaction() as session:
            for lane, (queued_s, held) in (await queue.backlog(session)).items():
                QUEUED_SECONDS.labels(lane).set(queued_s)
                RUNS.labels(lane).set(held)
            OUTBOX.set(await session.scalar(select(func.count()).select_from(Outbox)) or 0)

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[AsyncSession]:
        """A transaction over the connection that has the lock."""
        if self._connection is None:
            raise BusError("this is not the dispatcher any more")
        async with AsyncSession(self._connection, expire_on_commit=False) as session, session.begin():
            yield session
            await events.write(session)

    async def _kept(self, sent: Sequence[asyncio.Future[Position]]) -> list[Position]:
        """Wait until messages are kept, however long the bus is away, and keep the connection meanwhile."""
        waiting = set(sent)
        while waiting:
            _, waiting = await asyncio.wait(waiting, timeout=self._settings.idle_s / 4)
            if waiting:
                async with self._transaction() as session:
                    await session.execute(text("SELECT 1"))
        if errors := [error for each in sent if (error := each.exception()) is not None]:
            raise errors[0]
        return [each.result() for each in sent]

    def _woken(self, *_: object) -> None:
        self._wake.set()

    async def _pause(self, seconds: float, stop: asyncio.Event) -> None:
        """Until there is something new, at most so long."""
        waits = [asyncio.create_task(event.wait()) for event in (self._wake, stop)]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        self._wake.clear()


def place(
    waiting: Sequence[Waiting],
    loads: Mapping[int, Load],
    partitions: int,
    *,
    credits: int,
    alone_from_strikes: int,
) -> list[Placed]:
    """Whose turn it is, as far as there is room: each on the partition with the fewest runs, or on that which it has.

    A run that has ended badly once too often has its partition to itself, and keeps it free until it is its turn.
    """
    runs = {number: loads[number].runs if number in loads else 0 for number in range(partitions)}
    closed = {number for number, load in loads.items() if load.alone}
    least = [(count, number) for number, count in runs.items()]
    heapq.heapify(least)
    placed: list[Placed] = []
    for each in waiting:
        alone = each.strikes >= alone_from_strikes
        number = each.partition if each.partition is not None else _fewest(least, runs, closed)
        if number is None:
            break  # no room for anybody without a partition: those after it wait for their turn too
        room = 1 if alone else credits
        if number not in closed and runs.setdefault(number, 0) < room:
            placed.append(Placed(each, number))
            runs[number] += 1
            heapq.heappush(least, (runs[number], number))
        if alone:
            closed.add(number)
    return placed


def _fewest(least: list[tuple[int, int]], runs: Mapping[int, int], closed: Collection[int]) -> int | None:
    """The open partition with the fewest runs; entries of the heap that are outdated are dropped."""
    while least and (least[0][1] in closed or runs[least[0][1]] != least[0][0]):
        heapq.heappop(least)
    return least[0][1] if least else None


def command_topic(kind: RunKind, lane: str) -> str:
    """Where commands of a kind lie."""
    if kind is RunKind.DRAW:
        return topics.graph_commands(blocks_lane(lane))
    return topics.LIVE if lane == live.LANE else topics.decode_commands(blocks_lane(lane))


def blocks_lane(lane: str) -> Lane:
    """The lane in which the blocks of runs travel: somebody may be listening to what is live."""
    return "interactive" if lane == live.LANE else cast("Lane", lane)


def drawing(claimed: Claimed) -> Draw:
    """The command that hands out a drawing; raises `StoreError` where what it shows is gone."""
    (picture,) = claimed.results
    if claimed.view is None:
        raise StoreError("the results that it shows are not in the store any more")
    view, shown = claimed.view
    return Draw(
        run_id=claimed.run.id,
        attempt=claimed.run.attempt,
        grapher=ProcessorValue(id=picture.processor, version=picture.version, parameters=picture.parameters),
        results=tuple(
            StoredResultRef(prefix=each.object_name or "", manifest_sha256=each.object_sha256 or "") for each in shown
        ),
        width=view.width,
        height=view.height,
        start_s=view.start_s,
        stop_s=view.stop_s,
        format=cast("views.PictureFormat", view.format),
        object=views.object_name(picture, view),
    )


def _span(run: Run, topic: str) -> Span:
    """Of an attempt that is handed out, in the trace of the request that asked for the run."""
    attributes = {
        "timeside.run": str(run.id),
        "timeside.attempt": run.attempt,
        "timeside.media": run.media_sha256,
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
    }
    return traces.begin(STAGE, run.traceparent, attributes, kind=SpanKind.PRODUCER)


def command(claimed: Claimed, lane: Lane, partitions: Mapping[str, int]) -> Decode:
    """The command that hands out a run; `partitions` are those of the topics of pools that are sent blocks."""
    run, media, results, _, source = claimed
    number = cast("int", run.partition)
    return Decode(
        run=RunMessage(
            run_id=run.id,
            attempt=run.attempt,
            lane=lane,
            plan=Plan(
                source=source or StoredMedia(sha256=media.sha256, size=media.size),
                segment=SegmentOfMedia(first_sample=run.first_sample, samples=run.samples),
                processors=tuple(
                    PlannedProcessor(
                        id=result.processor,
                        version=result.version,
                        parameters=result.parameters,
                        effects=tuple(ProcessorValue(**effect) for effect in result.effects),
                        digest=result.digest,
                        pool=result.pool,
                        result_id=result.id,
                        outputs=tuple(result.outputs),
                    )
                    for result in results
                ),
                sinks=tuple(Sink(pool=pool, partition=number % count) for pool, count in partitions.items()),
                partial_rows=lane == "interactive",
            ),
        )
    )
