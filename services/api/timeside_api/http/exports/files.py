"""A result in a file of any format; written whole before it is sent, in a thread, as some libraries need."""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from timeside_api.http.media.sending import PIECE_BYTES
from timeside_api.http.problems import Problem, invalid
from timeside_core import formats
from timeside_core.errors import FormatError
from timeside_core.formats.registry import check_holds
from timeside_core.store import StoredResult

MEDIA_TYPES = {
    "hdf5": "application/x-hdf5",
    "json": "application/json",
    "yaml": "application/yaml",
    "xml": "application/xml",
    "numpy": "application/octet-stream",
    "zarr": "application/zip",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "jams": "application/json",
}
"""Of those that have one; others are text."""
_TEXT = "text/plain; charset=utf-8"


def written(stored: StoredResult, format: str, folder: Path, max_bytes: int) -> BinaryIO:
    """The file, which has no name any more; raises a problem where the format cannot hold the result."""
    size = size_of(stored)
    if size > max_bytes:
        detail = f"the result has {size} bytes of numbers, and {max_bytes} can be exported: see …/data and …/store"
        raise Problem(422, "too-large", detail)
    chosen = formats.FORMATS[format]
    results = stored.results()
    try:
        check_holds(chosen, results)
    except FormatError as error:
        raise invalid("format", str(error)) from None
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="export-", dir=folder) as own:
        path = Path(own) / f"export{chosen.suffixes[-1]}"
        try:
            formats.export(results, path, format)
        except FormatError as error:
            raise invalid("format", str(error).removeprefix(f"{path}: ")) from None
        return path.open("rb")


def size_of(stored: StoredResult) -> int:
    """Bytes of the numbers of a result, in memory."""
    return sum(_size(stored, name) for name in stored.outputs)


def _size(stored: StoredResult, name: str) -> int:
    facts = stored.outputs[name]
    row = np.dtype(facts.get("dtype") or "float64").itemsize * int(np.prod(facts.get("row_shape", ()), dtype=int))
    times = {"event": 8, "segment": 16}.get(facts["time_mode"], 0)
    return stored.rows(name) * (row + times)


class TemporaryFile(StreamingResponse):
    """A file that is gone once it was sent."""

    def __init__(self, file: BinaryIO, name: str, media_type: str, readers: Executor) -> None:
        self._file = file
        size = os.fstat(file.fileno()).st_size
        headers = {"Content-Length": str(size), "Content-Disposition": f'attachment; filename="{name}"'}
        super().__init__(_pieces(file, size, readers), headers=headers, media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await super().__call__(scope, receive, send)


def media_type(format: str) -> str:
    """Of files of a format."""
    return MEDIA_TYPES.get(format, _TEXT)


async def _pieces(file: BinaryIO, size: int, readers: Executor) -> AsyncGenerator[bytes]:
    loop = asyncio.get_running_loop()
    for start in range(0, size, PIECE_BYTES):
        yield await loop.run_in_executor(readers, os.pread, file.fileno(), PIECE_BYTES, start)
