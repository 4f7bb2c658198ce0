"""Media used where they lie: in place of bytes, a note of path, size and time of the last change."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from timeside_core.errors import ChangedMediaError, StoreError


@dataclass(frozen=True, slots=True)
class Reference:
    """A file that counts as a media as long as it stays as it was when it was hashed."""

    path: str
    size: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """The file as it is now; raises `OSError`."""
        found = path.stat()
        return cls(str(path), found.st_size, found.st_mtime_ns)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """From an object of the store; raises `StoreError`."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError) as error:
            raise StoreError("a reference to a media cannot be read") from error

    def encode(self) -> bytes:
        """For an object of the store."""
        return json.dumps(asdict(self)).encode()

    def file(self) -> Path:
        """The file; raises `ChangedMediaError` where it is not what it was."""
        try:
            found = Reference.of(Path(self.path))
        except OSError as error:
            reason = error.strerror or str(error)
            raise ChangedMediaError(f"{self.path}, a media used in place, cannot be read: {reason}") from error
        if found != self:
            raise ChangedMediaError(f"{self.path}, a media used in place, has changed since it was hashed")
        return Path(self.path)


def reference_name(sha256: str) -> str:
    """Name of the object that says where a media lies."""
    return f"references/{sha256[:2]}/{sha256}"
