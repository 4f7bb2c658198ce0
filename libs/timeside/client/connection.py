"""Requests to a server, and its answers or errors."""

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import httpx

from timeside.client.errors import ApiError, UnreachableError

TIMEOUT_S = 60.0
"""Of each read and write: answers to long questions begin sooner."""
PAGE = 200
"""Entries of a list in one answer, the most that there can be."""


class Connection:
    """To one server, by an access token or an API key; `url` may have a path, where the API is below one."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            self._http = httpx.AsyncClient(base_url=f"{self.url}/", headers=headers, timeout=TIMEOUT_S)
        except httpx.InvalidURL as error:
            raise UnreachableError(f"{url!r} is no address: {error}") from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(self, path: str, **query: Any) -> Any:
        """What is at a path."""
        return await self.ask("GET", path, query=query)

    async def post(self, path: str, body: Any = None) -> Any:
        """What comes of it."""
        return await self.ask("POST", path, body=body)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        content: AsyncIterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """The JSON of an answer, None where it is empty; raises `ClientError`."""
        given = {"json": body} if body is not None else {"content": content}
        async with self.answer(method, path, params=_said(query), headers=headers, **given) as answer:
            return (await _read(answer)).json() if answer.status_code != 204 else None

    @asynccontextmanager
    async def answer(self, method: str, path: str, **sent: Any) -> AsyncGenerator[httpx.Response]:
        """An answer that is no error, to be read; raises `ClientError`."""
        try:
            async with self._http.stream(method, path.lstrip("/"), **sent) as answer:
                if answer.status_code >= 400:
                    raise ApiError.of(answer.status_code, _json(await _read(answer)))
                yield answer
        except (httpx.TransportError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise UnreachableError(f"{self.url} cannot be reached: {reason}") from error

    async def every(self, path: str, **query: Any) -> AsyncGenerator[dict[str, Any]]:
        """All entries of a list, page by page."""
        cursor: str | None = None
        while True:
            page = await self.get(path, limit=PAGE, cursor=cursor, **query)
            for entry in page["items"]:
                yield entry
            cursor = page["next_cursor"]
            if cursor is None:
                return


def _said(query: dict[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (query or {}).items() if value is not None}


async def _read(answer: httpx.Response) -> httpx.Response:
    await answer.aread()
    return answer


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
