"""The client: items, tasks, results, and rows while they are computed."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from timeside.client.connection import Connection
from timeside.client.errors import ClientError, ResultError
from timeside.client.follow import Heard, follow, surely
from timeside.client.rows import Had, Opened, ResultRows, times_of
from timeside_core.audio import Array
from timeside_core.formats.files import replaced
from timeside_core.messages import PartialRows

CHUNK_BYTES = 1 << 18

Json = dict[str, Any]


async def sign_in(url: str, name: str, password: str, new_password: str | None = None) -> str:
    """An access token; with `new_password`, which an account with a temporary one has to set, that is the next one."""
    said = {"name": name, "password": password}
    async with Connection(url) as connection:
        if new_password is not None:
            return (await connection.post("/v1/auth/password", {**said, "new_password": new_password}))["access_token"]
        return (await connection.post("/v1/auth/token", said))["access_token"]


class Client(Connection):
    """The platform at an address, by an access token or an API key. All raise `ClientError`."""

    async def make_key(self, name: str) -> str:
        """An API key of mine, which lives until it is revoked."""
        return (await self.post("/v1/api-keys", {"name": name}))["key"]

    def items(self, words: str | None = None) -> AsyncGenerator[Json]:
        """My items, newest first; those with such words where some are given."""
        return self.every("/v1/items", q=words)

    async def item(self, id: str) -> Json:
        """One item."""
        return await self.get(f"/v1/items/{id}")

    async def add(
        self, path: str | Path, title: str | None = None, tell: Callable[[int, int], None] | None = None
    ) -> Json:
        """Make an item of a file; `tell` hears the bytes that have gone, and those of the file."""
        path = Path(path)
        size = path.stat().st_size
        item = await self.post("/v1/items", {"title": title or path.stem})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        try:
            content = _chunks(path, size, tell or _ignore)
            return await self.ask("PUT", f"/v1/items/{item['id']}/media", content=content, headers=headers)
        except BaseException:  # an item without its sound is of no use
            await self.remove(item["id"])
            raise

    async def remove(self, id: str) -> None:
        """Remove an item."""
        await self.ask("DELETE", f"/v1/items/{id}")

    async def run(
        self, item_id: str, processors: Sequence[tuple[str, Mapping[str, Any]]], *, lane: str = "interactive"
    ) -> Json:
        """Ask for results of an item; gives the task, with `result_list` in it."""
        asked = [{"processor": id, "parameters": dict(parameters)} for id, parameters in processors]
        return await self.post("/v1/tasks", {"item_id": item_id, "processors": asked, "lane": lane})

    async def experience(self, id: str) -> list[tuple[str, Json]]:
        """Processors that an experience comes to, with their parameters."""
        found = await self.get(f"/v1/experiences/{id}/processors")
        return [(each["processor"], each["parameters"]) for each in found["items"]]

    async def task(self, id: str) -> Json:
        """A task and its results."""
        return await self.get(f"/v1/tasks/{id}")

    async def cancel(self, id: str) -> Json:
        """Give a task up."""
        return await self.post(f"/v1/tasks/{id}:cancel")

    def follow(self, task_id: str) -> AsyncGenerator[Heard]:
        """What the stream says of a task, to its end: objects, and rows."""
        return follow(self, task=task_id)

    def results(self, item_id: str, processor: str | None = None) -> AsyncGenerator[Json]:
        """Results of an item, in short."""
        return self.every("/v1/results", item_id=item_id, processor=processor)

    async def result(self, id: str) -> Json:
        """Facts and provenance of a result."""
        return await self.get(f"/v1/results/{id}")

    async def save(self, result_id: str, path: str | Path, format: str | None = None) -> None:
        """Save a result as a file of a format (`csv`, `json`, `hdf5`, …), or, without, the file that it is."""
        where, query = ("export", {"format": format}) if format else ("file", {})
        async with self.answer("GET", f"/v1/results/{result_id}/{where}", params=query) as answer:
            with replaced(Path(path)) as part, part.open("wb") as file:
                async for chunk in answer.aiter_bytes():
                    file.write(chunk)

    async def stream(self, result_id: str) -> AsyncGenerator[ResultRows]:
        """Rows of a result while it is computed, or of one that is done: each row of each output once.

        They come in order, but for rows that the stream could not give, which are read over HTTP at the end. The
        connection may break and come back meanwhile. Raises `ResultError` where the result is not made.
        """
        had: defaultdict[str, Had] = defaultdict(Had)
        opened: dict[tuple[str, int], Opened] = {}
        async with aclosing(follow(self, result=result_id)) as messages:
            async for message in messages:
                if isinstance(message, PartialRows):
                    kind = opened.get((str(message.run_id), message.processor))
                    rows = None if kind is None else kind.rows(result_id, message)
                    new = None if rows is None else had[rows.output].take(rows)
                    if new is not None:
                        yield new
                elif message["op"] == "opened":
                    opened[message["run"], message["processor"]] = await self._opened(message, result_id)
        async for rows in self._rest(result_id, had):
            yield rows

    async def rows(
        self, result_id: str, output: str = "result", start: int = 0, stop: int | None = None
    ) -> AsyncIterator[ResultRows]:
        """Rows of an output of a result that is done, in parts."""
        facts = await self.result(result_id)
        for each in facts["outputs"]:
            if each["name"] == output:
                total = each["rows"] if stop is None else min(stop, each["rows"])
                async for rows in self._stored(facts, each, start, total):
                    yield rows

    async def _opened(self, message: Json, result_id: str) -> Opened:
        """With how the rows of its outputs are in time, which the processor declares."""
        processor = (await surely(lambda: self.result(result_id)))["processor"]
        declared = (await surely(lambda: self.get(f"/v1/processors/{processor}")))["outputs"]
        modes = {each["name"]: each["time_mode"] for each in declared}
        outputs = [{"time_mode": modes.get(each["name"] or "result"), **each} for each in message["outputs"]]
        return Opened(message["clock"], outputs)

    async def _rest(self, result_id: str, had: defaultdict[str, Had]) -> AsyncGenerator[ResultRows]:
        """What the stream could not give."""
        facts = await surely(lambda: self.result(result_id))
        if facts["state"] != "done":
            reason = facts["reason"] or facts["state"]
            raise ResultError(f"result {result_id} of {facts['processor']} was not made: {reason}")
        for output in facts["outputs"]:
            for start, stop in had[output["name"]].missing(output["rows"]):
                async for rows in self._stored(facts, output, start, stop):
                    yield rows

    async def _stored(self, facts: Json, output: Json, start: int, stop: int) -> AsyncGenerator[ResultRows]:
        """Rows `start` to `stop`, as many at a time as an answer has."""
        path = f"/v1/results/{facts['id']}/data/{output['name']}"
        while start < stop:
            page = await surely(partial(self.get, path, start=start))
            values = _array(page["values"], output)
            if output["time_mode"] == "global":
                values = values[np.newaxis]
            values = values[: stop - start]
            if not len(values):
                raise ClientError(f"{path} has no rows from {start} on, but should have {stop}")
            if output["time_mode"] == "framewise":
                times = times_of(facts["clock"], start, len(values))
            else:
                times = np.asarray(page.get("times", ()), float)[: len(values)]
            durations = np.asarray(page.get("durations", ()), float)[: len(values)]
            yield ResultRows(
                result_id=facts["id"],
                output=output["name"],
                first_row=start,
                values=values,
                times=times,
                durations=durations,
            )
            start += len(values)


def _array(values: Any, output: Json) -> Array:
    """Numbers of a JSON answer, in which null is NaN."""
    dtype = np.dtype(output["dtype"])
    return np.asarray(values, float if dtype.kind == "f" else dtype).astype(dtype)


def _ignore(sent: int, size: int) -> None:
    """Tell nobody."""


async def _chunks(path: Path, size: int, tell: Callable[[int, int], None]) -> AsyncGenerator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
            tell(file.tell(), size)
