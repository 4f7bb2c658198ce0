"""A server that is told to stop: streams are closed so that clients go on elsewhere, uploads leave what came."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from tests.support.api import Api, Person, Socket, noise, serving, wav
from tests.support.sse import Events
from tests.support.talk import Talk
from tests.support.tus import BYTES, Client
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from timeside_api.database import Database
from timeside_api.http.app import create_app
from timeside_api.http.server import listen, serve
from timeside_api.http.settings import HttpSettings
from timeside_core import topics
from timeside_core.messages import decode

pytestmark = pytest.mark.integration


class Server:
    """Over real sockets."""

    def __init__(self, api: Api, port: int) -> None:
        self.api, self.address = api, f"127.0.0.1:{port}"
        self.stop = asyncio.Event()


@asynccontextmanager
async def server(database: Database, folder: Path) -> AsyncIterator[tuple[Server, Person]]:
    async with serving(database, folder) as api:
        with closing(listen("127.0.0.1", 0)) as listening:
            found = Server(api, listening.getsockname()[1])
            task = asyncio.create_task(serve(api.app, listening, found.stop))
            try:
                yield found, await api.person("ada")
            finally:
                found.stop.set()
                await task


@asynccontextmanager
async def another(found: Server) -> AsyncIterator[Api]:
    """Another server, over the same database, bus and store."""
    api = found.api
    app = create_app(HttpSettings(secret=SecretStr("s" * 32)), api.bus, api.store, api.database)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api.example") as client,
    ):
        yield Api(app, api.database, api.store, api.bus, client)


async def test_sockets_are_closed_so_that_clients_come_again(database: Database, tmp_path: Path):
    async with server(database, tmp_path) as (found, ada):
        work = await Talk.begin(found.api, ada)
        await work.rows(0, 3)
        url = f"ws://{found.address}/v1/stream"
        async with connect(url, additional_headers=ada.headers, proxy=None) as socket:
            await socket.send(json.dumps({"op": "subscribe", "id": "a", "task": str(work.task_id)}))
            token = ""
            while not token:
                heard = await socket.recv()
                token = json.loads(heard).get("token", "") if isinstance(heard, str) else ""
            found.stop.set()
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code in (1001, 1012)
        await work.rows(3, 2)
        async with another(found) as api, Socket(api.app, "/v1/stream", ada.headers) as again:
            await again.say(op="subscribe", id="a", task=work.task_id, token=token)
            frames = [each for each in await again.until("token") if isinstance(each, bytes)]
            assert [decode(topics.PARTIAL, each).first_row for each in frames] == [3]


async def test_event_streams_end_so_that_clients_come_again(database: Database, tmp_path: Path):
    async with server(database, tmp_path) as (found, ada):
        work = await Talk.begin(found.api, ada)
        await work.rows(0, 3)
        path, last_id = f"/v1/tasks/{work.task_id}/stream", None
        async with (
            httpx.AsyncClient(trust_env=False, timeout=20) as client,
            client.stream("GET", f"http://{found.address}{path}", headers=ada.headers) as answer,
        ):
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    last_id = line.removeprefix("id: ")
                    found.stop.set()
        await work.rows(3, 2)
        async with another(found) as api, Events(api.app, path, ada.headers, last_id) as events:
            assert [each.data["first_row"] for each in await events.until("token") if each.name == "rows"] == [3]


async def test_an_upload_under_way_leaves_what_came(database: Database, tmp_path: Path):
    content = wav(noise())
    async with server(database, tmp_path) as (found, ada):
        tus = Client(found.api, ada)
        path = await tus.begin(len(content))
        host, _, port = found.address.partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        headers = tus.headers | BYTES | {"Upload-Offset": "0", "Host": host, "Content-Length": str(len(content))}
        writer.write(f"PATCH {path} HTTP/1.1\r\n".encode())
        writer.write("".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n")
        writer.write(content[:70_001])
        await writer.drain()
        await asyncio.sleep(0.5)
        found.stop.set()
        async with another(found) as api:
            assert await _patiently(Client(api, ada), path, 70_001, content) == 204
        writer.close()


async def _patiently(tus: Client, path: str, offset: int, content: bytes) -> int:
    """Status of the rest, sent once so many bytes are kept, and again while the server before has the upload."""
    status = 0
    for _ in range(300):
        if await tus.offset(path) == offset:
            status = (await tus.patch(path, offset, content[offset:])).status_code
            if status != 423:
                break
        await asyncio.sleep(0.1)
    return status
