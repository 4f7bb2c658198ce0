"""The body of an answer: its bytes as they come, within limits, and what its headers say of it."""

import asyncio
import re
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from urllib.parse import unquote

import httpcore
import httpx

from timeside_core.errors import FetchError
from timeside_core.fetch.connect import RefusalError
from timeside_core.fetch.settings import FetchSettings
from timeside_core.fetch.urls import name_of, refused, shown

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)
_EXTENDED_NAME = re.compile(r"filename\*\s*=\s*(utf-8|iso-8859-1)'[^']*'([^;\s]+)", re.IGNORECASE)
_DISPOSITION_CHARS = 2000
"""Longest Content-Disposition that is read: the parser takes quadratic time."""
_NAME_CHARS = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """What is left to a fetch: bytes of its body, and the loop's time at which it ends."""

    max_bytes: int | None
    deadline: float | None


class Body:
    """Bytes of one answer, to be read once: `async for chunk in body`, at most 64 KiB each."""

    url: str
    """Where it came from in the end, redirects followed. May hold secrets: show it by `shown(url)`."""
    status: int
    """200 to 299."""
    content_type: str | None
    """Media type as the server claims it, without parameters."""
    length: int | None
    """Bytes that the server announced; that many come, or `FetchError` is raised."""
    filename: str
    """Name without folders from Content-Disposition or the URL, or empty; to be shown, not to be opened."""

    def __init__(self, url: httpx.URL, response: httpcore.Response, settings: FetchSettings, limits: Limits) -> None:
        headers = {name.lower().decode("latin-1"): _text(value) for name, value in response.headers}
        self.url = str(url)
        self.status = response.status
        self.content_type = _media_type(headers)
        self.length = _length(headers)
        self.filename = _filename(headers, url)
        self._response = response
        self._settings = settings
        self._limits = limits
        self._check(headers)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Chunks as they come; raises `FetchError` where they are too many, too slow or too few."""
        clock = asyncio.get_running_loop().time
        chunks = self._response.aiter_stream()
        received, waited_s = 0, 0.0
        while True:
            began = clock()
            with translated(self.url):
                async with asyncio.timeout_at(self._limits.deadline):
                    chunk = await anext(chunks, None)
            if chunk is None:
                return
            received += len(chunk)
            waited_s += clock() - began
            self._check_size(received)
            self._check_rate(received, waited_s)
            yield chunk

    async def read(self) -> bytes:
        """All of it: only where the limit is small."""
        return b"".join([chunk async for chunk in self])

    def _check(self, headers: Mapping[str, str]) -> None:
        coding = headers.get("content-encoding", "identity")
        if coding.lower() != "identity":  # what it unpacks to could be endless
            raise FetchError(f"{shown(self.url)}: the body is packed by {coding!r}, which was not asked for", "broken")
        self._check_size(self.length or 0)

    def _check_size(self, size: int) -> None:
        if self._limits.max_bytes is not None and size > self._limits.max_bytes:
            raise FetchError(f"{shown(self.url)}: more than {self._limits.max_bytes} bytes", "large")

    def _check_rate(self, received: int, waited_s: float) -> None:
        least = self._settings.least_bytes_per_s
        if waited_s > self._settings.least_after_s and received < least * waited_s:
            raise FetchError(f"{shown(self.url)}: fewer than {least} bytes per second", "slow")


@contextmanager
def translated(url: str) -> Generator[None]:
    """Errors of the network, as `FetchError` that names the URL."""
    try:
        yield
    except RefusalError as error:
        raise refused(url, str(error)) from None
    except (httpcore.LocalProtocolError, UnicodeEncodeError) as error:
        raise refused(url, f"what is asked is not HTTP: {error}") from None
    except (TimeoutError, httpcore.TimeoutException):
        raise FetchError(f"{shown(url)}: the server takes too long", "slow") from None
    except httpcore.ConnectError as error:
        raise FetchError(f"{shown(url)}: cannot be reached: {error}", "unreachable") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise FetchError(f"{shown(url)}: the answer broke off or is not HTTP: {error}", "broken") from error


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _media_type(headers: Mapping[str, str]) -> str | None:
    claimed = headers.get("content-type", "").partition(";")[0].strip().lower()
    return claimed if _MEDIA_TYPE.fullmatch(claimed) else None


def _length(headers: Mapping[str, str]) -> int | None:
    if "transfer-encoding" in headers or "content-length" not in headers:
        return None
    return int(headers["content-length"])


def _filename(headers: Mapping[str, str], url: httpx.URL) -> str:
    return _plain(_disposed(headers.get("content-disposition", ""))) or _plain(name_of(url))


def _disposed(disposition: str) -> str:
    if len(disposition) > _DISPOSITION_CHARS:
        return ""
    if extended := _EXTENDED_NAME.search(disposition):
        return unquote(extended[2], extended[1], errors="replace")
    message = Message()
    message["Content-Disposition"] = disposition
    return message.get_filename() or ""


def _plain(name: str) -> str:
    """A name without folders, control characters, and dots or spaces at its ends."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(each for each in last if each.isprintable()).strip(". ")[-_NAME_CHARS:]
