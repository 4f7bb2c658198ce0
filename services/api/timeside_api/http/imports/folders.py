"""Files of the server that may be imported: regular ones, below folders that the settings name."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from timeside_core.errors import TimesideError
from timeside_core.suffixes import SUFFIXES

READ_BYTES = 1 << 20


class FileRefusedError(TimesideError):
    """A file or folder of the server that may not be imported, or cannot be read."""


def allowed(path: str, roots: Sequence[Path]) -> Path:
    """The path, links resolved; raises `FileRefusedError` where it is not below one of the roots."""
    asked = Path(path)
    if not asked.is_absolute():
        raise FileRefusedError(f"{path!r} must be an absolute path")
    try:
        found = asked.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        found = None
    if found is None or not any(found.is_relative_to(root.resolve()) for root in roots):
        raise FileRefusedError(f"{path!r} is not there, or not below a folder that imports may read")
    return found


def media_below(folder: Path, at_most: int) -> list[str]:
    """Media files below a folder by their suffix, sorted; links and hidden files are passed over.

    Raises `FileRefusedError` where there are more.
    """
    found: list[str] = []
    for directory, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(directory, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES or not stat.S_ISREG(path.lstat().st_mode):
                continue
            if len(found) == at_most:
                raise FileRefusedError(f"{folder} holds more than {at_most} media files: import its folders one by one")
            found.append(str(path))
    return found


def chunks(path: Path, max_bytes: int) -> Iterator[bytes]:
    """Bytes of a file; raises `FileRefusedError` where it is no regular one, or is too long."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise FileRefusedError(f"{path} is not a regular file")
            if found.st_size > max_bytes:
                raise FileRefusedError(f"{path} has {found.st_size} bytes; {max_bytes} are allowed")
            while chunk := file.read(READ_BYTES):
                yield chunk
    except OSError as error:
        raise FileRefusedError(f"{path} cannot be read: {error.strerror or error}") from error


def _refuse(error: OSError) -> None:
    raise FileRefusedError(f"{error.filename} cannot be read: {error.strerror}") from error
