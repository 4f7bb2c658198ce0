"""How often somebody may ask: token buckets in the memory of the process, for callers and for addresses."""

import math
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from starlette.requests import HTTPConnection

from timeside_api.http.problems import Problem

_REMEMBERED = 10_000
"""Buckets that are kept: one that is forgotten is full again."""
_SCOPE = "timeside_rate"


class Left(NamedTuple):
    """What is left in a bucket."""

    tokens: int
    next_s: int
    """Until there is one."""
    full_s: int
    """Until it is full again."""


class Buckets:
    """Buckets that hold `burst` tokens and get `per_s` of them; a request takes one."""

    def __init__(self, *, per_s: float, burst: int) -> None:
        self._per_s, self.burst = per_s, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @property
    def rule(self) -> str:
        """In words."""
        return f"{self._per_s:g} requests a second are served, and {self.burst} at once"

    @property
    def window_s(self) -> int:
        """In which an empty bucket is filled."""
        return math.ceil(self.burst / self._per_s)

    def look(self, key: str) -> Left:
        """What somebody has left."""
        tokens = self._tokens(key)
        next_s, full_s = (max(0.0, wanted - tokens) / self._per_s for wanted in (1, self.burst))
        return Left(int(tokens), max(1, math.ceil(next_s)), math.ceil(full_s))

    def take(self, key: str) -> bool:
        """Take a token; whether there was one."""
        tokens = self._tokens(key)
        if tokens < 1:
            return False
        self._buckets[key] = tokens - 1, time.monotonic()
        self._buckets.move_to_end(key)
        while len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return True

    def _tokens(self, key: str) -> float:
        now = time.monotonic()
        tokens, at = self._buckets.get(key, (float(self.burst), now))
        return min(float(self.burst), tokens + (now - at) * self._per_s)


class Rates:
    """Callers by account, and strangers, who have no credential that counts, by address."""

    def __init__(self, *, callers: Buckets, strangers: Buckets) -> None:
        self._callers, self._strangers = callers, strangers

    def count(self, connection: HTTPConnection, caller_id: UUID) -> None:
        """Count a request; raise a problem where it is one too many."""
        _count(connection, self._callers, str(caller_id))

    def count_stranger(self, connection: HTTPConnection, address: str) -> None:
        """Count a request; raise a problem where it is one too many."""
        _count(connection, self._strangers, address)


def _count(connection: HTTPConnection, buckets: Buckets, key: str) -> None:
    is_counted = buckets.take(key)
    left = buckets.look(key)
    connection.scope[_SCOPE] = {
        "RateLimit-Policy": f'"default";q={buckets.burst};w={buckets.window_s}',
        "RateLimit": f'"default";r={left.tokens};t={left.full_s}',
    }
    if not is_counted:
        raise Problem(429, "rate", buckets.rule, headers={"Retry-After": str(left.next_s)})


def headers(scope: Mapping[str, Any]) -> dict[str, str]:
    """For the answer, by the draft of the IETF's working group on HTTP APIs."""
    return scope.get(_SCOPE, {})


def address(connection: HTTPConnection, proxies: int) -> str:
    """Where a request comes from: as the outermost of so many proxies of ours has seen it."""
    client = connection.client.host if connection.client else ""
    if not proxies:
        return client
    forwarded = [each.strip() for each in connection.headers.get("x-forwarded-for", "").split(",") if each.strip()]
    return forwarded[-min(proxies, len(forwarded))] if forwarded else client
