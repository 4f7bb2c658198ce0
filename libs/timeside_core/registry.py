"""Processors by id: those of this interpreter, of entry points, and of namespaces that others search.

A distribution registers a processor by the entry point group `timeside.processors`, whose names are ids;
it is imported on first use. The group `timeside.discovery` names functions that import processors which
have no entry point; they are called once, when an id is not found or all are listed.
"""

import difflib
import threading
import warnings
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from timeside_core.errors import PipelineError, TimesideError, UnknownProcessorError

if TYPE_CHECKING:
    from timeside_core.processor import Processor

PROCESSORS = "timeside.processors"
DISCOVERY = "timeside.discovery"

_defined: "dict[str, type[Processor]]" = {}
_aliases: "dict[str, type[Processor]]" = {}
_lock = threading.RLock()


def register(processor: "type[Processor]") -> None:
    """Make a class findable by its id; the same class defined again (a reload, a prompt) replaces itself."""
    with _lock:
        known = _defined.get(processor.id)
        if known is not None and not _redefinition(known, processor):
            raise PipelineError(
                f"processor id {processor.id!r} of {_place(processor)} is taken by {_place(known)}: ids are unique"
            )
        _defined[processor.id] = processor


def get_processor(id: str) -> "type[Processor]":
    """The processor class of that id, imported if need be; raises `UnknownProcessorError`."""
    if (found := _defined.get(id) or _aliases.get(id)) is not None:
        return found
    with _lock:
        point = _points().get(id)
        if point is not None:
            return _load(id, point)
        _discover()
        if id in _defined:
            return _defined[id]
    near = difflib.get_close_matches(id, processor_ids(), n=3)
    hint = f"; did you mean {', '.join(near)}?" if near else "; `timeside processors` lists them"
    raise UnknownProcessorError(f"processor {id!r} is unknown{hint}")


def processor_ids() -> tuple[str, ...]:
    """Ids of all processors that can be had, sorted; aliases are among them."""
    with _lock:
        _discover()
        return tuple(sorted({*_defined, *_points()}))


@cache
def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=PROCESSORS)}


def _load(id: str, point: EntryPoint) -> "type[Processor]":
    try:
        processor: type[Processor] = point.load()
    except TimesideError:
        raise
    except Exception as error:
        raise UnknownProcessorError(
            f"processor {id!r} cannot be loaded from {point.value!r}: {type(error).__name__}: {error}"
        ) from error
    if processor.id != id:
        _aliases[id] = processor
    return processor


@cache
def _discover() -> None:
    for point in entry_points(group=DISCOVERY):
        try:
            point.load()()
        except Exception as error:  # a bad plug-in must not hide the others
            warnings.warn(f"{point.value} failed to discover processors: {error}", RuntimeWarning, stacklevel=3)


def _redefinition(known: type, new: type) -> bool:
    return "__main__" in (known.__module__, new.__module__) or _place(known) == _place(new)


def _place(processor: type) -> str:
    return f"{processor.__module__}.{processor.__qualname__}"
