"""Where encoded bytes go: into chunks to hand on, into a file that appears only when it is whole."""

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from timeside_core.errors import EncodingError, OutputExistsError


class Sink:
    """The file that a codec believes to write: bytes are taken from it as they come.

    What a codec rewrites once it was taken (lengths in a header) is kept in `rewrites`.
    """

    def __init__(self, *, rewritable: bool) -> None:
        self.rewrites: list[tuple[int, bytes]] = []
        """Offsets of bytes already taken, and what they became."""
        self._rewritable = rewritable
        self._pending = bytearray()
        self._taken = self._position = 0

    def take(self) -> bytes:
        """What was written since the last call."""
        taken = bytes(self._pending)
        self._taken += len(taken)
        self._pending.clear()
        return taken

    def writable(self) -> bool:
        """As of any output."""
        return True

    def seekable(self) -> bool:
        """Whether a codec may go back."""
        return self._rewritable

    def tell(self) -> int:
        """Where the next byte goes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go elsewhere, as `io.IOBase.seek`."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._taken + len(self._pending)}
        self._position = origin[whence] + offset
        return self._position

    def write(self, data: bytes) -> int:
        """Append, or rewrite where the position is not the end."""
        late = min(len(data), max(0, self._taken - self._position))
        if late:
            self.rewrites.append((self._position, bytes(data[:late])))
        start = self._position + late - self._taken
        self._pending[start : start + len(data) - late] = data[late:]
        self._position += len(data)
        return len(data)


class OutputFile:
    """A file written beside its final place and moved there by `commit`; `discard` leaves no trace of it."""

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self._path, self._overwrite = path, overwrite
        self._check()
        self._temporary = path.parent / f".{uuid4().hex}.part"
        with self._explained():
            self._file = self._temporary.open("xb")

    def write(self, chunk: bytes) -> None:
        """Append."""
        with self._explained():
            self._file.write(chunk)

    def commit(self, rewrites: list[tuple[int, bytes]]) -> None:
        """Put the last touches, then move the file to its place."""
        with self._explained():
            for offset, data in rewrites:
                self._file.seek(offset)
                self._file.write(data)
            self._file.close()
            self._check()  # somebody may have written there meanwhile
            self._temporary.replace(self._path)

    def discard(self) -> None:
        """Remove what was written, unless it was committed."""
        with suppress(OSError):  # a full disk also fails what was still buffered
            self._file.close()
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def _check(self) -> None:
        with self._explained():
            try:
                mode = self._path.stat().st_mode
            except FileNotFoundError:
                return
        if not stat.S_ISREG(mode):
            raise EncodingError(f"output {str(self._path)!r} is a {_kind(mode)}: an encoder writes files")
        if not self._overwrite:
            raise OutputExistsError(f"output {str(self._path)!r} exists: overwrite=True replaces it")

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except EncodingError:
            raise
        except (OSError, ValueError) as error:  # a path with a NUL is a ValueError
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise EncodingError(f"output {str(self._path)!r} cannot be written: {reason}") from error


def _kind(mode: int) -> str:
    return "folder" if stat.S_ISDIR(mode) else "device or pipe"
