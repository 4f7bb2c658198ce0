"""One subscription: attach to the bus, tell how things are, then what happens, in order and without silent loss.

It reads at its own pace what the process reads for all, and reads on only when its client has taken what was read: so a
slow client holds some records, and nobody up. What the bus has dropped meanwhile is told as a gap.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from timeside_api import live
from timeside_api.database import is_away
from timeside_api.http.access import Caller
from timeside_api.http.platform import Platform
from timeside_api.http.stream.cursor import Cursor
from timeside_api.http.stream.repository import Seen, Subject, see
from timeside_api.http.stream.tap import Heard, Reading
from timeside_api.http.tasks.schemas import RunOut
from timeside_api.models import ResultState, Run
from timeside_core import topics
from timeside_core.bus import OffsetOutOfRangeError, Partition, partition_for
from timeside_core.errors import BusError, PoisonError
from timeside_core.messages import Closed, Opened, PartialRows, Progress, State

CLOCKS_DIFFER_MS = 5000
"""Between PostgreSQL, brokers and us."""
LIVE_MS = 10_000
"""Who comes to a live session, or comes back, reads from so much earlier on: there it is said again what rows come."""
RETRY_S = 1.0
_TOPICS = (topics.PARTIAL, topics.PROGRESS)
_ENDS = frozenset({"done", "failed", "cancelled"})

Say = Callable[["dict[str, Any] | bytes"], Awaitable[None]]
_log = logging.getLogger(__name__)


class Subscription:
    """Of one client to one subject."""

    def __init__(
        self,
        parts: Platform,
        caller: Caller,
        subject: Subject,
        cursor: Cursor,
        say: Say,
        form: Callable[[PartialRows], "dict[str, Any] | bytes"] = PartialRows.encode,
    ) -> None:
        """`form` says how rows are sent."""
        self._parts, self._caller, self._subject, self._say = parts, caller, subject, say
        self._cursor, self._form = cursor, form
        self._runs: dict[UUID, list[UUID]] = {}
        """Results that the attempt which is followed makes."""
        self._live: set[UUID] = set()
        """Those that are live."""
        self._checked_at = 0.0
        self._is_time = False
        """Whether something was heard that may have settled the subject."""

    async def run(self) -> None:
        """Until the subject is settled; raises a problem where it may not be seen."""
        attached_at = datetime.now(UTC)
        seen = await self._see()
        with self._parts.tap.reading() as reader:
            if not seen.is_settled or self._cursor.has_begun:
                await self._attach(reader, seen.runs, attached_at)
                seen = await self._see()  # again, as it may have changed before we were attached
            await self._say({"op": "snapshot", **seen.message()})
            self._follow(seen)
            await self._say({"op": "ready"})
            while not seen.is_settled:
                await self._batch(reader)
                if self._is_due():
                    seen = await self._see()
                    await self._join_new(reader, seen)
            await self._read_out(reader)
        for missing in self._unheard(seen) if reader.positions else ():
            await self._say(missing)
        await self._say({"op": "end", **seen.message()})

    async def _see(self) -> Seen:
        self._is_time = False
        while True:
            try:
                async with self._parts.tap.looks, self._parts.database.transaction() as session:
                    return await see(session, self._caller, self._subject)
            except Exception as error:
                if not is_away(error):
                    raise
                _log.warning("a stream waits: %s", error)
                await asyncio.sleep(RETRY_S)
            finally:
                self._checked_at = asyncio.get_running_loop().time()

    def _is_due(self) -> bool:
        passed_s = asyncio.get_running_loop().time() - self._checked_at
        return self._is_time or passed_s > self._parts.settings.stream_check_s

    async def _join_new(self, reader: Reading, seen: Seen) -> None:
        """Follow runs that came up since: of what was asked for again."""
        new = [run for run in seen.runs if run.id not in self._runs]
        if new:
            await self._attach(reader, new, datetime.now(UTC))
            self._follow(seen)
        for run in new:
            await self._say({"op": "run", **RunOut.of(run).model_dump(mode="json")})

    async def _attach(self, reader: Reading, runs: Sequence[Run], now: datetime) -> None:
        """Read the partitions of runs too, from where their present attempts may begin."""
        since: dict[Partition, int] = {}
        for run in runs:
            heard_ms = self._cursor.heard_ms(run.id, run.attempt, _TOPICS)
            now_ms = int(now.timestamp() * 1000)
            began_ms = min(int(run.dispatched_at.timestamp() * 1000) if run.dispatched_at else now_ms, now_ms)
            if run.lane == live.LANE:
                began_ms = max(began_ms, (heard_ms or now_ms) - LIVE_MS)
                heard_ms = 0
            begins_ms = max(began_ms, min(heard_ms, int(now.timestamp() * 1000))) - CLOCKS_DIFFER_MS
            for topic in _TOPICS:
                count = await self._parts.bus.partition_count(topic)
                partition = Partition(topic, partition_for(run.id.bytes, count))
                since[partition] = min(begins_ms, since.get(partition, begins_ms))
        bounds = await self._parts.bus.bounds(since)  # before the search: what comes in between is read
        found = await self._parts.bus.offsets_for_times(since)
        reader.follow({each: bounds[each].next if offset is None else offset for each, offset in found.items()})

    def _follow(self, seen: Seen) -> None:
        for run in seen.runs:
            self._runs[run.id] = list(run.planned)
            self._live |= {run.id} if run.lane == live.LANE else set()
            self._cursor.follow(run.id, run.attempt)

    async def _batch(self, reader: Reading) -> None:
        """Tell what has come next."""
        settings = self._parts.settings
        try:
            found = await reader.next(timeout_s=settings.stream_check_s, at_most=settings.stream_records)
        except OffsetOutOfRangeError as error:  # the next rows tell which are missing
            reader.seek(error.partition, error.bounds.first)
            return
        except BusError as error:
            _log.warning("a stream waits: %s", error)
            await asyncio.sleep(RETRY_S)
            return
        if await self._tell(found):
            await self._say({"op": "token", "token": self._cursor.token()})

    async def _read_out(self, reader: Reading) -> None:
        """Tell what was sent before the subject was settled."""
        bounds = await self._parts.bus.bounds(reader.positions)
        while any(position < bounds[partition].next for partition, position in reader.positions.items()):
            await self._batch(reader)

    async def _tell(self, found: Sequence[Heard]) -> bool:
        """Whether there was anything; rows come before progress, so that what is done was shown."""
        told = False
        for heard in found:
            key = heard.record.key
            if key is not None and len(key) == 16 and UUID(bytes=key) in self._runs:
                told |= await self._tell_one(heard)
        return told

    async def _tell_one(self, heard: Heard) -> bool:
        try:
            message = heard.message
        except PoisonError as error:
            _log.warning("poison at %s %d: %s", heard.record.partition, heard.record.offset, error)
            return False
        if not await self._is_of_attempt(message):
            return False
        for each in self._told(message):
            await self._say(each)
        self._cursor.hear(message.run_id, heard.record.partition.topic, heard.record.timestamp_ms)
        return True

    async def _is_of_attempt(self, message: Any) -> bool:
        """Whether a message is of the attempt that is followed; goes on to a later one when it hears of it."""
        if self._cursor.counts(message.run_id, message.attempt):
            return True
        if self._cursor.is_past(message.run_id, message.attempt):
            return False
        seen = await self._see()
        for run in seen.runs:
            if run.id == message.run_id and run.attempt == message.attempt:
                self._follow(seen)
                if self._cursor.counts(run.id, run.attempt):
                    await self._say({"op": "run", **RunOut.of(run).model_dump(mode="json")})
                    return True
        return False

    def _told(self, message: Any) -> Iterable["dict[str, Any] | bytes"]:
        """What to say of a message."""
        about = {"run": str(message.run_id), "attempt": message.attempt}
        match message:
            case Progress():
                yield {"op": "progress", **about, **message.model_dump(include={"stage", "samples_done", "samples"})}
            case State():
                self._is_time |= message.state in _ENDS
                yield {"op": "state", **about, "state": message.state, "reason": message.reason}
            case Opened() if self._concerns(message):
                if message.run_id not in self._live or self._cursor.open(message):
                    yield {"op": "opened", **about, **_said(message), "result": self._result(message)}
            case Closed() if self._concerns(message):
                if self._cursor.close(message):
                    yield {"op": "gap", **about, **_end_of(message.processor), "result": self._result(message)}
                yield {"op": "closed", **about, **_said(message), "result": self._result(message)}
            case PartialRows() if self._concerns(message) and self._can_be_read(message):
                gap, rows = self._cursor.take(message)
                if gap is not None:
                    yield {"op": "gap", **about, **gap._asdict(), "result": self._result(message)}
                if rows is not None:
                    yield self._form(rows)
            case _:
                return

    def _unheard(self, seen: Seen) -> Iterable[dict[str, Any]]:
        """Gaps: the last rows of results that are done, and whose end was never heard of."""
        done = {each.id for each in seen.results if each.state is ResultState.DONE}
        for run in seen.runs:
            for processor, result_id in enumerate(run.planned):
                if result_id in done and not self._cursor.is_closed(run.id, processor):
                    about = {"run": str(run.id), "attempt": run.attempt, **_end_of(processor)}
                    yield {"op": "gap", **about, "result": str(result_id)}

    def _concerns(self, message: Opened | Closed | PartialRows) -> bool:
        wanted = self._subject.result_id
        return wanted is None or self._result(message) == str(wanted)

    def _can_be_read(self, message: PartialRows) -> bool:
        """Whether the client knows what rows these are; of what is live they may come before that is said again."""
        return message.run_id not in self._live or self._cursor.is_open(message.run_id, message.processor)

    def _result(self, message: Opened | Closed | PartialRows) -> str | None:
        planned = self._runs[message.run_id]
        return str(planned[message.processor]) if message.processor < len(planned) else None


def _said(message: Opened | Closed) -> dict[str, Any]:
    return message.model_dump(mode="json", exclude={"version", "kind", "run_id", "attempt"})


def _end_of(processor: int) -> dict[str, Any]:
    """What of a gap says: the last rows of all of its outputs."""
    return {"processor": processor, "output": None, "first_row": None, "rows": None}
