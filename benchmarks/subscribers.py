"""How many subscribers one process serves: `python -m benchmarks.subscribers --subscribers 1000`.

The server is this process, over a bus in memory and a real PostgreSQL; its clients are another. All watch one task,
whose rows carry the time at which they were sent. One more client reads nothing: what it costs others is part of it.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from pydantic import SecretStr
from tests.support import postgres
from tests.support.api import Api, Person
from tests.support.talk import Talk
from websockets.asyncio.client import connect

from benchmarks.measure import markdown
from benchmarks.processes import cpu_s
from timeside_api.database import Database
from timeside_api.http.app import create_app
from timeside_api.http.server import listen, serve
from timeside_api.http.settings import HttpSettings
from timeside_core import topics
from timeside_core.bus.memory import MemoryBus
from timeside_core.messages import PartialRows, decode
from timeside_core.outputs import Rows
from timeside_core.store import Store

EVERY_S = 0.5
"""Between rows."""
ROWS, COLUMNS = 43, 13
"""Of one message: half a second of MFCC."""
AT_ONCE = 50
"""Clients that connect at a time."""


def section(files: Mapping[str, Path], rounds: int) -> str:
    """Markdown of this section."""
    return text((100, 1000), seconds=20.0)


def text(counts: tuple[int, ...], seconds: float) -> str:
    """Markdown for some counts of subscribers."""
    found = [measured(count, seconds) for count in counts]
    columns = ["subscribers", "rows late by, median / 99th percentile, ms", "server's CPU, s/s", "MiB more", "lost"]
    return (
        "## Subscribers\n\nOne process serves WebSockets that all watch one task: "
        f"{ROWS} rows of {COLUMNS} columns every {EVERY_S:g} s to each, one more client that reads nothing, and all "
        f"clients on the same machine ({os.cpu_count()} cores).\n\n"
        + markdown(columns, [_line(each) for each in found])
    )


def measured(count: int, seconds: float) -> dict[str, float]:
    """What so many take."""
    with postgres.running() as server, tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measured(server, Path(folder), count, seconds))


def _line(found: dict[str, float]) -> list[str]:
    late = f"{found['p50_ms']:.0f} / {found['p99_ms']:.0f}"
    return [f"{found['count']:.0f}", late, f"{found['cpu']:.2f}", f"{found['mib']:.0f}", f"{found['lost']:.0f}"]


async def _measured(server: postgres.Server, folder: Path, count: int, seconds: float) -> dict[str, float]:
    settings = HttpSettings(
        secret=SecretStr("s" * 32), connections=10_000, requests_per_s=1e5, requests_burst=1_000_000
    )
    stop, store = asyncio.Event(), Store((folder / "store").as_uri())
    async with (
        server.database() as url,
        MemoryBus(topics.declared(max_partitions=2)) as bus,
        httpx.AsyncClient() as none,
    ):
        database, listening = Database(url), listen("127.0.0.1", 0)
        app = create_app(settings, bus, store, database, scratch=folder / "scratch")
        api = Api(app, database, store, bus, none)
        running = asyncio.create_task(serve(app, listening, stop))
        try:
            return await _watched(api, await api.person("ada"), listening.getsockname()[1], count, seconds)
        finally:
            stop.set()
            await running
            listening.close()
            await database.close()


async def _watched(api: Api, who: Person, port: int, count: int, seconds: float) -> dict[str, float]:
    work, before_mib = await Talk.begin(api, who), _mib()
    await work.opened()
    command = [sys.executable, "-m", "benchmarks.subscribers", "--client", str(port), str(work.task_id), str(count)]
    environ = {**os.environ, "TOKEN": who.headers["Authorization"]}
    clients = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environ)
    assert clients.stdout is not None
    await clients.stdout.readline()  # all are there
    began, cpu_before = time.monotonic(), cpu_s(os.getpid())
    sent = 0
    while time.monotonic() - began < seconds:
        rows = Rows(np.full((ROWS, COLUMNS), time.monotonic()))
        place: dict[str, Any] = {"processor": 0, "output": 0, "first_row": sent * ROWS, "rows": rows}
        await work.send(topics.PARTIAL, PartialRows(**work.about, seq=sent, **place))
        sent += 1
        await asyncio.sleep(EVERY_S)
    taken, mib = (cpu_s(os.getpid()) - cpu_before) / (time.monotonic() - began), _mib() - before_mib
    await work.closed()
    await work.done()
    found: dict[str, float] = json.loads(await clients.stdout.readline())
    await clients.wait()
    return {**found, "count": count, "cpu": taken, "mib": mib, "lost": count * sent - found["heard"]}


async def _clients(port: int, task_id: str, count: int) -> None:
    late_s: list[float] = []
    ready = asyncio.Semaphore(0)
    url, headers, room = (
        f"ws://127.0.0.1:{port}/v1/stream",
        {"Authorization": os.environ["TOKEN"]},
        asyncio.Semaphore(AT_ONCE),
    )

    async def watch(*, reads: bool) -> None:
        async with room:
            socket = await connect(url, additional_headers=headers, proxy=None, ping_interval=None, open_timeout=120)
            await socket.send(json.dumps({"op": "subscribe", "id": "a", "task": task_id}))
        if not reads:
            ready.release()
            return
        async for message in socket:
            if isinstance(message, bytes):
                rows: Any = decode(topics.PARTIAL, memoryview(message))
                late_s.append(time.monotonic() - float(rows.rows.values[0, 0]))
            elif '"op": "ready"' in message:
                ready.release()
            elif '"op": "end"' in message:
                return

    lazy = asyncio.create_task(watch(reads=False))
    watching = [asyncio.create_task(watch(reads=True)) for _ in range(count)]
    for _ in range(count + 1):
        await ready.acquire()
    print("ready", flush=True)
    await asyncio.gather(lazy, *watching)
    p50, p99 = np.percentile(late_s, [50, 99]) * 1000
    print(json.dumps({"p50_ms": p50, "p99_ms": p99, "heard": len(late_s)}), flush=True)


def _mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def main() -> None:
    """Print the section, or be the clients."""
    parser = argparse.ArgumentParser(prog="benchmarks.subscribers", description=__doc__)
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--client", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        port, task_id, count = arguments.client
        asyncio.run(_clients(int(port), task_id, int(count)))
        return
    print(text((arguments.subscribers,), arguments.seconds))


if __name__ == "__main__":
    main()
