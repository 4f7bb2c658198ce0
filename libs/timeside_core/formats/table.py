"""The results of a folder as one table: a row for each media."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from timeside_core.audio import Array
from timeside_core.errors import FormatError
from timeside_core.formats.document import names
from timeside_core.formats.files import replaced
from timeside_core.formats.spans import media_of
from timeside_core.formats.tidy import bin_names
from timeside_core.results import Result, Results

SUMMARIES = ("mean", "std", "min", "max", "median")


@dataclass(frozen=True, slots=True)
class Failure:
    """A media without results, and why."""

    uri: str
    error: str


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of one length, by name; what a media has no value for is None."""

    columns: Mapping[str, list[Any]]

    def __len__(self) -> int:
        """Count of the rows."""
        return len(self.columns["uri"])

    def write(self, path: str | Path) -> None:
        """Write a `.csv` or a `.parquet` file, whole or not at all; raises `FormatError`."""
        path = Path(path)
        writers = {".csv": _write_csv, ".parquet": _write_parquet}
        if path.suffix.lower() not in writers:
            raise FormatError(f"{path}: a table is written as {' or '.join(writers)}")
        try:
            with replaced(path) as written:
                writers[path.suffix.lower()](self.columns, written)
        except OSError as error:
            raise FormatError(f"{path} cannot be written: {error.strerror or error}") from error

    def to_pandas(self) -> Any:
        """The table as a `pandas.DataFrame`."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns))


def table(media: Iterable[Results | Failure]) -> Table:
    """A row for each media, in the order given; each `Results` is of one media, and may be freed once it is passed.

    Columns: `uri`, `sha256`, `duration_s` (of the media, s), `error`, and then for a result of the id `x`

    - global: its value, `x`;
    - framewise, event and segment: over its rows `x.mean`, `x.std` (population), `x.min`, `x.max`, `x.median`, and
      `x.count` of the rows;
    - labels: instead of statistics `x[label].count`, the rows of that label; of segments also `x[label].duration_s`,
      how long they last together, s.

    With several bins in a row `x` is `x[bin]`, by name or position, or counted from 0. Where there was nothing to
    measure, a value and a statistic are None and a count is 0.
    """
    rows = [_row(each) for each in media]
    columns: dict[str, list[Any]] = {name: [] for name in ("uri", "sha256", "duration_s", "error")}
    columns |= {name: [] for row in rows for name in row if name not in columns}
    for row in rows:
        for name, column in columns.items():
            column.append(row.get(name))
    return Table(columns)


def _row(each: Results | Failure) -> dict[str, Any]:
    if isinstance(each, Failure):
        return {"uri": each.uri, "error": each.error}
    media = media_of(each)
    row: dict[str, Any] = {"uri": media.uri, "sha256": media.sha256, "duration_s": media.duration_s}
    for name, result in zip(names(each), each, strict=True):
        row.update(_cells(name, result))
    return row


def _cells(name: str, result: Result) -> Iterator[tuple[str, Any]]:
    if result.output.time_mode == "global":
        yield from _values(name, result)
        return
    yield f"{name}.count", len(result)
    yield from _label_cells(name, result) if result.output.labels else _summaries(name, result)


def _values(name: str, result: Result) -> Iterator[tuple[str, Any]]:
    values = result.values.reshape(-1).tolist() if len(result) else [None]
    labels = result.output.labels
    for column, value in zip(_columns(name, result), values, strict=True):
        yield column, labels[value] if labels and value is not None else value


def _summaries(name: str, result: Result) -> Iterator[tuple[str, Any]]:
    columns = _columns(name, result)
    statistics = _statistics(result.values.reshape(len(result), -1)) if len(result) else None
    for index, column in enumerate(columns):
        for summary in SUMMARIES:
            yield f"{column}.{summary}", None if statistics is None else statistics[summary][index]


def _statistics(rows: Array) -> dict[str, list[float]]:
    """Each of `SUMMARIES` over the rows, shape `(rows, bins)`, in double precision."""
    return {
        "mean": rows.mean(axis=0, dtype=float).tolist(),
        "std": rows.std(axis=0, dtype=float).tolist(),
        "min": rows.min(axis=0).tolist(),
        "max": rows.max(axis=0).tolist(),
        "median": np.median(rows, axis=0).tolist(),
    }


def _label_cells(name: str, result: Result) -> Iterator[tuple[str, Any]]:
    for index, label in enumerate(result.output.labels):
        chosen = result.values == index
        yield f"{name}[{label}].count", int(chosen.sum())
        if result.output.time_mode == "segment":
            yield f"{name}[{label}].duration_s", float(result.durations[chosen].sum())


def _columns(name: str, result: Result) -> list[str]:
    return [f"{name}[{bin}]" if bin else name for bin in bin_names(result)]


def _write_csv(columns: Mapping[str, list[Any]], path: Path) -> None:

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _write_parquet(columns: Mapping[str, list[Any]], path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    pa, pq = cast("Any", pyarrow), cast("Any", parquet)  # they are not typed
    texts = ("uri", "sha256", "error")
    arrays = {name: pa.array(column, pa.string() if name in texts else None) for name, column in columns.items()}
    pq.write_table(pa.table(arrays), path)
