"""An operator's commands, against real parts."""

import asyncio
import sys

import pytest

from timeside.cli.__main__ import main
from timeside_core import topics
from timeside_core.bus import Partition, connect
from timeside_core.dead_letters import bury

pytestmark = pytest.mark.integration


def timeside(monkeypatch, *words, code=0):
    monkeypatch.setattr(sys, "argv", ["timeside", *words])
    with pytest.raises(SystemExit) as exited:
        main()
    assert (exited.value.code or 0) == code


def test_dead_letters_are_listed_and_sent_again(kafka_bootstrap, monkeypatch, capsys):
    async def poison():
        await topics.apply(kafka_bootstrap)
        async with connect(f"kafka://{kafka_bootstrap}", topics=topics.declared()) as bus, bus.reader() as reader:
            position = await bus.publish(topics.RESULT, b"not a message", key=b"key")
            await reader.assign({position.partition: position.offset})
            record = (await reader.getmany(timeout_s=30))[position.partition][0]
            return position, await bury(bus, record, group="ts.recorder", cause="it is not JSON")

    origin, letter = asyncio.run(poison())
    timeside(monkeypatch, "letters", "list", "--kafka", kafka_bootstrap)
    name = f"{letter.partition.number}:{letter.offset}"
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{name} "))
    assert f"{origin.partition} at {origin.offset}" in line
    assert "not read by ts.recorder: it is not JSON" in line

    timeside(monkeypatch, "letters", "redrive", name, "--kafka", kafka_bootstrap)
    assert "1 sent again" in capsys.readouterr().out

    async def next_offset():
        async with connect(f"kafka://{kafka_bootstrap}", topics=topics.declared()) as bus:
            return (await bus.bounds([Partition(topics.RESULT, origin.partition.number)]))[origin.partition].next

    assert asyncio.run(next_offset()) == origin.offset + 2
    timeside(monkeypatch, "letters", "redrive", "0:999999", "--kafka", kafka_bootstrap, code=1)
    timeside(monkeypatch, "letters", "redrive", "nonsense", "--kafka", kafka_bootstrap, code=2)
