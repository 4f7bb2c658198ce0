"""A client's end of server-sent events, without a network between: a piece is sent once the client has taken it."""

import asyncio
import json
from contextlib import suppress
from typing import Any, NamedTuple

from fastapi import FastAPI


class Event(NamedTuple):
    """As a browser would hand it out."""

    name: str
    data: Any
    id: str | None


class Events:
    """One stream."""

    def __init__(self, app: FastAPI, path: str, headers: dict[str, str], last_id: str | None = None) -> None:
        path, _, query = path.partition("?")
        sent = {"host": "api.example", **headers} | ({} if last_id is None else {"last-event-id": last_id})
        self._scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 1),
            "server": ("api.example", 80),
            "scheme": "http",
            "root_path": "",
        }
        self._app = app
        self._gone = asyncio.Event()
        self._asked = False
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1)
        self._text = ""
        self.status = 0
        self.is_over = False

    async def __aenter__(self) -> "Events":
        self._serving = asyncio.create_task(self._app(self._scope, self._receive, self._from_app.put))
        self.status = (await self._next())["status"]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gone.set()
        while not self._serving.done():
            with suppress(asyncio.QueueEmpty):
                self._from_app.get_nowait()
            await asyncio.sleep(0.01)
        await self._serving

    async def hear(self) -> Event | None:
        """The next event, comments passed over; None at the end."""
        while True:
            block, mark, rest = self._text.partition("\n\n")
            if mark:
                self._text = rest
                if event := _event(block):
                    return event
            elif self.is_over:
                return None
            else:
                message = await self._next()
                self._text += message.get("body", b"").decode()
                self.is_over = not message.get("more_body", False)

    async def until(self, name: str) -> list[Event]:
        """All events up to one of that name."""
        heard: list[Event] = []
        while not heard or heard[-1].name != name:
            event = await self.hear()
            assert event is not None, heard
            heard.append(event)
        return heard

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _next(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            return await self._from_app.get()


def _event(block: str) -> Event | None:
    fields: dict[str, str] = {}
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        if name:
            fields[name] = fields.get(name, "") + value.removeprefix(" ")
    return Event(fields["event"], json.loads(fields["data"]), fields.get("id")) if "event" in fields else None
