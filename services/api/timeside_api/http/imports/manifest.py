"""Manifests: CSV with a header, and a source on each line."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from timeside_api.http.items.schemas import NewItem
from timeside_api.http.problems import invalid
from timeside_api.imports import Source

SOURCES = {"url": Source.URL, "path": Source.FILE}
TEXTS = ("title", "artist", "album", "description")


@dataclass(frozen=True)
class Line:
    """One source, and what is said of it."""

    kind: Source
    source: str
    said: dict[str, Any]
    reason: str = ""
    """Why it cannot be imported, where it is known already."""


def read(text: str, at_most: int) -> list[Line]:
    """Lines of a manifest; raises a problem where it is none, or has more lines.

    Columns are `url` or `path` (or both, of which each line has one), `title`, `artist`, `album` and `description`;
    what other columns have goes to the details of the item.
    """
    rows = _rows(text)
    header = [name.strip().lower() for name in next(rows, list[str]())]
    if not SOURCES.keys() & set(header):
        raise invalid("/", "the first line must name the columns, url or path among them")
    if len(set(header)) < len(header) or "" in header:
        raise invalid("/", "each column must have a name of its own")
    lines: list[Line] = []
    for row in rows:
        if len(lines) == at_most:
            raise invalid("/", f"a manifest may have {at_most} lines")
        lines.append(_line(dict(zip(header, (value.strip() for value in row), strict=False)), len(row) > len(header)))
    if not lines:
        raise invalid("/", "there is no line below the header")
    return lines


def _rows(text: str) -> Iterator[list[str]]:
    if "\0" in text:
        raise invalid("/", "holds the character NUL, which cannot be kept")
    reader = csv.reader(text.removeprefix("\ufeff").splitlines(keepends=True), strict=True)
    try:
        yield from (row for row in reader if any(value.strip() for value in row))
    except csv.Error as error:
        raise invalid("/", f"line {reader.line_num}: {error}") from None


def _line(row: dict[str, str], has_more: bool) -> Line:
    given = {name: row[name] for name in SOURCES if row.get(name)}
    if has_more:
        return Line(Source.URL, next(iter(given.values()), ""), {}, "the line has more values than the header")
    if len(given) != 1:
        return Line(Source.URL, next(iter(given.values()), ""), {}, "the line must have either a url or a path")
    ((column, source),) = given.items()
    texts = {name: row[name] for name in TEXTS if row.get(name)}
    details = {name: value for name, value in row.items() if value and name not in (*SOURCES, *TEXTS)}
    try:
        said = NewItem.model_validate({**texts, "details": details}).model_dump(include={*TEXTS, "details"})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return Line(SOURCES[column], source, {}, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    return Line(SOURCES[column], source, said)
