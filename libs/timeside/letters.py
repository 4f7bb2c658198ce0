"""Dead letters as an operator sees them: listed a line each, and sent again by their positions."""

from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager

from timeside_core import topics
from timeside_core.bus import Bus, KafkaAccess, Partition, Position, connect
from timeside_core.dead_letters import Letter, letters, redrive
from timeside_core.errors import ParameterError


async def show(bootstrap: str, access: KafkaAccess) -> None:
    """Print them: position, origin, group, cause."""
    async with _bus(bootstrap, access) as bus:
        async for each in letters(bus):
            print(_line(each))


async def send_again(bootstrap: str, access: KafkaAccess, wanted: Collection[Position] | None) -> int:
    """Send those at some positions, or all, to where they came from; returns how many."""
    sent = 0
    async with _bus(bootstrap, access) as bus:
        async for each in letters(bus):
            if wanted is None or each.position in wanted:
                position = await redrive(bus, each.letter)
                print(f"{_line(each)}; sent again to {position.partition} at {position.offset}")
                sent += 1
    return sent


def position(word: str) -> Position:
    """`3:17` as it is listed: partition and offset in the dead-letter topic."""
    try:
        number, offset = (int(part) for part in word.split(":"))
    except ValueError:
        raise ParameterError(
            f"{word!r} is no position: PARTITION:OFFSET is, as `timeside letters list` shows"
        ) from None
    return Position(Partition(topics.DEAD_LETTERS, number), offset)


@asynccontextmanager
async def _bus(bootstrap: str, access: KafkaAccess) -> AsyncGenerator[Bus]:
    async with connect(f"kafka://{bootstrap}", topics=topics.declared(), access=access) as bus:
        yield bus


def _line(each: Letter) -> str:
    letter, here = each.letter, each.position
    origin = f"{letter.topic}[{letter.partition}] at {letter.offset}"
    return f"{here.partition.number}:{here.offset} {origin}, not read by {letter.group}: {letter.cause}"
