"""A client of uploads that can be gone on with, whose connection may be cut after any byte."""

import base64
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
from tests.support.api import Api, Person

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {"Content-Type": "application/offset+octet-stream"}


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def metadata(**texts: object) -> dict[str, str]:
    """The header that describes an upload."""
    pairs = [f"{name} {base64_of(str(text).encode())}" for name, text in texts.items()]
    return {"Upload-Metadata": ",".join(pairs)} if pairs else {}


class Client:
    """Of one person."""

    def __init__(self, api: Api, who: Person) -> None:
        self.api, self.headers = api, who.headers | TUS

    async def create(self, length: int, content: bytes | None = None, **said: object) -> httpx.Response:
        headers = self.headers | {"Upload-Length": str(length)} | metadata(**said)
        if content is not None:
            headers |= BYTES
        return await self.api.client.post("/v1/uploads", headers=headers, content=content)

    async def begin(self, length: int, **said: object) -> str:
        """Path of a new upload."""
        answer = await self.create(length, **said)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    async def patch(
        self,
        path: str,
        offset: int,
        content: bytes | AsyncIterator[bytes],
        *,
        checksum: str | None = None,
        **headers: str,
    ) -> httpx.Response:
        sent = self.headers | BYTES | {"Upload-Offset": str(offset)} | headers
        if checksum is not None and isinstance(content, bytes):
            sent |= {"Upload-Checksum": f"{checksum} {base64_of(hashlib.new(checksum, content).digest())}"}
        return await self.api.client.patch(path, headers=sent, content=content)

    async def offset(self, path: str) -> int:
        answer = await self.api.client.head(path, headers=self.headers)
        assert answer.status_code == 200
        return int(answer.headers["Upload-Offset"])

    async def told(self, path: str) -> dict[str, Any]:
        return (await self.api.client.get(path, headers=self.headers)).json()

    async def cut(self, path: str, offset: int, chunks: Sequence[bytes], **headers: str) -> None:
        """Send some bytes of a longer body, then lose the connection."""
        sent = self.headers | BYTES | {"Upload-Offset": str(offset)} | headers
        messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        messages.append({"type": "http.disconnect"})

        async def receive() -> dict[str, Any]:
            return messages.pop(0) if len(messages) > 1 else messages[0]

        async def send(_: object) -> None:
            """Nobody listens any more."""

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "PATCH",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 1),
            "server": ("api.example", 80),
            "scheme": "http",
            "root_path": "",
        }
        await self.api.app(scope, receive, send)
