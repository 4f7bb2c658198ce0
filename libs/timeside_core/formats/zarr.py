"""Zarr v3, a folder or (`.zarr.zip`) one file: a group for each result, its fields as attributes, and its arrays.

The store is rooted at the path itself, so that any Zarr reader opens it by that path.
"""

import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import zarr as _zarr
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.storage import LocalStore, ZipStore

from timeside_core.audio import Array
from timeside_core.formats.document import Document, check_header, documents, header
from timeside_core.formats.files import Budget, check_sum, checksum, chunk_shape
from timeside_core.formats.typed import typed
from timeside_core.results import Results

zarr: Any = _zarr  # its types are incomplete


def write(results: Results, path: Path) -> None:
    """Write results, exactly; arrays are compressed and checksummed."""
    taken_apart = documents(results)
    if path.suffix != ".zip":
        _write(taken_apart, LocalStore(path))
        return
    with closing(ZipStore(path, mode="w")) as store:
        _write(taken_apart, store)


def read(path: Path, budget: Budget) -> list[Document]:
    """Read what `write` wrote."""
    if path.is_dir():
        return _read(LocalStore(path, read_only=True), budget)
    with zipfile.ZipFile(path) as members:
        Budget(budget.left).take(sum(member.file_size for member in members.infolist()))
    with closing(ZipStore(path, mode="r")) as store:
        return _read(store, budget)


def _write(documents: dict[str, Document], store: Any) -> None:
    root = zarr.create_group(store, zarr_format=3, attributes={**header(), "results": list(documents)})
    for name, each in documents.items():
        group = root.create_group(name, attributes=each.fields)
        for key, array in each.arrays.items():
            group.create_array(
                key,
                data=array,
                chunks=chunk_shape(array),
                compressors=[ZstdCodec(level=1), Crc32cCodec()],
                attributes={"crc32": checksum(array)},
            )


def _read(store: Any, budget: Budget) -> list[Document]:
    root = zarr.open_group(store, mode="r", zarr_format=3)
    attributes = dict(root.attrs)
    check_header(attributes)
    names: list[str] = typed(attributes.get("results"), list[str], "results")
    return [_document(root[name], budget) for name in names]


def _document(group: Any, budget: Budget) -> Document:
    return Document(dict(group.attrs), {key: _array(array, budget) for key, array in group.arrays()})


def _array(stored: Any, budget: Budget) -> Array:
    budget.take_array(stored.shape, stored.dtype, stored.chunks)
    return check_sum(stored[...], stored.attrs.get("crc32"), stored.name)
