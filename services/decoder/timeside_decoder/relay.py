"""Bytes of a live source on their way into a sandboxed child, which has no network of its own.

Each connection has a FIFO. The child opens one where it wants to listen, and closes it to hang up; the I/O process
connects to the source when that has been done, and not before, so that all patience and all pauses are the child's.

What passes is parts: a length, u32 little-endian, then so many bytes of the source. A part of no length says that the
source has ended; the greatest length, that it broke off, and the reason follows.
"""

import logging
import os
import select
import shutil
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from timeside_core.errors import MediaError
from timeside_decoder.bytesource import TICK_S, ByteSource, Pipe

_log = logging.getLogger(__name__)

PART_BYTES = 1 << 15
"""Most of a part: half of what a FIFO holds, and 2 s at 128 kbit/s."""
_LENGTH = struct.Struct("<I")
_BROKE = 0xFFFF_FFFF


class Relay:
    """The I/O process's end: serves one connection after the other, in a thread."""

    def __init__(self, folder: Path, open_bytes: Callable[[], ByteSource]) -> None:
        """Serve in a folder of its own, which is made."""
        self._folder, self._open_bytes = folder, open_bytes
        folder.mkdir(parents=True)
        os.mkfifo(_fifo(folder, 0))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up, and remove the folder."""
        self._stop.set()
        self._thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self) -> None:
        number = 0
        while (descriptor := self._joined(number)) is not None:
            number += 1
            os.mkfifo(_fifo(self._folder, number))
            try:
                self._serve(descriptor)
            except BrokenPipeError:  # the child has hung up
                pass
            finally:
                os.close(descriptor)
            _fifo(self._folder, number - 1).unlink()

    def _joined(self, number: int) -> int | None:
        """The FIFO of a connection, once the child reads it."""
        while not self._stop.is_set():
            try:
                return os.open(_fifo(self._folder, number), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:  # nobody reads it yet
                self._stop.wait(TICK_S)
        return None

    def _serve(self, descriptor: int) -> None:
        source: ByteSource | None = None
        try:
            source = self._open_bytes()
            while (got := self._read(source, descriptor)) is not None:
                self._write(descriptor, _LENGTH.pack(len(got)) + got)
                if not got:
                    return
        except BrokenPipeError:
            raise
        except (OSError, MediaError) as error:
            self._write(descriptor, _LENGTH.pack(_BROKE) + str(error).encode()[:4096])
        finally:
            if source is not None:
                source.close()

    def _read(self, source: ByteSource, descriptor: int) -> bytes | None:
        """What came; None once nobody listens any more."""
        hung_up = select.poll()
        hung_up.register(descriptor, 0)  # for errors only
        while not self._stop.is_set() and not hung_up.poll(0):
            if (got := source.read(PART_BYTES)) is not None:
                return got
        return None

    def _write(self, descriptor: int, part: bytes) -> None:
        """Write all of it, as the child makes room."""
        has_room = select.poll()
        has_room.register(descriptor, select.POLLOUT)
        view = memoryview(part)
        while view and not self._stop.is_set():
            if has_room.poll(TICK_S * 1000):
                try:
                    view = view[os.write(descriptor, view[: select.PIPE_BUF]) :]
                except BlockingIOError:
                    continue


class Relayed:
    """The child's end of one connection, as a `ByteSource`."""

    def __init__(self, fifo: Path) -> None:
        self._pipe = Pipe(str(fifo))
        self._came = bytearray()
        self._left = 0
        """Bytes of the part at hand that are still to be given out."""
        self._is_over = False

    def read(self, size: int, /) -> bytes | None:
        """What came."""
        while not self._is_over:
            if self._left and self._came:
                taken = bytes(self._came[: min(size, self._left)])
                del self._came[: len(taken)]
                self._left -= len(taken)
                return taken
            if not self._left and len(self._came) >= _LENGTH.size:
                self._begin_part()
            elif (got := self._pipe.read(PART_BYTES)) is None:
                return None
            elif got:
                self._came += got
            else:
                raise ConnectionError("its relay has ended")
        return b""

    def close(self) -> None:
        """Hang up."""
        self._pipe.close()

    def _begin_part(self) -> None:
        (self._left,) = _LENGTH.unpack_from(self._came)
        del self._came[: _LENGTH.size]
        if self._left == _BROKE:
            raise ConnectionError(self._reason())
        self._is_over = not self._left

    def _reason(self) -> str:
        while got := self._pipe.read(PART_BYTES):
            self._came += got
        return self._came.decode(errors="replace")


class Connections:
    """The child's way to open one connection after the other: an `OpenBytes`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened = 0

    def __call__(self, _: str) -> ByteSource:
        """The next one."""
        try:
            relayed = Relayed(_fifo(self._folder, self._opened))
        except MediaError:
            raise ConnectionError("its relay is not there yet") from None
        self._opened += 1
        return relayed


def _fifo(folder: Path, number: int) -> Path:
    return folder / str(number)
