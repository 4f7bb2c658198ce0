"""JSON, a line for each result: `{"values": {"dtype": "float32", "shape": [2, 3], "data": [[…], […]]}}`.

NaN and the infinities, which JSON has no numbers for, are the strings `"nan"`, `"inf"` and `"-inf"`.
"""

import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from timeside_core.audio import Array
from timeside_core.formats.digits import as_list, from_numbers, shortest
from timeside_core.formats.document import ARRAYS, Document, check_header, documents, header
from timeside_core.formats.files import Budget
from timeside_core.formats.typed import typed
from timeside_core.results import Results


def write(results: Results, path: Path) -> None:
    """Write results, exactly."""
    lines = ",\n".join(_dumped({**each.fields, **_encoded(each.arrays)}) for each in documents(results).values())
    text = f'{_dumped(header())[:-1]},"results":[\n{lines}\n]}}\n'
    # a file name that is no valid text, in a string as a lone surrogate, becomes the escape that JSON has for it
    path.write_bytes(text.encode(errors="backslashreplace"))


def read(path: Path, budget: Budget) -> list[Document]:
    """Read what `write` wrote."""
    budget.take_text(path.stat().st_size)
    root: dict[str, Any] = json.loads(path.read_bytes())
    check_header(root)
    return [_document(dict(fields)) for fields in typed(root.get("results"), tuple[dict[str, Any], ...], "results")]


def _document(fields: dict[str, Any]) -> Document:
    arrays = {name: fields.pop(name) for name in ARRAYS if isinstance(fields.get(name), dict)}
    return Document(fields, {name: _decoded(array) for name, array in arrays.items()})


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _encoded(arrays: dict[str, Array]) -> dict[str, Any]:
    return {name: {"dtype": each.dtype.name, "shape": each.shape, "data": _data(each)} for name, each in arrays.items()}


def _data(array: Array) -> Any:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return as_list(array)
    numbers = shortest(array).astype(object)
    odd = ~np.isfinite(array)
    numbers[odd] = [str(number) for number in array[odd]]
    return numbers.tolist()


def _decoded(array: dict[str, Any]) -> Array:
    flat: Any = [array.get("data")]
    for _ in array.get("shape", ()):
        flat = list(chain.from_iterable(flat))
    return from_numbers(flat, array.get("dtype"), array.get("shape"))
