"""The results of a folder as one table: a row for each media."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from timeside_core.audio import Array
from timeside_core.errors import FormatError
from timeside_core.formats.digits import numeric
from timeside_core.formats.document import names
from timeside_core.formats.files import replaced
from timeside_core.formats.spans import media_of
from timeside_core.formats.tidy import bin_names
from timeside_core.results import Result, Results

FIRST_COLUMNS = ("uri", "sha256", "duration_s", "error")
SUMMARIES = ("mean", "std", "min", "max", "median")


Row: TypeAlias = Mapping[str, Any]
"""A media's cells by column: text, numbers and None, so that a row can wait in a JSON file."""


def table(media: Iterable[Results | Row]) -> dict[str, list[Any]]:
    """Columns of one length, by name, with a row for each media in the order given; what a media lacks is None.

    Each `Results` is of one media, and is let go as soon as its row is made. A mapping is a row already, as `row` makes
    one: that of a media that failed is `{"uri": …, "error": …}`. For the columns see `row`.
    """
    rows = [row(each) if isinstance(each, Results) else each for each in media]
    columns: dict[str, list[Any]] = {name: [] for name in FIRST_COLUMNS}
    columns |= {name: [] for each in rows for name in each if name not in columns}
    for each in rows:
        for name, column in columns.items():
            column.append(_cell(each.get(name)))
    return columns


def write_table(media: Iterable[Results | Row], path: str | Path) -> None:
    """Write the table of some media to a `.csv` or `.parquet` file, whole or not at all; raises `FormatError`."""
    path = Path(path)
    check_table(path)
    columns = table(media)
    try:
        with replaced(path) as written:
            _WRITERS[path.suffix.lower()](columns, written)
    except ModuleNotFoundError as error:
        raise FormatError(f"{path} needs {error.name}: pip install 'timeside[formats]'") from error
    except OSError as error:
        raise FormatError(f"{path} cannot be written: {error.strerror or error}") from error


def to_pandas(media: Iterable[Results | Row]) -> Any:
    """The table of some media as a `pandas.DataFrame`."""
    import pandas as pd

    return pd.DataFrame(table(media))


def row(results: Results) -> dict[str, Any]:
    """One media's cells by column.

    `uri`, `sha256`, `duration_s` (of the media, s), and for each result, of the id `x`:

    - global: its value, `x`;
    - framewise, event and segment: over its rows `x.mean`, `x.std` (population), `x.min`, `x.max`, `x.median`, and
      `x.count` of the rows;
    - labels: instead of statistics `x[label].count`, the rows of that label; of segments also `x[label].duration_s`,
      how long they last together, s.

    With several bins in a row `x` is `x[bin]`, by name or position, or counted from 0. Where there was nothing to
    measure, a value and a statistic are None and a count is 0.
    """
    media = media_of(results)
    cells: dict[str, Any] = {"uri": media.uri, "sha256": media.sha256, "duration_s": media.duration_s}
    for name, result in zip(names(results), results, strict=True):
        cells.update(_cells(name, result))
    return cells


def check_table(path: str | Path) -> None:
    """Raise `FormatError` unless a table can be written to a file of that name."""
    if Path(path).suffix.lower() not in _WRITERS:
        raise FormatError(f"{path}: a table is written as {' or '.join(_WRITERS)}")


def _cell(value: Any) -> Any:
    """A text without lone surrogates, as a file's name may have, which no table holds."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def _cells(name: str, result: Result) -> Iterator[tuple[str, Any]]:
    if result.output.time_mode == "global":
        yield from _values(name, result)
        return
    yield f"{name}.count", len(result)
    yield from _label_cells(name, result) if result.output.labels else _summaries(name, result)


def _values(name: str, result: Result) -> Iterator[tuple[str, Any]]:
    values = numeric(result.values).reshape(-1).tolist() if len(result) else [None]
    labels = result.output.labels
    for column, value in zip(_columns(name, result), values, strict=True):
        yield column, labels[value] if labels and value is not None else value


def _summaries(name: str, result: Result) -> Iterator[tuple[str, Any]]:
    columns = _columns(name, result)
    statistics = _statistics(numeric(result.values).reshape(len(result), -1)) if len(result) else None
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


_WRITERS = {".csv": _write_csv, ".parquet": _write_parquet}
