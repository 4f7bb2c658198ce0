"""Two buses as one: some topics stay in this process, the others go out."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from timeside_core.bus import (
    Bounds,
    Bus,
    Consumer,
    Edge,
    Headers,
    Partition,
    PartitionsCallback,
    Position,
    Reader,
    Value,
)
from timeside_core.errors import BusError

_T = TypeVar("_T")


class RoutedBus(Bus):
    """Topics for which `is_inner` holds are those of the inner bus; readers read the outer one."""

    def __init__(self, inner: Bus, outer: Bus, is_inner: Callable[[str], bool]) -> None:
        self._inner, self._outer, self._is_inner = inner, outer, is_inner

    async def start(self) -> None:
        await self._inner.start()
        await self._outer.start()

    async def close(self) -> None:
        await self._outer.close()
        await self._inner.close()

    async def check(self, *topics: str) -> None:
        for bus, names in self._by_bus(topics, lambda topic: topic):
            await bus.check(*names)

    async def partition_count(self, topic: str) -> int:
        return await self._bus(topic).partition_count(topic)

    async def send(
        self,
        topic: str,
        value: Value,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers | None = None,
    ) -> asyncio.Future[Position]:
        return await self._bus(topic).send(topic, value, key=key, partition=partition, headers=headers)

    async def flush(self) -> None:
        await self._inner.flush()
        await self._outer.flush()

    def consumer(
        self,
        *topics: str,
        group: str,
        start: Edge = "first",
        on_revoked: PartitionsCallback | None = None,
        on_assigned: PartitionsCallback | None = None,
    ) -> Consumer:
        buses = {self._bus(topic) for topic in topics}
        if len(buses) > 1:
            raise BusError(f"topics {', '.join(topics)} lie on two buses: a consumer reads one")
        return buses.pop().consumer(*topics, group=group, start=start, on_revoked=on_revoked, on_assigned=on_assigned)

    def reader(self) -> Reader:
        return self._outer.reader()

    async def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        found: dict[Partition, Bounds] = {}
        for bus, some in self._by_bus(partitions, lambda partition: partition.topic):
            found |= await bus.bounds(some)
        return found

    async def offsets_for_times(self, times_ms: Mapping[Partition, int]) -> dict[Partition, int | None]:
        found: dict[Partition, int | None] = {}
        for bus, some in self._by_bus(times_ms, lambda partition: partition.topic):
            found |= await bus.offsets_for_times({partition: times_ms[partition] for partition in some})
        return found

    async def committed(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, int]:
        found: dict[Partition, int] = {}
        for bus, some in self._by_bus(partitions, lambda partition: partition.topic):
            found |= await bus.committed(group, some)
        return found

    async def trim(self, before: Mapping[Partition, int]) -> None:
        for bus, some in self._by_bus(before, lambda partition: partition.topic):
            await bus.trim({partition: before[partition] for partition in some})

    def _bus(self, topic: str) -> Bus:
        return self._inner if self._is_inner(topic) else self._outer

    def _by_bus(self, things: Iterable[_T], topic: Callable[[_T], str]) -> Iterator[tuple[Bus, list[_T]]]:
        """Things by the bus of their topic, where there are any."""
        every = list(things)
        for bus in (self._inner, self._outer):
            if some := [each for each in every if self._bus(topic(each)) is bus]:
                yield bus, some
