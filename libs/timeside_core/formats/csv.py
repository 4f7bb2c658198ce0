"""CSV of the tidy table: `result,time_s,duration_s,bin,value,label,unit`, a line for each number."""

import csv
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path

from timeside_core.formats.digits import as_list
from timeside_core.formats.tidy import COLUMNS, Tidy, tidy
from timeside_core.results import Results


def write(results: Results, path: Path) -> None:
    """Write all results; numbers have the fewest digits that are exact."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for each in tidy(results):
            writer.writerows(_lines(each))


def _lines(each: Tidy) -> Iterator[Iterable[object]]:
    return zip(
        repeat(each.result),
        as_list(each.times),
        as_list(each.durations),
        map(each.bin_names.__getitem__, each.bins.tolist()),
        as_list(each.values),
        map(each.labels.__getitem__, each.values.tolist()) if each.labels else repeat(""),
        repeat(each.unit),
    )
