"""A task that was handed out, and what workers say of its run."""

from typing import Any
from uuid import UUID

import numpy as np
from tests.support.api import Api, Person

from timeside_api.models import Run
from timeside_core import get_processor, topics
from timeside_core.bus import Partition
from timeside_core.messages import (
    Clock,
    Closed,
    JsonMessage,
    Opened,
    OpenedOutput,
    PartialRows,
    Progress,
    State,
    encode,
)
from timeside_core.outputs import Rows


class Talk:
    """Of one run with one processor."""

    def __init__(self, api: Api, task_id: UUID, run: Run) -> None:
        self.api, self.task_id, self.run = api, task_id, run
        self._seq = 0

    @classmethod
    async def begin(cls, api: Api, who: Person) -> "Talk":
        task_id = await api.task(who, await api.item(who), get_processor("rms")())
        return cls(api, task_id, await api.hand_out(task_id))

    async def send(self, topic: str, message: JsonMessage | PartialRows) -> None:
        await self.api.bus.publish(topic, encode(message), key=self.run.id.bytes)

    @property
    def about(self) -> dict[str, Any]:
        return {"run_id": self.run.id, "attempt": self.run.attempt}

    async def opened(self) -> None:
        self._seq = 0
        opened = Opened(**self.about, processor=0, clock=Clock(samplerate=100), outputs=(OpenedOutput(name=""),))
        await self.send(topics.PARTIAL, opened)

    async def rows(self, first: int, count: int) -> None:
        rows = Rows(np.arange(first, first + count, dtype=np.float32))
        place = {"processor": 0, "output": 0, "first_row": first, "rows": rows}
        await self.send(topics.PARTIAL, PartialRows(**self.about, seq=self._seq, **place))
        self._seq += 1

    async def progress(self, samples: int) -> None:
        await self.send(topics.PROGRESS, Progress(**self.about, stage="decoder", samples_done=samples))

    async def closed(self) -> None:
        await self.send(topics.PARTIAL, Closed(**self.about, processor=0, messages=self._seq))

    async def lose(self) -> None:
        """Have the bus keep nothing of what was said so far."""
        bus = self.api.bus
        partitions = [Partition(topics.PARTIAL, each) for each in range(await bus.partition_count(topics.PARTIAL))]
        await bus.trim({each: bounds.next for each, bounds in (await bus.bounds(partitions)).items()})

    async def again(self) -> None:
        """Have it be handed out again."""
        self.run = await self.api.hand_out(self.task_id)
        await self.opened()

    async def done(self) -> None:
        await self.api.settle(self.task_id)
        await self.send(topics.PROGRESS, State(**self.about, state="done"))
