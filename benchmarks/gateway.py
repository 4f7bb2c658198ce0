"""How soon the API answers, with a million items in its database, and how soon rows come after a task was made."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from sqlalchemy import text
from tests.support.up import up
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from benchmarks.measure import markdown
from benchmarks.media import TRACK_MINUTES, tracks
from timeside_api.database import Database
from timeside_api.embedded import EmbeddedPostgres

ITEMS = 1_000_000
REQUESTS = 300
TASKS = 40
PASSWORD = "a password of the benchmark"
_MANY = """
    INSERT INTO item (id, owner_id, title, artist, created_at)
    SELECT uuidv7(), :owner, 'recording ' || n, 'artist ' || n % 1000, now() - n * interval '1 second'
    FROM generate_series(1, :count) AS n
"""

Call = Callable[[int], Awaitable[Any]]


def section(files: Mapping[str, Path], rounds: int) -> str:
    """Markdown of this section."""
    return "## The API\n\n" + asyncio.run(_text(files["wav"].parent))


async def _text(folder: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="timeside-api-") as home, up(Path(home) / "home") as platform:
        loads = [os.getloadavg()[0]]
        async with httpx.AsyncClient(base_url=platform.url, timeout=120) as client:
            await _sign_in(client, platform.first_password or "")
            lines = await _answers(client, Path(home) / "home", tracks(folder, 1, "flac")[0], loads)
        platform.stop()
    return (
        f"`timeside up` on an empty folder, then {ITEMS:,} items put into its database; requests one after the other "
        f"over one connection, {REQUESTS} of each kind ({TASKS} tasks that are computed). First rows: from sending "
        f"`POST /v1/tasks` (MFCC, each time with other parameters, of a FLAC file of {TRACK_MINUTES} minutes) to the "
        f"first frame of rows at a WebSocket. Load of the machine meanwhile: {min(loads):.1f} to {max(loads):.1f} on "
        f"{os.cpu_count()} cores.\n\n" + markdown(["", "median, ms", "99th percentile, ms"], lines)
    )


async def _answers(client: httpx.AsyncClient, home: Path, path: Path, loads: list[float]) -> list[list[str]]:
    item = await _item(client, path)
    await _fill(client, home)
    deep = await _deep_cursor(client)
    draws = np.random.default_rng(440)

    async def task(number: int) -> None:
        asked = {"processor": "mfcc", "parameters": {"n_mfcc": 13}}
        (await client.post("/v1/tasks", json={"item_id": item, "processors": [asked]})).raise_for_status()

    kinds: dict[str, Call] = {
        "`GET /v1/items/{id}`": lambda _: _get(client, f"/v1/items/{item}"),
        "`GET /v1/items`, 50 items": lambda _: _get(client, "/v1/items?limit=50"),
        "`GET /v1/items`, 50 items far behind": lambda _: _get(client, f"/v1/items?limit=50&cursor={deep}"),
        "`POST /v1/tasks`": task,
    }
    lines: list[list[str]] = []
    for name, call in kinds.items():
        lines.append(_line(name, [await _taken_s(call, number) for number in range(REQUESTS)]))
        loads.append(os.getloadavg()[0])
    async with _stream(client) as socket:
        times_s: list[float] = []
        for number in range(1 + TASKS):
            await asyncio.sleep(draws.uniform(0.3, 0.8))
            times_s.append(await _first_rows_s(client, socket, item, number))
    loads.append(os.getloadavg()[0])
    return [*lines, _line("first rows after `POST /v1/tasks`", times_s[1:])]


def _line(name: str, times_s: list[float]) -> list[str]:
    p50, p99 = np.percentile(times_s, [50, 99]) * 1e3
    print(f"api, {name}: {p50:.1f} ms, {p99:.1f} ms", flush=True)
    return [name, f"{p50:.1f}", f"{p99:.1f}"]


async def _taken_s(call: Call, number: int) -> float:
    began = time.perf_counter()
    await call(number)
    return time.perf_counter() - began


async def _get(client: httpx.AsyncClient, path: str) -> None:
    (await client.get(path)).raise_for_status()


async def _sign_in(client: httpx.AsyncClient, first_password: str) -> None:
    change = {"name": "admin", "password": first_password, "new_password": PASSWORD}
    answer = (await client.post("/v1/auth/password", json=change)).raise_for_status()
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


async def _item(client: httpx.AsyncClient, path: Path) -> str:
    item = (await client.post("/v1/items", json={"title": "measured"})).raise_for_status().json()["id"]
    (await client.put(f"/v1/items/{item}/media", content=path.read_bytes())).raise_for_status()  # noqa: ASYNC240
    return item


async def _fill(client: httpx.AsyncClient, home: Path) -> None:
    """Straight into the database: how long items take to be made is not what is asked."""
    owner = (await client.get("/v1/me")).raise_for_status().json()["id"]
    database = Database(EmbeddedPostgres(home / "pg").url, name="timeside-benchmarks")
    async with database.engine.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("SET statement_timeout = 0"))
        await connection.execute(text(_MANY), {"owner": owner, "count": ITEMS})
        await connection.execute(text("VACUUM ANALYZE item"))
    await database.close()


async def _deep_cursor(client: httpx.AsyncClient) -> str:
    """Of a page that many others come before."""
    cursor = ""
    for _ in range(50):
        page = await client.get("/v1/items", params={"limit": 200} | ({"cursor": cursor} if cursor else {}))
        cursor = page.raise_for_status().json()["next_cursor"]
    return cursor


def _stream(client: httpx.AsyncClient) -> connect:
    address = str(client.base_url).replace("http", "ws", 1).rstrip("/")
    headers = {"Authorization": client.headers["Authorization"]}
    protocols = [Subprotocol("timeside.v1")]
    return connect(f"{address}/v1/stream", subprotocols=protocols, additional_headers=headers, max_size=None)


async def _first_rows_s(client: httpx.AsyncClient, socket: ClientConnection, item: str, number: int) -> float:
    asked = {"processor": "mfcc", "parameters": {"n_mfcc": 14 + number}}
    began = time.perf_counter()
    task = (await client.post("/v1/tasks", json={"item_id": item, "processors": [asked]})).raise_for_status().json()
    await socket.send(json.dumps({"op": "subscribe", "id": str(number), "task": task["id"]}))
    first_s = 0.0
    async for message in socket:
        if isinstance(message, bytes):
            first_s = first_s or time.perf_counter() - began
        elif (heard := json.loads(message))["op"] == "error":
            raise RuntimeError(f"no rows came: {heard}")
        elif heard["op"] == "end":
            break
    return first_s
