"""The one way to fetch a URL: vetted, bounded in bytes and time, and free of what came with other requests."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Self, cast

import httpcore
import httpx

from timeside_core.errors import FetchError
from timeside_core.fetch.body import Body, Limits, translated
from timeside_core.fetch.connect import GuardedBackend, Resolve, Resolver
from timeside_core.fetch.settings import FetchSettings
from timeside_core.fetch.urls import refused, shown, vetted_url

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WRITE_BYTES = 1 << 20
"""Bytes written at once: the change to a thread and back costs as much as writing 64 KiB."""


@dataclass(frozen=True, slots=True)
class Download:
    """A body that has been written to a file."""

    path: Path
    url: str
    """Where it came from in the end, redirects followed."""
    sha256: str
    """Hexadecimal."""
    size: int
    """Bytes."""
    content_type: str | None
    """Media type as the server claims it."""
    filename: str
    """Name as the server has it, or empty; to be shown, not to be opened."""


class Fetcher:
    """Fetches URLs that a stranger may have written; raises `FetchError` where one is refused or fails.

    It keeps nothing between requests, neither cookies nor connections, and asks no proxy. It lives on one event loop.
    """

    def __init__(self, settings: FetchSettings, *, resolve: Resolve | None = None) -> None:
        """`resolve` replaces the system's resolver; what it answers is vetted all the same."""
        self.settings = settings
        self._resolver = Resolver(settings)
        trusted = httpcore.default_ssl_context()
        if settings.ca_file is not None:
            trusted.load_verify_locations(settings.ca_file)
        self._slots = asyncio.Semaphore(settings.max_connections)
        # The pool itself rather than a client over it: that one would keep cookies and unpack bodies.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trusted,
            max_connections=settings.max_connections,
            max_keepalive_connections=0,
            network_backend=GuardedBackend(settings, resolve or self._resolver),
        )

    async def __aenter__(self) -> Self:
        """Nothing is opened yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()
        self._resolver.close()

    def check(self, url: str) -> None:
        """Raise `FetchError` where a URL is refused already for what it says, before its name is looked up."""
        vetted_url(url, self.settings)

    @asynccontextmanager
    async def open(
        self,
        url: str,
        *,
        method: Literal["GET", "POST"] = "GET",
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        max_bytes: int | None = None,
    ) -> AsyncGenerator[Body]:
        """The answer to a request, once its headers are there; `max_bytes` may lower the limit of the settings.

        Redirects of GET are followed. Headers that are given go to the URL's own origin only.
        """
        target = vetted_url(url, self.settings)
        async with self._slot(url):
            limits = self._limits(max_bytes)
            for _ in range(self.settings.max_redirects + 1):
                response = await self._send(method, target, headers or {}, content, limits)
                try:
                    location = _location(response) if method == "GET" else None
                    if location is None:
                        _check_status(target, response)
                        yield Body(target, response, self.settings, limits)
                        return
                finally:
                    await response.aclose()
                origin = _origin(target)
                target = self._redirected(target, location)
                if _origin(target) != origin:
                    headers = None
            raise FetchError(f"{shown(url)}: more than {self.settings.max_redirects} redirects", "redirects")

    async def read(
        self,
        url: str,
        *,
        method: Literal["GET", "POST"] = "GET",
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        max_bytes: int = 1 << 20,
    ) -> bytes:
        """A small body as a whole, at most `max_bytes`: metadata, say."""
        async with self.open(url, method=method, headers=headers, content=content, max_bytes=max_bytes) as body:
            return await body.read()

    async def fetch_to(
        self,
        url: str,
        path: Path,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
    ) -> Download:
        """Fetch into a file, which appears (or is replaced) once it is whole; what was half written is removed."""
        digest = hashlib.sha256()
        size = 0
        async with self.open(url, headers=headers, max_bytes=max_bytes) as body:
            with _appearing(path) as file:

                def keep(piece: bytes) -> None:
                    file.write(piece)
                    digest.update(piece)

                async for piece in _pieces(body):
                    await _in_thread(keep, piece)
                    size += len(piece)
        return Download(path, body.url, digest.hexdigest(), size, body.content_type, body.filename)

    @asynccontextmanager
    async def _slot(self, url: str) -> AsyncGenerator[None]:
        try:
            async with asyncio.timeout(self.settings.wait_s):
                await self._slots.acquire()
        except TimeoutError:
            raise FetchError(
                f"{shown(url)}: all {self.settings.max_connections} connections are in use", "busy"
            ) from None
        try:
            yield
        finally:
            self._slots.release()

    def _limits(self, max_bytes: int | None) -> Limits:
        bounds = [each for each in (max_bytes, self.settings.max_bytes) if each is not None]
        total_s = self.settings.total_s
        deadline = None if total_s is None else asyncio.get_running_loop().time() + total_s
        return Limits(min(bounds, default=None), deadline)

    async def _send(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes, limits: Limits
    ) -> httpcore.Response:
        with translated(str(url)):
            request = _request(method, url, headers, content, self.settings)
            async with asyncio.timeout_at(limits.deadline), asyncio.timeout(self.settings.head_s):
                response = await self._pool.handle_async_request(request)
        size = sum(len(name) + len(value) for name, value in response.headers)
        if size > self.settings.max_header_bytes:
            await response.aclose()
            raise FetchError(f"{shown(str(url))}: more than {self.settings.max_header_bytes} bytes of headers", "large")
        return response

    def _redirected(self, url: httpx.URL, location: str) -> httpx.URL:
        try:
            target = str(url.join(location))
        except (httpx.InvalidURL, ValueError):
            raise refused(str(url), f"redirects to {shown(location)}, which is not a URL") from None
        try:
            return vetted_url(target, self.settings)
        except FetchError as error:
            raise FetchError(f"{shown(str(url))} redirects to {error}", error.kind) from None


def _request(
    method: str, url: httpx.URL, given: Mapping[str, str], content: bytes, settings: FetchSettings
) -> httpcore.Request:
    headers = httpx.Headers({"User-Agent": settings.user_agent, "Accept": "*/*"}, encoding="utf-8")
    for name, value in given.items():
        headers[name] = value
    headers["Host"] = url.netloc.decode("ascii")
    headers["Accept-Encoding"] = "identity"
    headers["Connection"] = "close"
    if method == "POST":
        headers["Content-Length"] = str(len(content))
    timeout = {"connect": settings.connect_s, "read": settings.read_s, "write": settings.read_s}
    return httpcore.Request(
        method, _target(url), headers=headers.raw, content=content or None, extensions={"timeout": timeout}
    )


def _check_status(url: httpx.URL, response: httpcore.Response) -> None:
    if not 200 <= response.status < 300:
        reason = f"the server answered {response.status}, not 2xx"
        raise FetchError(f"{shown(str(url))}: {reason}", "status", response.status)


def _target(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port


def _location(response: httpcore.Response) -> str | None:
    if response.status not in _REDIRECTS:
        return None
    found = [value for name, value in response.headers if name.lower() == b"location"]
    return found[0].decode("utf-8", "replace") if found else None


@contextmanager
def _appearing(path: Path) -> Generator[BinaryIO]:
    """A file that is there, under its name, once all is written; and not at all where that fails."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as file:
        try:
            yield cast("BinaryIO", file)
            file.flush()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


async def _pieces(body: Body) -> AsyncIterator[bytes]:
    held = bytearray()
    async for chunk in body:
        held += chunk
        if len(held) >= _WRITE_BYTES:
            yield bytes(held)
            held.clear()
    yield bytes(held)


async def _in_thread(call: Callable[[bytes], None], piece: bytes) -> None:
    """Wait for a call in a thread even when cancelled, so that a file is not closed below it."""
    running = asyncio.ensure_future(asyncio.to_thread(call, piece))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise
