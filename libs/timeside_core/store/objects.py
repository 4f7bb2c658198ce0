"""Objects under a URL: a folder (`file://`) or a bucket (`s3://`), by the same few calls."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from timeside_core.errors import StoreError

_CHUNK_BYTES = 1 << 20


class Objects:
    """Named bytes under a URL. A name is a relative path; what it holds is written whole or not at all."""

    def __init__(self, url: str, **options: Any) -> None:
        """`options` go to obstore: `config` with keys and endpoint, `client_options`."""
        self.url = url.rstrip("/")
        self._options = options
        parts = urlsplit(self.url)
        self.folder = Path(unquote(parts.path)) if parts.scheme == "file" else None
        """Where the objects lie, if in a local folder."""
        try:
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self.backend: Any = LocalStore(self.folder)
            else:
                self.backend = from_url(self.url, **options)
        except (BaseError, OSError, ValueError) as error:
            raise StoreError(f"store {url!r} cannot be opened: {_reason(error)}") from error

    def below(self, name: str) -> Self:
        """The objects below a name, as a store of their own."""
        return type(self)(f"{self.url}/{name}", **self._options)

    def put(self, name: str, data: bytes | memoryview) -> None:
        """Write an object."""
        try:
            obstore.put(self.backend, name, bytes(data))
        except (BaseError, OSError) as error:
            raise StoreError(f"object {name!r} cannot be written to {self.url}: {_reason(error)}") from error

    def put_file(self, name: str, path: Path) -> None:
        """Write an object from a local file, which need not fit into memory."""
        try:
            obstore.put(self.backend, name, path)
        except (BaseError, OSError) as error:
            raise StoreError(f"object {name!r} cannot be written to {self.url}: {_reason(error)}") from error

    def get(self, name: str) -> bytes:
        """Read an object; raises `StoreError` where there is none."""
        try:
            return bytes(obstore.get(self.backend, name).bytes())
        except FileNotFoundError:
            raise StoreError(f"object {name!r} is not in {self.url}") from None
        except (BaseError, OSError) as error:
            raise StoreError(f"object {name!r} cannot be read from {self.url}: {_reason(error)}") from error

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """Read a part of an object."""
        try:
            return bytes(obstore.get_range(self.backend, name, start=start, length=length))
        except (BaseError, OSError) as error:
            raise StoreError(f"object {name!r} cannot be read from {self.url}: {_reason(error)}") from error

    def chunks(self, name: str) -> Iterator[bytes]:
        """Read an object piece by piece: it need not fit into memory."""
        try:
            for chunk in obstore.get(self.backend, name).stream(min_chunk_size=_CHUNK_BYTES):
                yield bytes(chunk)
        except FileNotFoundError:
            raise StoreError(f"object {name!r} is not in {self.url}") from None
        except (BaseError, OSError) as error:
            raise StoreError(f"object {name!r} cannot be read from {self.url}: {_reason(error)}") from error

    def size(self, name: str) -> int | None:
        """Size of an object in bytes; None where there is none."""
        try:
            return int(obstore.head(self.backend, name)["size"])
        except FileNotFoundError:
            return None

    def changed(self, name: str) -> float | None:
        """Time of the last change, seconds since 1970; None where there is no such object."""
        try:
            return obstore.head(self.backend, name)["last_modified"].timestamp()
        except FileNotFoundError:
            return None

    def list(self, prefix: str = "") -> Iterator[tuple[str, int, float]]:
        """Name, size in bytes, and time of the last change (seconds since 1970) of all objects below a name."""
        listed: Any = vars(obstore)["list"]  # its type is partly unknown
        for batch in listed(self.backend, prefix or None):
            for each in batch:
                yield each["path"], each["size"], each["last_modified"].timestamp()

    def folders(self, prefix: str) -> Sequence[str]:
        """Names of the folders directly below a name, sorted."""
        listed: Any = vars(obstore)["list_with_delimiter"]  # its type is partly unknown
        return sorted(listed(self.backend, prefix)["common_prefixes"])

    def delete(self, name: str) -> None:
        """Remove an object; nothing happens where there is none."""
        try:
            obstore.delete(self.backend, name)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise StoreError(f"object {name!r} cannot be removed from {self.url}: {_reason(error)}") from error

    def sync(self, prefix: str = "") -> None:
        """Make what was written last beyond a loss of power: a bucket does so by itself, a folder has to be told."""
        if self.folder is None:
            return
        for directory, _, files in os.walk(self.folder / prefix):
            for name in files:
                _sync(Path(directory, name))
            _sync(Path(directory))

    def sync_object(self, name: str) -> None:
        """The same for a single object, of which alone nothing was made lasting yet."""
        if self.folder is not None:
            _sync(self.folder / name)
            _sync((self.folder / name).parent)


def _reason(error: Exception) -> str:
    """What went wrong; obstore adds pages of detail after the first line."""
    return str(error).split("\n", 1)[0]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
