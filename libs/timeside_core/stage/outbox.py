"""What a worker sends: for jobs, and on its own account."""

import asyncio
import logging
import time
from dataclasses import replace
from uuid import UUID

from timeside_core import dead_letters, topics
from timeside_core.bus import Bus, Record
from timeside_core.errors import BusError, BusUnavailableError, MissingTopicError
from timeside_core.ids import uuid7
from timeside_core.messages import (
    Block,
    BlockKind,
    DecodingError,
    Failed,
    JsonMessage,
    Renewal,
    RunRef,
    decode,
    encode,
)
from timeside_core.stage import traces
from timeside_core.stage.children import Job, Outcome
from timeside_core.stage.metrics import BUS_SECONDS, POISON, RUNS
from timeside_core.stage.settings import StageSettings
from timeside_core.stage.traces import Span

_log = logging.getLogger(__name__)

_RENEWED_AT_ONCE = 1024
PAUSE_S = 0.2
"""After a refusal."""
_PCM = topics.pcm("", "bulk").removesuffix(".bulk")


class Outbox:
    """Sends messages of runs under the run's key, so that they keep their order."""

    def __init__(self, bus: Bus, stage: str, settings: StageSettings) -> None:
        self._bus, self.stage, self._settings = bus, stage, settings
        self._told: dict[int, float] = {}
        self.worker = uuid7()
        self.heard = time.monotonic()
        """When the bus last acknowledged a sign of life."""
        self.back = self.heard
        """Since when it has done so without a pause: while it is away, nothing can be heard of anybody."""

    async def send(self, job: Job, topic: str, partition: int | None, value: memoryview) -> None:
        """Send for a job; waits for room on the bus. Progress is thinned out."""
        if topic == topics.PROGRESS and not self._is_time(job):
            return
        is_block = topic.startswith(_PCM)
        goes_on = topic == topics.RESULT or (is_block and (topic, partition) not in job.last)
        headers = traces.headers(job.span) if goes_on else None
        if is_block:
            job.last[topic, partition] = value
        job.sent(await self._bus.send(topic, value, key=job.run_id.bytes, partition=partition, headers=headers))

    def span(self, record: Record, run_id: UUID, attempt: int) -> Span:
        """What is done for a run here, in the trace of the message that it began with."""
        attributes = {
            "timeside.run": str(run_id),
            "timeside.attempt": attempt,
            "messaging.system": "kafka",
            "messaging.destination.name": record.partition.topic,
        }
        return traces.begin(self.stage, traces.parent(record.headers), attributes)

    def settle(self, job: Job, outcome: Outcome) -> None:
        """There will be no more of a job."""
        self._told.pop(job.number, None)
        RUNS.labels(outcome.kind).inc()

    async def tell(self, message: JsonMessage, *, topic: str = topics.RESULT, key: UUID | None = None) -> None:
        """Send a message of the worker's own, and wait until it is kept."""
        await self._bus.publish(topic, encode(message), key=(key or getattr(message, "run_id", self.worker)).bytes)

    async def fail(self, job: Job, outcome: Outcome) -> None:
        """Report that a job did not come to its end, and which processor is to blame, if one is."""
        failed = Failed(
            run_id=job.run_id,
            attempt=job.attempt,
            stage=self.stage,
            processor=outcome.processors[0] if outcome.processors else None,
            code=outcome.code or "internal",
            reason=outcome.reason,
            retriable=outcome.retriable,
        )
        traces.fail(job.span, failed.reason)
        extra = {"run_id": str(job.run_id), "attempt": job.attempt, "code": failed.code}
        _log.warning("%s", failed.reason, extra=extra)
        await self.tell(failed)

    async def break_off(self, job: Job, outcome: Outcome) -> None:
        """End the streams of a decoding that its child did not end, so that nobody waits for the rest."""
        for (topic, partition), value in job.last.items():
            last: Block = decode(topic, value)
            if last.kind in (BlockKind.DATA, BlockKind.START, BlockKind.DISCONTINUITY):
                error = replace(
                    last,
                    kind=BlockKind.ERROR,
                    seq=last.seq + 1,
                    first_sample=last.first_sample + last.samples,
                    samples=0,
                    payload=b"",
                    body=DecodingError(code=outcome.code, reason=outcome.reason, retriable=True),
                )
                await self._bus.publish(topic, encode(error), key=job.run_id.bytes, partition=partition)

    async def bury(self, record: Record, group: str, cause: Exception) -> None:
        """Put what cannot be read where people look at it."""
        POISON.inc()
        _log.error("poison at %s %d: %s", record.partition, record.offset, cause)
        await dead_letters.bury(self._bus, record, group=group, cause=str(cause))

    async def renew(self, runs: "list[RunRef]") -> None:
        """Say once that these runs are at work; `heard` tells when that arrived."""
        for first in range(0, len(runs), _RENEWED_AT_ONCE):
            some = tuple(runs[first : first + _RENEWED_AT_ONCE])
            await self.tell(Renewal(worker=self.worker, stage=self.stage, runs=some), topic=topics.LEASE)
        now = time.monotonic()
        if now - self.heard > self._settings.lease_s:  # three are due in that time
            self.back = now
        self.heard = now
        BUS_SECONDS.set_to_current_time()

    def _is_time(self, job: Job) -> bool:
        now = time.monotonic()
        if now - self._told.get(job.number, 0.0) < self._settings.progress_every_s:
            return False
        self._told[job.number] = now
        return True


class Patience:
    """Around what may find the bus away: waits however long it is, but gives up where the bus only ever refuses."""

    limit = 20
    """Refusals in a row."""

    def __init__(self) -> None:
        self._refusals = 0

    async def __aenter__(self) -> None:
        """Nothing to do."""

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> bool:
        """Swallow what may pass."""
        if error is None:
            self._refusals = 0
            return False
        if isinstance(error, BusUnavailableError):
            _log.warning("%s", error)
            return True
        if not isinstance(error, BusError) or isinstance(error, MissingTopicError) or self._refusals >= self.limit:
            return False
        self._refusals += 1
        _log.warning("%s", error)
        await asyncio.sleep(PAUSE_S)
        return True
