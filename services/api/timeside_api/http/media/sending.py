"""Objects of the store as answers: whole or by range, HEAD, revalidation; they never change and may be kept."""

import asyncio
import re
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from timeside_api.http.problems import Problem
from timeside_core.store import Store

PIECE_BYTES = 1 << 18
"""Read, and held for a client, at a time."""
FOR_EVER = "private, max-age=31536000, immutable"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_SAFE_TYPE = re.compile(r"(audio|video)/[a-z0-9.+-]{1,64}|image/(png|svg\+xml)")
"""Types that we let browsers act upon; an SVG can do nothing under our Content-Security-Policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """An object that is sent."""

    name: str
    size: int
    sha256: str
    mime_type: str
    file_name: str


async def send(request: Request, file: StoredFile, store: Store, readers: Executor) -> Response:
    """The answer to a GET or HEAD."""
    etag = f'"{file.sha256}"'
    headers = {
        "ETag": etag,
        "Cache-Control": FOR_EVER,
        "Accept-Ranges": "bytes",
        "Content-Type": file.mime_type if _SAFE_TYPE.fullmatch(file.mime_type) else "application/octet-stream",
        "Content-Disposition": f'inline; filename="{file.file_name}"',
    }
    if is_fresh(request, etag):
        return Response(status_code=304, headers=headers)
    span = _span(request, file.size, etag)
    first, last = span or (0, file.size - 1)
    headers["Content-Length"] = str(last - first + 1)
    if span:
        headers["Content-Range"] = f"bytes {first}-{last}/{file.size}"
    status = 206 if span else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    pieces = _pieces(store, file.name, first, last, readers)
    begin = await anext(pieces, b"")  # what cannot be read is told instead of a status
    return StreamingResponse(_joined(begin, pieces), status, headers)


def is_fresh(request: Request, etag: str) -> bool:
    """Whether the client has it already."""
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    return etag in known or "*" in known


def _span(request: Request, size: int, etag: str) -> tuple[int, int] | None:
    """First and last byte that are asked for; None means all. Several ranges at once are answered with all."""
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None or request.headers.get("if-range", etag) != etag or not any(asked.groups()):
        return None
    start, stop = asked.groups()
    first, last = (int(start), int(stop or size)) if start else (max(0, size - int(stop)), size - 1)
    last = min(last, size - 1)
    if start and stop and int(stop) < int(start):
        return None  # not a range (RFC 9110, 14.1.2)
    if first > last:
        raise Problem(416, "range", f"there are {size} bytes", headers={"Content-Range": f"bytes */{size}"})
    return first, last


async def _pieces(store: Store, name: str, first: int, last: int, readers: Executor) -> AsyncGenerator[bytes]:
    loop = asyncio.get_running_loop()
    for start in range(first, last + 1, PIECE_BYTES):
        length = min(PIECE_BYTES, last + 1 - start)
        yield await loop.run_in_executor(readers, store.read, name, start, length)


async def _joined(begin: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield begin
    async for piece in rest:
        yield piece
