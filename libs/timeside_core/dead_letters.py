"""Dead letters: what could not be read goes to `ts.dlq` with its cause and origin, is listed there, and sent again.

A consumer that meets a `PoisonError` buries the record, waits for that to be kept, and goes on: poison must not stop
what comes after it, and must not vanish. What is too long to be carried along (blocks of audio) is only named, and
fetched from where it lay when it is sent again, while it is still there.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from timeside_core.bus import Bus, Headers, OffsetOutOfRangeError, Partition, Position, Record
from timeside_core.errors import BusUnavailableError, PoisonError
from timeside_core.messages import DeadLetter, decode, encode
from timeside_core.topics import DEAD_LETTERS

MAX_VALUE_BYTES = 64 << 10
"""Longer values are not carried along."""
MAX_HEADER_BYTES = 8 << 10
"""Of all headers together; those beyond are dropped. Ours take less than a hundred."""
MAX_CAUSE_LENGTH = 4096
FETCH_LIMIT_S = 30.0
"""How long one waits for a record that is known to be there."""
REDRIVEN = "redriven"
"""Header that counts how often a record was sent again."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, and where it lies in the dead-letter topic."""

    position: Position
    letter: DeadLetter


async def bury(bus: Bus, record: Record, *, group: str, cause: str) -> Position:
    """Keep a record that `group` could not read; returns once it is kept, so that reading may go on."""
    letter = _letter(record, group, cause)
    return await bus.publish(DEAD_LETTERS, encode(letter), key=record.key or str(record.partition).encode())


async def letters(bus: Bus) -> AsyncGenerator[Letter]:
    """All dead letters that are kept now, oldest first within a partition."""
    partitions = [Partition(DEAD_LETTERS, number) for number in range(await bus.partition_count(DEAD_LETTERS))]
    bounds = await bus.bounds(partitions)
    async with bus.reader() as reader:
        await reader.assign({partition: each.first for partition, each in bounds.items()})
        while any(reader.positions[partition] < each.next for partition, each in bounds.items()):
            batches = await reader.getmany(timeout_s=FETCH_LIMIT_S)
            if not batches:
                raise BusUnavailableError(f"{DEAD_LETTERS}: no records came within {FETCH_LIMIT_S:g} s")
            for record in (record for batch in batches.values() for record in batch):
                if record.offset < bounds[record.partition].next:
                    yield Letter(record.position, _read(record))


async def redrive(bus: Bus, letter: DeadLetter) -> Position:
    """Send it again to where it came from; raises `OffsetOutOfRangeError` where its bytes are no longer kept."""
    value = letter.value if letter.value is not None else (await _original(bus, letter)).value
    headers = {**letter.headers, REDRIVEN: str(letter.redriven + 1).encode()}
    return await bus.publish(letter.topic, value, key=letter.key, partition=letter.partition, headers=headers)


def _letter(record: Record, group: str, cause: str) -> DeadLetter:
    return DeadLetter(
        topic=record.partition.topic,
        partition=record.partition.number,
        offset=record.offset,
        timestamp_ms=max(0, record.timestamp_ms),
        key=record.key,
        headers=_within_bounds({name: value for name, value in record.headers.items() if name != REDRIVEN}),
        group=group,
        cause=cause[:MAX_CAUSE_LENGTH],
        value=bytes(record.value) if len(record.value) <= MAX_VALUE_BYTES else None,
        redriven=_count(record.headers.get(REDRIVEN, b"0")),
    )


def _read(record: Record) -> DeadLetter:
    try:
        return decode(DEAD_LETTERS, record.value)
    except PoisonError as error:  # somebody else wrote there
        return _letter(record, DEAD_LETTERS, str(error))


async def _original(bus: Bus, letter: DeadLetter) -> Record:
    partition = Partition(letter.topic, letter.partition)
    async with bus.reader() as reader, asyncio.timeout(FETCH_LIMIT_S):
        await reader.assign({partition: letter.offset})
        while not (batches := await reader.getmany(timeout_s=FETCH_LIMIT_S, max_records=1)):
            pass
    record = batches[partition][0]
    if record.offset != letter.offset:  # compacted away
        raise OffsetOutOfRangeError(partition, letter.offset, (await bus.bounds([partition]))[partition])
    return record


def _within_bounds(headers: Headers) -> Mapping[str, bytes]:
    kept: dict[str, bytes] = {}
    left = MAX_HEADER_BYTES
    for name, value in headers.items():
        left -= len(name.encode()) + len(value)
        if left >= 0:
            kept[name] = value
    return kept


def _count(header: bytes) -> int:
    return int(header) if header.isdigit() and len(header) < 10 else 0
