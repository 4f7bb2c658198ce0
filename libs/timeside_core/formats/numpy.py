"""NumPy's .npz: the arrays as `mfcc/values`, and all fields as JSON in the text array `header`; nothing is pickled."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from timeside_core.audio import Array
from timeside_core.formats.document import Document, check_header, documents, header
from timeside_core.formats.files import Budget
from timeside_core.formats.typed import typed
from timeside_core.results import Results


def write(results: Results, path: Path) -> None:
    """Write results, exactly."""
    taken_apart = documents(results)
    fields = {**header(), "results": {name: each.fields for name, each in taken_apart.items()}}
    arrays = {f"{name}/{key}": array for name, each in taken_apart.items() for key, array in each.arrays.items()}
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, header=np.array(json.dumps(fields)), **arrays)


def read(path: Path, budget: Budget) -> list[Document]:
    """Read what `write` wrote."""
    with zipfile.ZipFile(path) as members:
        budget.take(sum(member.file_size for member in members.infolist()))
    with np.load(path, allow_pickle=False) as arrays:
        root: dict[str, Any] = json.loads(str(arrays["header"]))
        check_header(root)
        listed: dict[str, dict[str, Any]] = typed(root.get("results"), dict[str, dict[str, Any]], "results")
        return [Document(fields, _arrays_of(name, arrays)) for name, fields in listed.items()]


def _arrays_of(name: str, arrays: Any) -> dict[str, Array]:
    prefix = f"{name}/"
    return {key.removeprefix(prefix): arrays[key] for key in arrays.files if key.startswith(prefix)}
