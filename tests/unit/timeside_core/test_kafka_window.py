"""The window of bytes on their way: never more than its limit, first come first served, none lost to a cancellation."""

import asyncio

import pytest

from timeside_core.bus.kafka import Window
from timeside_core.errors import BusError


async def test_who_comes_first_goes_first_even_where_a_later_one_would_fit():
    window, order = Window(10), list[str]()

    async def take(name: str, size: int) -> None:
        await window.take(size)
        order.append(name)

    await window.take(8)
    async with asyncio.TaskGroup() as group:
        for name, size in [("large", 9), ("small", 1), ("huge", 99)]:
            group.create_task(take(name, size))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert order == []
        window.give(8)
        await asyncio.sleep(0)
        assert order == ["large", "small"]
        window.give(9)
        await asyncio.sleep(0)
        assert order == ["large", "small"]
        window.give(1)
    assert order == ["large", "small", "huge"]


async def test_a_cancelled_waiter_takes_nothing():
    window = Window(10)
    await window.take(10)
    waiting, next = asyncio.create_task(window.take(10)), asyncio.create_task(window.take(10))
    await asyncio.sleep(0)
    window.give(10)  # the turn is given to the first, which is cancelled before it runs
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(1):
        await next


async def test_closing_turns_away_who_waits():
    window = Window(1)
    await window.take(1)
    waiting = asyncio.create_task(window.take(1))
    await asyncio.sleep(0)
    window.close()
    with pytest.raises(BusError, match="closed before there was room"):
        await waiting
