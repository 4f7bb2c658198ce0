r"""XML of typed elements: `map`, `list`, `str`, `int`, `float`, `bool`, `null`, and `array`, whose text is numbers.

What XML cannot carry (control characters, lone surrogates) and the backslash are written `\uXXXX`.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from xml.etree.ElementTree import Element, ElementTree, indent

import numpy as np
from defusedxml.ElementTree import parse

from timeside_core.audio import Array
from timeside_core.errors import FormatError
from timeside_core.formats.digits import as_text, from_text
from timeside_core.formats.document import Document, check_header, documents, header
from timeside_core.formats.files import Budget
from timeside_core.formats.typed import typed
from timeside_core.results import Results

_UNWRITABLE = re.compile("[^\t\n\x20-\\[\\]-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPE = re.compile(r"\\u([0-9a-f]{4})")


def write(results: Results, path: Path) -> None:
    """Write results, exactly."""
    root = Element("results", {name: str(value) for name, value in header().items()})
    root.extend(_element({**each.fields, **each.arrays}) for each in documents(results).values())
    indent(root)
    ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def read(path: Path, budget: Budget) -> list[Document]:
    """Read what `write` wrote; document types, entities and references to other files are refused."""
    budget.take_text(path.stat().st_size)
    root = cast("Element", parse(path, forbid_dtd=True).getroot())
    check_header({"format": root.get("format"), "version": int(root.get("version", "0"))})
    return [_document(typed(_value(element), dict[str, Any], "result")) for element in root]


def _document(fields: dict[str, Any]) -> Document:
    arrays: dict[str, Array] = {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}
    return Document({name: value for name, value in fields.items() if name not in arrays}, arrays)


def _element(value: Any, name: str | None = None) -> Element:
    tag = _TAGS[type(value)]
    element = Element(tag, {} if name is None else {"name": _escaped(name)})
    if tag == "map":
        element.extend(_element(item, key) for key, item in value.items())
    elif tag == "list":
        element.extend(_element(item) for item in value)
    elif tag == "array":
        element.attrib.update(dtype=value.dtype.name, shape=" ".join(map(str, value.shape)))
        element.text = as_text(value)
    elif tag != "null":
        element.text = _escaped(str(value))
    return element


def _value(element: Element) -> Any:
    if element.tag == "map":
        return {_unescaped(item.get("name", "")): _value(item) for item in element}
    if element.tag == "list":
        return [_value(item) for item in element]
    if element.tag == "array":
        shape = [int(size) for size in element.get("shape", "").split()]
        return from_text(element.text or "", element.get("dtype"), shape)
    if element.tag not in _LEAVES:
        raise FormatError(f"has an element {element.tag!r}: {', '.join(_TAGS.values())} are known")
    return _LEAVES[element.tag](_unescaped(element.text or ""))


def _boolean(text: str) -> bool:
    return {"True": True, "False": False}[text]


def _escaped(text: str) -> str:
    return _UNWRITABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


_TAGS: dict[type, str] = {
    dict: "map",
    list: "list",
    np.ndarray: "array",
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    type(None): "null",
}
_LEAVES: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": _boolean,
    "null": lambda _: None,
}
