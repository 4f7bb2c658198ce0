"""Connections cut at random: streams and uploads go on exactly where they were.

`TIMESIDE_TEST_CUTS` says how many: `make soak` makes a thousand of each.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.api import Api, Person, Socket, noise, serving, wav
from tests.support.sse import Events
from tests.support.talk import Talk
from tests.support.tus import Client

from timeside_api.database import Database
from timeside_core import topics
from timeside_core.messages import decode

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

CUTS = int(os.environ.get("TIMESIDE_TEST_CUTS", "50"))
ATTEMPTS = 3
"""How often the run is handed out while it is watched."""


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database, tmp_path, requests_per_s=1e5, requests_burst=1_000_000) as api:
        yield api


class Watcher:
    """What a client has: all up to the last token, and what came since, which comes again after a cut."""

    def __init__(self) -> None:
        self.token: str | None = None
        self.attempt, self.rows = 0, list[float]()
        self._kept = (0, list[float]())
        self.cuts, self.is_over = 0, False

    def take(self, attempt: int, first_row: int, values: list[float]) -> None:
        if attempt > self.attempt:
            self.attempt, self.rows = attempt, []
        assert (attempt, first_row) == (self.attempt, len(self.rows)), "a row is missing, or came twice"
        self.rows = self.rows + values

    def keep(self, token: str) -> None:
        self.token, self._kept = token, (self.attempt, self.rows)

    def cut(self) -> None:
        self.cuts += 1
        self.attempt, self.rows = self._kept


async def _compute(work: Talk, watcher: Watcher, moments: np.random.Generator) -> int:
    """Rows, and new attempts, until the client was cut off often enough; how many rows there are."""
    count = 0
    for attempt in range(1, ATTEMPTS + 1):
        count = 0
        while count < 20 or watcher.cuts < CUTS * attempt // ATTEMPTS:
            more = int(moments.integers(1, 6))
            await work.rows(count, more)
            await work.progress(count)
            count += more
            await asyncio.sleep(float(moments.exponential(0.005)))
        if attempt < ATTEMPTS:
            await work.again()
    await work.closed()
    await work.done()
    return count


async def _watched(api: Api, ada: Person, watch: Any) -> Watcher:
    """Watch a task in pieces until it ends; the rows are those that were computed."""
    moments = np.random.default_rng(440)
    work, watcher = await Talk.begin(api, ada), Watcher()
    await work.opened()
    computing = asyncio.create_task(_compute(work, watcher, np.random.default_rng(441)))
    while not watcher.is_over:
        messages = int(moments.integers(1, 30)) if watcher.cuts < CUTS else 1 << 30
        await watch(api, ada, work, watcher, messages)
        watcher.cut()
    assert watcher.rows == list(range(await computing))
    assert watcher.attempt == ATTEMPTS
    assert watcher.cuts > CUTS
    return watcher


async def _over_a_socket(api: Api, ada: Person, work: Talk, watcher: Watcher, messages: int) -> None:
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        await socket.say(op="subscribe", id="a", task=work.task_id, token=watcher.token)
        for _ in range(messages):
            match await socket.hear():
                case bytes() as frame:
                    rows: Any = decode(topics.PARTIAL, frame)
                    watcher.take(rows.attempt, rows.first_row, rows.rows.values.tolist())
                case {"op": "token", "token": token}:
                    watcher.keep(token)
                case {"op": "end"} as end:
                    assert end["task"]["state"] == "done"
                    watcher.keep("")
                    watcher.is_over = True
                    return
                case {"op": op}:
                    assert op not in ("gap", "error")


async def _by_events(api: Api, ada: Person, work: Talk, watcher: Watcher, messages: int) -> None:
    async with Events(api.app, f"/v1/tasks/{work.task_id}/stream", ada.headers, watcher.token) as events:
        for _ in range(messages):
            event = await events.hear()
            assert event is not None
            assert event.name not in ("gap", "error")
            if event.name == "rows":
                watcher.take(event.data["attempt"], event.data["first_row"], event.data["values"])
            if event.id is not None:
                watcher.keep(event.id)
            if event.name == "end":
                watcher.keep("")
                watcher.is_over = True
                assert await events.hear() is None
                return


@pytest.mark.parametrize("watch", [_over_a_socket, _by_events])
async def test_a_stream_that_is_cut_goes_on_exactly_where_it_was(api: Api, ada: Person, watch: Any):
    await _watched(api, ada, watch)


async def test_an_upload_that_is_cut_goes_on_exactly_where_it_was(api: Api, ada: Person):
    moments = np.random.default_rng(440)
    content, tus = wav(noise(3.0)), Client(api, ada)
    path, offset, cuts = await tus.begin(len(content)), 0, 0
    while cuts < CUTS:
        stop = offset + int(moments.integers(0, 2 * (len(content) - offset) // (CUTS - cuts + 1) + 1))
        edges = sorted({offset, *moments.integers(offset, stop + 1, 3).tolist(), stop})
        await tus.cut(path, offset, [content[first:last] for first, last in pairwise(edges)])
        assert await tus.offset(path) == stop
        offset, cuts = stop, cuts + 1
    answer = await tus.patch(path, offset, content[offset:])
    assert answer.status_code == 204
    assert (await tus.told(path))["media_sha256"] == hashlib.sha256(content).hexdigest()
    assert list(api.store.objects.list("uploads")) == []
