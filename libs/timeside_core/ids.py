"""Ids made here, in order of time: UUID version 7 (RFC 9562)."""

import secrets
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last = 0


def uuid7() -> UUID:
    """A fresh id; within a process each is greater than the last, also where the clock stands or steps back.

    48 bits of Unix time in milliseconds, 12 bits of its fraction (RFC 9562, 6.2, method 3), 62 random bits.
    """
    global _last
    now = (time.time_ns() << 12) // 1_000_000  # milliseconds with 12 bits of fraction
    with _lock:
        _last = now = max(now, _last + 1)
    milliseconds, fraction = now >> 12, now & 0xFFF
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62))


def unix_ms(id: UUID) -> int:
    """When a version 7 id was made, Unix time in milliseconds."""
    return id.int >> 80
