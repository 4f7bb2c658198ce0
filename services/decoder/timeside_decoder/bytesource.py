"""Where the bytes of a live source come from: a seam that pipes, the network and tests fill."""

import os
import select
from collections.abc import Callable
from typing import Protocol, TypeAlias

from timeside_core.errors import MediaError

TICK_S = 0.1
"""How long a read waits at most: so soon is a cancel seen."""


class ByteSource(Protocol):
    """Bytes that come in their own time."""

    def read(self, size: int, /) -> bytes | None:
        """At most `size` bytes; none at the end of what the source has; None where nothing came within `TICK_S`.

        Raises `OSError` where the source broke off, which may be tried again, and `MediaError` where that is useless.
        """

    def close(self) -> None:
        """Release the source; called once, by the thread that reads."""


OpenBytes: TypeAlias = Callable[[str], ByteSource]
"""Opens an address; raises as `ByteSource.read` does, which may as well say so later."""


class Pipe:
    """A pipe, a FIFO, a device or a file; `-` is standard input, which stays open."""

    def __init__(self, path: str) -> None:
        self._is_ours = path != "-"
        try:
            # A FIFO that nobody writes to yet would otherwise hold up the open itself.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC) if self._is_ours else 0
        except (OSError, ValueError) as error:
            raise MediaError(f"{path!r}: cannot be opened: {getattr(error, 'strerror', None) or error}") from None
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)

    def read(self, size: int, /) -> bytes | None:
        """What is there; nothing once all who wrote have closed."""
        if not self._poll.poll(TICK_S * 1000):
            return None
        try:
            return os.read(self._descriptor, size)
        except BlockingIOError:  # another reader was faster
            return None

    def close(self) -> None:
        """Close what was opened here."""
        if self._is_ours:
            os.close(self._descriptor)
