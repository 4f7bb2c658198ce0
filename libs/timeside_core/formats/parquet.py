"""Parquet of the tidy table, a row group for each result; all fields of the results are in its metadata as JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as _pa
import pyarrow.parquet as _pq

from timeside_core.audio import Array
from timeside_core.formats.document import documents
from timeside_core.formats.tidy import Tidy, tidy
from timeside_core.results import Results

pa: Any = _pa  # it is not typed
pq: Any = _pq

WORDS: Any = pa.dictionary(pa.int32(), pa.string())
SCHEMA: Any = pa.schema(
    [
        ("result", WORDS),
        ("time_s", pa.float64()),
        ("duration_s", pa.float64()),
        ("bin", WORDS),
        ("value", pa.float64()),
        ("label", WORDS),
        ("unit", WORDS),
    ]
)


def write(results: Results, path: Path) -> None:
    """Write all results; values of any type are doubles."""
    fields = json.dumps({name: each.fields for name, each in documents(results).items()})
    schema = SCHEMA.with_metadata({"timeside-results": fields})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for each in tidy(results):
            writer.write_table(pa.table(_columns(each), schema=schema))


def _columns(each: Tidy) -> list[Any]:
    constant = np.zeros(len(each.values), np.int32)
    return [
        _words(constant, [each.result]),
        pa.array(each.times),
        pa.array(each.durations),
        _words(each.bins, each.bin_names),
        pa.array(each.values.astype(float)),
        _words(each.values, each.labels) if each.labels else pa.nulls(len(each.values), WORDS),
        _words(constant, [each.unit]),
    ]


def _words(indices: Array, words: Any) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(indices.astype(np.int32)), pa.array(words, pa.string()))
