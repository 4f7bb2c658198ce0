"""Files of this machine: where they are, whether they can be read, and the hash of their bytes."""

import hashlib
import os
import re
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from timeside_core.errors import MediaError

HEAD_BYTES = 4096
_READ_BYTES = 1 << 20
_MAX_ID3_TAGS = 8
"""ID3v2 tags skipped before the audio; files with more than one are rare, with more than two broken."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A regular file, as it was when it was looked at."""

    uri: str
    """As the user named it."""
    path: str
    """Absolute, so that no reader takes it for a protocol or an option."""
    size: int
    """Bytes."""
    offset: int
    """Where the bytes after leading ID3v2 tags begin."""
    head: bytes
    """The first bytes from `offset` on."""
    identity: tuple[int, int, int, int]
    """Device, inode, size and time of change."""

    def check_unchanged(self) -> None:
        """Raise `MediaError` where the file is not what it was: hash and samples would belong to different bytes."""
        try:
            same = _identity(os.stat(self.path)) == self.identity
        except OSError:
            same = False
        if not same:
            raise MediaError(f"{self.uri}: the file changed while it was decoded")


def local_file(uri: str | Path) -> LocalFile:
    """Find and look at a file; raises `MediaError` where it is not one that can be read."""
    name = str(uri)
    try:
        path = _path(name)
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise MediaError(f"{name}: is a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f"{name}: is a device or pipe, not a regular file")
        if not status.st_size:
            raise MediaError(f"{name}: the file is empty")
        with open(path, "rb") as file:
            offset = _after_id3(file)
            file.seek(offset)
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise MediaError(f"{name}: {error.strerror or error}") from None
    except ValueError as error:  # a zero byte in the name
        raise MediaError(f"{name!r}: is not the name of a file: {error}") from None
    return LocalFile(name, path, status.st_size, offset, head, _identity(status))


def _path(name: str) -> str:
    if name.startswith("file:"):
        parts = urlsplit(name)
        if parts.netloc not in ("", "localhost"):
            raise MediaError(f"{name}: names a file of the host {parts.netloc!r}; only files of this machine are read")
        return os.path.abspath(url2pathname(parts.path))
    if scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", name):
        raise MediaError(f"{name}: {scheme[1]} addresses are not opened; only local files and file:// are")
    if not name:
        raise MediaError("'': is not the name of a file")
    return os.path.abspath(name)


def _after_id3(file: BinaryIO) -> int:
    offset = 0
    for _ in range(_MAX_ID3_TAGS):
        file.seek(offset)
        header = file.read(10)
        if len(header) < 10 or header[:3] != b"ID3":
            break
        size = (header[6] & 127) << 21 | (header[7] & 127) << 14 | (header[8] & 127) << 7 | header[9] & 127
        footer = 10 if header[5] & 0x10 else 0
        offset += 10 + size + footer
    return offset


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class FileHash:
    """SHA-256 of a file, computed in a thread; hashing lets other threads run."""

    def __init__(self, file: LocalFile) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._error: OSError | None = None
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sha256", daemon=True)
        self.time_s = 0.0
        """Processor time spent so far, s."""

    def start(self) -> None:
        """Begin, once."""
        self._thread.start()

    def result(self) -> str:
        """Wait for the end; return the digest, hexadecimal. Raises `MediaError` where the file cannot be read."""
        self._thread.join()
        if self._error is not None:
            raise MediaError(f"{self._file.uri}: {self._error.strerror or self._error}")
        return self._sha256.hexdigest()

    def cancel(self) -> None:
        """Stop before the end, where it runs."""
        self._cancelled.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        buffer = bytearray(_READ_BYTES)
        view = memoryview(buffer)
        try:
            with open(self._file.path, "rb", buffering=0) as source:
                while not self._cancelled.is_set() and (count := source.readinto(buffer)):
                    self._sha256.update(view[:count])
                    self.time_s = time.thread_time()
        except OSError as error:
            self._error = error


def sha256_of(file: LocalFile) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    whole = FileHash(file)
    whole.start()
    return whole.result()
