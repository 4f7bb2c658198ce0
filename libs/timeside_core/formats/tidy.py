"""Results as one tidy table: a row for each number, with what and when it is."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from timeside_core.audio import Array
from timeside_core.formats.digits import numeric
from timeside_core.formats.document import names
from timeside_core.results import Result, Results

COLUMNS = ("result", "time_s", "duration_s", "bin", "value", "label", "unit")


@dataclass(frozen=True, slots=True)
class Tidy:
    """The columns of one result; those of text are indices into a few words."""

    result: str
    unit: str
    times: Array
    durations: Array
    values: Array
    bins: Array
    """Index of each number's bin in `bin_names`."""
    bin_names: list[str]
    labels: tuple[str, ...]
    """Vocabulary that values are indices of; empty for numbers."""


def tidy(results: Results) -> Iterator[Tidy]:
    """The columns of each result, in order."""
    for name, result in zip(names(results), results, strict=True):
        columns = bin_names(result)
        yield Tidy(
            result=name,
            unit=result.output.unit,
            times=np.repeat(result.times, len(columns)),
            durations=np.repeat(result.durations, len(columns)),
            values=numeric(result.values).reshape(-1),
            bins=np.tile(np.arange(len(columns), dtype=np.int32), len(result)),
            bin_names=columns,
            labels=result.output.labels,
        )


def bin_names(result: Result) -> list[str]:
    """Names of the columns of a row: the bins' names or positions, else `0`, `1`, … (`0,0`, … in more dimensions).

    A row of one number has the one column `""`.
    """
    values = result.values
    shape = values.shape if result.output.time_mode == "global" and len(result) else values.shape[1:]
    if not shape:
        return [""]
    if result.bins is not None and np.shape(result.bins) == shape:
        return [str(bin) for bin in result.bins]
    return [",".join(map(str, index)) for index in np.ndindex(shape)]
