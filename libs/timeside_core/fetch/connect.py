"""Connections to vetted addresses: a name is looked up once, and what was checked is what is connected to."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address
from typing import TypeAlias, cast

import httpcore

from timeside_core.fetch.addresses import Address, address_refusal
from timeside_core.fetch.settings import FetchSettings
from timeside_core.fetch.urls import host_refusal, literal, port_refusal

Resolve: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a name; raises `OSError` where it has none."""


class RefusalError(Exception):
    """A connection that must not be made; becomes a `FetchError` that names the URL."""


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """The only way out: all connections of all fetches, redirects included, are made here."""

    def __init__(self, settings: FetchSettings, resolve: Resolve) -> None:
        self._settings = settings
        self._resolve = resolve
        self._sockets = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of the host that may be reached and answers."""
        reason = port_refusal(port, self._settings) or host_refusal(host, self._settings)
        if reason is not None:
            raise RefusalError(reason)
        failure: Exception = httpcore.ConnectError(f"{host!r} has no address")
        for address in await self._addresses(host):
            try:
                return await self._sockets.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _addresses(self, host: str) -> list[Address]:
        """Addresses of a host that may be connected to; raises `RefusalError` where it has others only."""
        if (address := literal(host)) is not None:
            return [address]
        try:
            found = [ip_address(each) for each in dict.fromkeys(await self._resolve(host))]
        except OSError as error:
            raise httpcore.ConnectError(f"{host!r} is unknown: {error}") from None
        if host in self._settings.allowed_hosts:
            return found
        refusals = {address: address_refusal(address, self._settings) for address in found}
        allowed = [address for address, reason in refusals.items() if reason is None]
        if found and not allowed:
            reasons = ", ".join(sorted({str(reason) for reason in refusals.values()}))
            raise RefusalError(f"host {host!r} has an address that is {reasons}")
        return allowed


class Resolver:
    """Looks names up with the system's resolver, in threads of its own: a slow server holds up no other work."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(settings.max_connections, "resolve")

    async def __call__(self, host: str) -> list[str]:
        """Addresses of a name, those to be tried first in front."""
        # The dot at the end keeps the search domains of the system out: names are absolute.
        name = host if host in self._settings.allowed_hosts else f"{host}."
        look_up = partial(socket.getaddrinfo, name, None, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return [str(sockaddr[0]) for *_, sockaddr in found]

    def close(self) -> None:
        """Look up no more names."""
        self._threads.shutdown(wait=False, cancel_futures=True)
