"""The outermost layer: bounds of requests, headers of all answers, a trace id for each request."""

import asyncio
import math
import re
import secrets
from collections.abc import Iterator
from typing import Any, cast

from pydantic_core import from_json
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from timeside_api.http import rates
from timeside_api.http.problems import Problem, invalid
from timeside_api.http.settings import HttpSettings
from timeside_api.metrics import REQUESTS
from timeside_core.stage import traces

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
    "Cache-Control": "no-store",
}
"""Unless an answer says otherwise."""
_JSON = re.compile(r"application/([\w.+-]+\+)?json\b", re.IGNORECASE)


class Limits:
    """Refuses what is too long, too slow, too deep, or no JSON that we could keep, before anybody looks at it."""

    def __init__(self, app: ASGIApp, settings: HttpSettings, streamed: re.Pattern[str]) -> None:
        """`streamed` matches paths whose endpoints bound what they read themselves."""
        self._app, self._settings, self._streamed = app, settings, streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["timeside_trace_id"] = trace_id = traces.current_id() or secrets.token_hex(16)

        async def send_(message: Message) -> None:
            if message["type"] == "http.response.start":
                operation = getattr(scope.get("route"), "operation_id", None) or "none"
                REQUESTS.labels(operation, message["status"]).inc()
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = trace_id
                for name, value in {**_HEADERS, **rates.headers(scope)}.items():
                    headers.setdefault(name, value)
            await send(message)

        if self._streamed.fullmatch(scope["path"]):
            await self._app(scope, receive, send_)
            return
        try:
            body = await self._body(receive)
            if _JSON.match(Headers(scope=scope).get("content-type", "")):
                self._check(body)
        except Problem as problem:
            await problem.response(trace_id)(scope, receive, send_)
            return
        await self._app(scope, _replayed(body, receive), send_)

    async def _body(self, receive: Receive) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.body_s):
                while (message := await receive())["type"] == "http.request":
                    body += message.get("body", b"")
                    if len(body) > self._settings.max_body_bytes:
                        limit = self._settings.max_body_bytes
                        raise Problem(413, "too-large", f"the body is longer than {limit} bytes")
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise Problem(408, "too-slow", f"the body took longer than {self._settings.body_s:g} s") from None
        return bytes(body)

    def _check(self, body: bytes) -> None:
        if not body:
            return
        try:
            value = from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise invalid("/", f"is not JSON: {error}") from None
        for depth, each in _walk(value):
            if depth > self._settings.max_json_depth:
                raise invalid("/", f"is nested deeper than {self._settings.max_json_depth} levels")
            if isinstance(each, str) and "\0" in each:
                raise invalid("/", "holds the character NUL, which cannot be kept")
            if isinstance(each, float) and not math.isfinite(each):
                raise invalid("/", "holds a number that is too large")


def _walk(value: Any) -> Iterator[tuple[int, Any]]:
    """All values and names in it, each with its depth."""
    ahead: list[tuple[int, Any]] = [(1, value)]
    while ahead:
        depth, each = ahead.pop()
        yield depth, each
        if isinstance(each, dict):
            ahead += [(depth + 1, part) for pair in cast("dict[str, Any]", each).items() for part in pair]
        elif isinstance(each, list):
            ahead += [(depth + 1, part) for part in cast("list[Any]", each)]


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Hands the body out once, then what else comes: that the client has gone."""
    ahead: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_() -> Message:
        return ahead.pop() if ahead else await receive()

    return receive_
