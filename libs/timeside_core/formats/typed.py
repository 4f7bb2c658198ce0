"""Dataclasses as plain, JSON-like fields, and back again with every field checked against its type."""

import dataclasses
import math
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from timeside_core.errors import FormatError

T = TypeVar("T")


def plain(value: Any, name: str) -> Any:
    """The same in dict, list, str, int, finite float, bool and None only; raises `FormatError` naming what is not."""
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        items = cast("Sequence[Any]", value)
        return [plain(item, f"{name}[{index}]") for index, item in enumerate(items)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in cast("Mapping[Any, Any]", value)):
        fields = cast("Mapping[str, Any]", value)
        return {key: plain(item, f"{name}.{key}") for key, item in fields.items()}
    raise FormatError(f"{name}={value!r:.80} is not JSON-like: text, finite numbers, lists and objects by name are")


def built(cls: type[T], fields: Any, name: str) -> T:
    """A dataclass from plain fields; raises `FormatError` naming what is missing, unknown or of another type."""
    given = typed(fields, dict[str, Any], name)
    hints, known = get_type_hints(cls), {field.name for field in dataclasses.fields(cast("Any", cls))}
    if unknown := given.keys() - known:
        raise FormatError(f"{name} has unknown {', '.join(sorted(unknown))}")
    checked = {key: typed(value, hints[key], f"{name}.{key}") for key, value in given.items()}
    try:
        return cls(**checked)
    except TypeError as error:  # it says which are missing
        raise FormatError(f"{name}: {error}") from None


def typed(value: Any, hint: Any, name: str) -> Any:
    """A plain value as its hint wants it: objects as dataclasses, lists as tuples, whole numbers as floats."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin is types.UnionType:  # … | None
        return typed(value, arguments[0], name) if value is not None else value
    if dataclasses.is_dataclass(hint):
        return built(cast("type[Any]", hint), value, name)
    if origin in (dict, Mapping):
        require(isinstance(value, dict), name, value, "an object")
        return {key: typed(item, arguments[1], f"{name}.{key}") for key, item in value.items()}
    if origin in (list, tuple, Sequence):
        require(isinstance(value, list), name, value, "a list")
        items = [typed(item, arguments[0], f"{name}[{index}]") for index, item in enumerate(value)]
        return tuple(items) if origin is tuple else items
    if origin is Literal:
        require(value in arguments, name, value, f"one of {', '.join(map(str, arguments))}")
        return value
    accepted = int | float if hint is float else hint
    require(isinstance(value, accepted) and isinstance(value, bool) == (hint is bool), name, value, hint.__name__)
    return float(value) if hint is float else value


def require(holds: bool, name: str, value: object, rule: str) -> None:
    """Raise `FormatError` naming thing, value and rule unless it holds."""
    if not holds:
        raise FormatError(f"{name}={value!r:.80} is not {rule}")
