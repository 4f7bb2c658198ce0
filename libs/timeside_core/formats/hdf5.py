"""HDF5: a group for each result with its arrays as datasets, and its fields as JSON in the dataset `header`."""

import json
from pathlib import Path
from typing import Any

import h5py as _h5py

from timeside_core.audio import Array
from timeside_core.errors import FormatError
from timeside_core.formats.document import Document, check_header, documents, header
from timeside_core.formats.files import Budget, check_sum, checksum, chunk_shape
from timeside_core.results import Results

h5py: Any = _h5py  # it is not typed


def write(results: Results, path: Path) -> None:
    """Write results, exactly; arrays are compressed and checksummed."""
    # in memory first: where the disk is full, HDF5 can neither go on nor close its file, and crashes at the end
    with h5py.File(path, "w", driver="core", backing_store=False, track_order=True) as file:
        file.attrs.update(header())
        for name, each in documents(results).items():
            group = file.create_group(name)
            group["header"] = json.dumps(each.fields)
            for key, array in each.arrays.items():
                _store(group, key, array)
        file.flush()
        image: bytes = file.id.get_file_image()
    path.write_bytes(image)


def read(path: Path, budget: Budget) -> list[Document]:
    """Read what `write` wrote; links out of the file are refused."""
    with h5py.File(path, "r") as file:
        check_header(dict(file.attrs))
        return [_document(_member(file, name, h5py.Group), budget) for name in file]


def _store(group: Any, key: str, array: Array) -> None:
    layout: dict[str, Any] = {}
    if array.ndim and array.size:
        layout = {"chunks": chunk_shape(array), "compression": "gzip", "compression_opts": 1, "shuffle": True}
    group.create_dataset(key, data=array, **layout).attrs["crc32"] = checksum(array)


def _document(group: Any, budget: Budget) -> Document:
    datasets = {name: _member(group, name, h5py.Dataset) for name in group}
    fields = datasets.pop("header")
    if fields.shape != () or h5py.check_string_dtype(fields.dtype) is None:
        raise FormatError(f"{fields.name} is not a text")
    return Document(json.loads(fields.asstr()[()]), {name: _array(each, budget) for name, each in datasets.items()})


def _member(group: Any, name: str, kind: type) -> Any:
    if not isinstance(group.get(name, getlink=True), h5py.HardLink) or group.get(name, getclass=True) is not kind:
        raise FormatError(f"{group.name} has a member {name!r} that is not a {kind.__name__.lower()} of this file")
    return group[name]


def _array(dataset: Any, budget: Budget) -> Array:
    if dataset.external or dataset.is_virtual:
        raise FormatError(f"{dataset.name} lies in another file")
    budget.take_array(dataset.shape, dataset.dtype, dataset.chunks)
    return check_sum(dataset[()], dataset.attrs.get("crc32"), dataset.name)
