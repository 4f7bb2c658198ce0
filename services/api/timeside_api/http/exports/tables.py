"""Many results as one table, a row for each number: made and sent a piece at a time, however many there are."""

import asyncio
import csv
import io
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from itertools import chain, repeat
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias
from uuid import UUID

import numpy as np
from fastapi.responses import StreamingResponse
from sqlalchemy import Select

from timeside_api.database import Database
from timeside_api.http.results.library import Library
from timeside_api.models import Result, ResultState
from timeside_core.formats.digits import as_list
from timeside_core.formats.tidy import Tidy, tidy
from timeside_core.results import Results
from timeside_core.store import StoredResult

Format: TypeAlias = Literal["parquet", "csv"]
MEDIA_TYPES: dict[Format, str] = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv; charset=utf-8",
}
COLUMNS = ("media_sha256", "result_id", "output", "time_s", "duration_s", "bin", "value", "label", "unit")
PIECE_NUMBERS = 1 << 18
"""Numbers in a piece, which is a row group of Parquet: some 20 MiB while it is made."""
PAGE = 100
"""Results that are looked up at once."""


class Source(NamedTuple):
    """What a row says of where its number comes from."""

    media_sha256: str
    result_id: UUID


class _Writer(Protocol):
    def begin(self) -> bytes: ...
    def piece(self, source: Source, each: Tidy) -> bytes: ...
    def end(self) -> bytes: ...


def table(
    wanted: Select[Result], format: Format, name: str, database: Database, library: Library, writers: Executor
) -> StreamingResponse:
    """All numbers of the results of a statement that are done and have rows, in order of their ids.

    Should one not be readable in the middle, the answer ends without its last chunk.
    """
    headers = {"Content-Disposition": f'attachment; filename="{name}.{format}"'}
    body = _body(wanted, format, database, library, writers)
    return StreamingResponse(body, headers=headers, media_type=MEDIA_TYPES[format])


async def _body(
    wanted: Select[Result], format: Format, database: Database, library: Library, writers: Executor
) -> AsyncGenerator[bytes]:
    loop = asyncio.get_running_loop()
    writer: _Writer = await loop.run_in_executor(writers, _Csv if format == "csv" else _Parquet)
    yield await loop.run_in_executor(writers, writer.begin)
    async for result in _results(wanted, database):
        source = Source(result.media_sha256, result.id)
        pieces = await library.read(result, _tidied)
        while (piece := await loop.run_in_executor(writers, _next, writer, source, pieces)) is not None:
            if piece:
                yield piece
    yield await loop.run_in_executor(writers, writer.end)


async def _results(wanted: Select[Result], database: Database) -> AsyncGenerator[Result]:
    """Page by page, in transactions of their own: a client may take hours."""
    done = wanted.where(Result.state == ResultState.DONE, Result.mime_type == "").order_by(Result.id).limit(PAGE)
    last: UUID | None = None
    while True:
        async with database.transaction() as session:
            page = (await session.scalars(done if last is None else done.where(Result.id > last))).all()
        for result in page:
            yield result
        if len(page) < PAGE:
            return
        last = page[-1].id


def _tidied(stored: StoredResult) -> Iterator[Tidy]:
    """What a result holds, in pieces that are read when they are taken."""
    widest = max((int(np.prod(each.get("row_shape", ()), dtype=int)) for each in stored.outputs.values()), default=1)
    pieces = stored.pieces(max(1, PIECE_NUMBERS // max(1, widest)))
    return chain.from_iterable(tidy(Results([piece])) for piece in pieces)


def _next(writer: _Writer, source: Source, pieces: Iterator[Tidy]) -> bytes | None:
    piece = next(pieces, None)
    return None if piece is None else writer.piece(source, piece)


class _Csv:
    """Lines; numbers have the fewest digits that are exact."""

    def __init__(self) -> None:
        self._text = io.StringIO()
        self._writer = csv.writer(self._text)

    def begin(self) -> bytes:
        self._writer.writerow(COLUMNS)
        return self._taken()

    def piece(self, source: Source, each: Tidy) -> bytes:
        labels = map(each.labels.__getitem__, each.values.tolist()) if each.labels else repeat("")
        lines = zip(
            repeat(source.media_sha256),
            repeat(str(source.result_id)),
            repeat(each.result),
            as_list(each.times),
            as_list(each.durations),
            map(each.bin_names.__getitem__, each.bins.tolist()),
            as_list(each.values),
            labels,
            repeat(each.unit),
            strict=False,  # those that are repeated have no end
        )
        self._writer.writerows(lines)
        return self._taken()

    def end(self) -> bytes:
        return b""

    def _taken(self) -> bytes:
        taken = self._text.getvalue().encode()
        self._text.seek(0)
        self._text.truncate()
        return taken


class _Parquet:
    """A row group for each piece."""

    def __init__(self) -> None:
        import pyarrow
        from pyarrow import parquet

        self._arrow: Any = pyarrow  # its types are incomplete
        words = self._arrow.dictionary(self._arrow.int32(), self._arrow.string())
        numbers = ("time_s", "duration_s", "value")
        types = [(name, self._arrow.float64() if name in numbers else words) for name in COLUMNS]
        self._schema = self._arrow.schema(types)
        self._sink = _Sink()
        made: Callable[..., Any] = parquet.ParquetWriter
        self._writer: Any = made(self._arrow.PythonFile(self._sink, mode="w"), self._schema, compression="zstd")

    def begin(self) -> bytes:
        return self._sink.taken()

    def piece(self, source: Source, each: Tidy) -> bytes:
        arrow, count = self._arrow, len(each.values)
        columns = [
            self._same(source.media_sha256, count),
            self._same(str(source.result_id), count),
            self._same(each.result, count),
            arrow.array(each.times),
            arrow.array(each.durations),
            self._words(each.bins, each.bin_names),
            arrow.array(each.values.astype(float)),
            self._words(each.values, each.labels) if each.labels else arrow.nulls(count, self._schema.types[7]),
            self._same(each.unit, count),
        ]
        self._writer.write_table(arrow.table(columns, schema=self._schema))
        return self._sink.taken()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.taken()

    def _same(self, word: str, count: int) -> Any:
        return self._words(np.zeros(count, np.int32), [word])

    def _words(self, indices: Any, words: Any) -> Any:
        arrow = self._arrow
        return arrow.DictionaryArray.from_arrays(arrow.array(indices.astype(np.int32)), arrow.array(words, "string"))


class _Sink(io.RawIOBase):
    """A file that is handed on as it is written."""

    def __init__(self) -> None:
        self._written = bytearray()
        self._place = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._written += view
        self._place += len(view)
        return len(view)

    def taken(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken
