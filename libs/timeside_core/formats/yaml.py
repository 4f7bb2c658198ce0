"""YAML, the fields as they are and an array's numbers as the words of a block of text, a line for each row."""

from pathlib import Path
from typing import Any, cast

import yaml as _yaml

from timeside_core.audio import Array
from timeside_core.errors import FormatError
from timeside_core.formats.digits import as_text, from_text
from timeside_core.formats.document import ARRAYS, Document, check_header, documents, header
from timeside_core.formats.files import Budget
from timeside_core.formats.typed import typed
from timeside_core.results import Results

yaml: Any = _yaml  # it is not all typed

MAX_DEPTH = 100
"""Levels of nesting that are read: the parser's own recursion, unchecked, ends in a crash of the interpreter."""


class _Block(str):
    __slots__ = ()


class _Dumper(_yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_block(self, block: _Block) -> _yaml.ScalarNode:
        return cast("Any", self).represent_scalar("tag:yaml.org,2002:str", str(block), style="|")


_Dumper.add_representer(_Block, _Dumper.represent_block)


def write(results: Results, path: Path) -> None:
    """Write results, exactly."""
    trees = [{**each.fields, **_encoded(each.arrays)} for each in documents(results).values()]
    text = yaml.dump({**header(), "results": trees}, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")


def read(path: Path, budget: Budget) -> list[Document]:
    """Read what `write` wrote, with the safe loader; aliases, which can multiply without end, are refused."""
    budget.take_text(path.stat().st_size)
    text = path.read_bytes()
    _check_events(text)
    root = yaml.load(text, Loader=yaml.CSafeLoader)
    check_header(root)
    return [_document(dict(tree)) for tree in typed(root.get("results"), tuple[dict[str, Any], ...], "results")]


def _check_events(text: bytes) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise FormatError("has an alias: none are allowed")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise FormatError(f"is nested deeper than {MAX_DEPTH} levels")


def _document(tree: dict[str, Any]) -> Document:
    arrays = {name: tree.pop(name) for name in ARRAYS if isinstance(tree.get(name), dict)}
    return Document(tree, {name: _decoded(array) for name, array in arrays.items()})


def _encoded(arrays: dict[str, Array]) -> dict[str, Any]:
    return {
        name: {"dtype": each.dtype.name, "shape": list(each.shape), "data": _Block(as_text(each))}
        for name, each in arrays.items()
    }


def _decoded(array: dict[str, Any]) -> Array:
    return from_text(str(array.get("data")), array.get("dtype"), array.get("shape"))
