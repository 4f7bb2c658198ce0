"""The HTTP role over a real database, a store and a bus in memory, with people who come in and things they own."""

import asyncio
import io
import json
import time
import wave
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import numpy as np
from fastapi import FastAPI
from sqlalchemy import func, update

from timeside_api import tasks
from timeside_api.database import Database
from timeside_api.http.accounts import repository
from timeside_api.http.accounts.passwords import hash_now
from timeside_api.http.accounts.tokens import Tokens
from timeside_api.http.app import create_app
from timeside_api.http.settings import HttpSettings
from timeside_api.identity import Role
from timeside_api.models import Item, Media, Result, ResultState, Run, RunState, Task, TaskState
from timeside_api.plans import asked
from timeside_api.tasks import Part, Request, Terms
from timeside_core import Array, Processor, Results, topics
from timeside_core.bus.memory import MemoryBus
from timeside_core.ids import uuid7
from timeside_core.outputs import Rows
from timeside_core.store import ResultKey, Store
from timeside_decoder.array import ArrayDecoder

SAMPLERATE = 44_100
PASSWORD = "a password for tests"
_HASH = hash_now(PASSWORD)


def noise(seconds: float = 1.0) -> Array:
    """Shape `(samples, 2)`, float32."""
    return np.random.default_rng(440).uniform(-0.5, 0.5, (round(seconds * SAMPLERATE), 2)).astype(np.float32)


def wav(audio: Array) -> bytes:
    """A file of 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(audio.shape[1])
        writer.setsampwidth(2)
        writer.setframerate(SAMPLERATE)
        writer.writeframes((audio * 32767).astype("<i2").tobytes())
    return file.getvalue()


@dataclass(frozen=True)
class Person:
    """Somebody with an account, signed in."""

    id: UUID
    name: str
    headers: dict[str, str]
    refresh_token: str


class Api:
    """The app, and ways to fill what it serves from."""

    def __init__(self, app: FastAPI, database: Database, store: Store, bus: MemoryBus, client: httpx.AsyncClient):
        self.app, self.database, self.store, self.bus, self.client = app, database, store, bus, client

    async def person(self, name: str, role: Role = Role.USER) -> Person:
        """Make an account, and sign in without the password, which takes long to check."""
        async with self.database.transaction() as session:
            assert await repository.add(session, name, role, _HASH, is_temporary=False)
            account = await repository.by_name(session, name)
            assert account is not None
            begun = await repository.sign_in(session, account.id, life_s=3600)
        tokens: Tokens = self.app.state.platform.tokens
        ids = {"account_id": account.id, "sign_in_id": begun.id, "expires_at": int(time.time()) + 3600}
        access = tokens.issue("access", **ids, token_id=uuid7())
        refresh = tokens.issue("refresh", **ids, token_id=begun.refresh_id)
        return Person(account.id, name, {"Authorization": f"Bearer {access}"}, refresh)

    async def item(self, owner: Person, media: bytes | None = None) -> UUID:
        """An item, with media that is kept but that nobody has looked at."""
        media = media if media is not None else wav(noise())
        sha256, size = self.store.put_media([media])
        async with self.database.transaction() as session:
            await session.merge(Media(sha256=sha256, size=size, mime_type="audio/wav"))
            await session.flush()
            item = Item(owner_id=owner.id, media_sha256=sha256)
            session.add(item)
            await session.flush()
            return item.id

    async def task(self, owner: Person, item_id: UUID, *processors: Processor) -> UUID:
        """A task that waits in the queue."""
        async with self.database.transaction() as session:
            item = await session.get_one(Item, item_id)
            part = Part(item.media_sha256 or "", asked(processors))
            return await tasks.create(session, Request(parts=(part,), terms=Terms(owner.id), item_id=item_id))

    async def runs(self, task_id: UUID) -> list[Run]:
        """Of a task."""
        async with self.database.transaction() as session:
            return list(await tasks.runs(session, task_id))

    async def results(self, task_id: UUID) -> list[Result]:
        """Of a task."""
        async with self.database.transaction() as session:
            return list(await tasks.results(session, task_id))

    async def hand_out(self, task_id: UUID) -> Run:
        """Have its run be handed out, as the dispatcher does."""
        (run,) = await self.runs(task_id)
        planned = [each.id for each in await self.results(task_id)]
        values = {"state": RunState.RUNNING, "attempt": run.attempt + 1, "planned": planned}
        values |= {"dispatched_at": func.now()}
        async with self.database.transaction() as session:
            await session.execute(update(Run).where(Run.id == run.id).values(**values))
        return (await self.runs(task_id))[0]

    async def settle(self, task_id: UUID, state: TaskState = TaskState.DONE) -> None:
        """Have a task be over, whatever its results."""
        async with self.database.transaction() as session:
            await session.execute(update(Task).where(Task.id == task_id).values(state=state))

    async def make(self, result: Result, processor: Processor, audio: Array) -> Results:
        """Have a result be done as a worker would; what it holds."""
        made = (ArrayDecoder(audio, samplerate=SAMPLERATE) | processor).run()
        outputs = {each.id.partition(".")[2]: each for each in made}
        key = ResultKey(result.media_sha256, result.processor, result.version, result.digest)
        writer = self.store.writer(key, {name: each.output for name, each in outputs.items()})
        for name, each in outputs.items():
            values = each.values[np.newaxis] if each.output.time_mode == "global" else each.values
            writer.append(name, Rows(values, each.event_times, each.event_durations))
        bins = {name: each.bins for name, each in outputs.items()}
        stored = writer.finish(made[0].provenance, made[0].stream, bins)
        values = {"state": ResultState.DONE, "object_name": stored.prefix, "object_sha256": stored.manifest_sha256}
        async with self.database.transaction() as session:
            await session.execute(update(Result).where(Result.id == result.id).values(**values, size=stored.size))
        return made


@asynccontextmanager
async def serving(database: Database, folder: Path, **settings: Any) -> AsyncGenerator[Api]:
    """The app, begun and ended as a server does."""
    store = Store((folder / "store").as_uri())
    bus = MemoryBus(topics.declared(max_partitions=2))
    known = HttpSettings(**{"secret": "s" * 32, "demand_s": 0.2, **settings})
    app = create_app(known, bus, store, database, scratch=folder / "scratch")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        bus,
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api.example") as client,
    ):
        yield Api(app, database, store, bus, client)


class Closed(Exception):
    """The server hung up."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Socket:
    """A client's end of a WebSocket, without a network between: a frame is sent once the client has taken it."""

    def __init__(self, app: FastAPI, path: str, headers: dict[str, str]) -> None:
        path, _, query = path.partition("?")
        self._scope = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(b"host", b"api.example"), *((k.lower().encode(), v.encode()) for k, v in headers.items())],
            "subprotocols": ["timeside.v1"],
            "client": ("127.0.0.1", 1),
            "scheme": "ws",
            "app": app,
            "state": {},
            "extensions": {},
        }
        self._app = app
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1)

    async def __aenter__(self) -> "Socket":
        self._serving = asyncio.create_task(self._app(self._scope, self._to_app.get, self._from_app.put))
        await self._to_app.put({"type": "websocket.connect"})
        message = await self._next()
        assert message["type"] == "websocket.accept", message
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._to_app.put({"type": "websocket.disconnect", "code": 1001})
        while not self._serving.done():
            with suppress(asyncio.QueueEmpty):
                self._from_app.get_nowait()
            await asyncio.sleep(0.01)
        await self._serving

    async def say(self, **message: Any) -> None:
        await self._to_app.put({"type": "websocket.receive", "text": json.dumps(message, default=str)})

    async def hear(self) -> Any:
        """The next message: an object, or bytes."""
        message = await self._next()
        return json.loads(message["text"]) if message.get("text") is not None else message["bytes"]

    async def until(self, op: str) -> list[Any]:
        """All messages up to one of that kind."""
        heard: list[Any] = []
        while not heard or isinstance(heard[-1], bytes) or heard[-1]["op"] != op:
            heard.append(await self.hear())
        return heard

    async def _next(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            message = await self._from_app.get()
        if message["type"] == "websocket.close":
            raise Closed(message["code"])
        return message
