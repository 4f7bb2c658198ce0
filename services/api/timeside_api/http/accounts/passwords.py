"""Passwords: Argon2id in threads of their own, and a bound on guesses."""

import asyncio
import secrets
import string
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from timeside_api.http.problems import busy

Answer = TypeVar("Answer")

_ALPHABET = string.ascii_letters + string.digits
_REMEMBERED = 10_000
"""Accounts and addresses whose failures are remembered."""


def fresh_password() -> str:
    """One to be typed once: 119 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(20))


_hasher = PasswordHasher()


def hash_now(password: str) -> str:
    """Its hash; takes a core for a third of a second."""
    return _hasher.hash(password)


class Passwords:
    """Hashes and checks; as many at a time as there are threads for, and a bounded number waits."""

    def __init__(self, *, threads: int, waiting: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._room = threads + waiting
        self._nobodys = hash_now(fresh_password())

    async def hash(self, password: str) -> str:
        """Its hash."""
        return await self._run(hash_now, password)

    async def verify(self, hash: str | None, password: str) -> bool:
        """Whether it is the password; without a hash it takes as long, so that nobody learns which accounts exist."""
        return await self._run(self._verify, hash or self._nobodys, password) and hash is not None

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    def _verify(self, hash: str, password: str) -> bool:
        try:
            return _hasher.verify(hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, function: Callable[..., Answer], *arguments: str) -> Answer:
        if self._room <= 0:
            raise busy("too many passwords are being checked", status=429)
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
        finally:
            self._room += 1


class Throttle:
    """Counts failures of an account from an address, over a while."""

    def __init__(self, *, failures: int, window_s: float) -> None:
        self._failures, self._window_s = failures, window_s
        self._seen: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def check(self, address: str, name: str) -> None:
        """Raise where there were too many."""
        recent = self._seen.get((address, name), deque[float]())
        while recent and recent[0] < time.monotonic() - self._window_s:
            recent.popleft()
        if len(recent) >= self._failures:
            retry_s = max(1, round(recent[0] + self._window_s - time.monotonic()))
            raise busy("too many wrong passwords: wait", status=429, retry_s=retry_s)

    def failed(self, address: str, name: str) -> None:
        """Note one."""
        self._seen.setdefault((address, name), deque(maxlen=self._failures)).append(time.monotonic())
        self._seen.move_to_end((address, name))
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    def succeeded(self, address: str, name: str) -> None:
        """Forget them."""
        self._seen.pop((address, name), None)
