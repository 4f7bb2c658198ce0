"""The processors that are installed, and what is asked of them; no SQL: they are code."""

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from timeside_api.http.problems import Problem, invalid
from timeside_api.http.processors.schemas import KINDS, ProcessorOut
from timeside_core.errors import ParameterError, TimesideError, UnknownProcessorError
from timeside_core.processor import Processor, parameter_names
from timeside_core.registry import get_processor, processor_ids

_ASKABLE = tuple(base for _, base in KINDS)
_lock = threading.Lock()
_described: list[ProcessorOut] = []
_log = logging.getLogger(__name__)


def every() -> list[ProcessorOut]:
    """All of them, by id; made once, as it imports them all. One whose library is missing here is left out."""
    with _lock:
        if not _described:
            _described.extend(filter(None, map(_described_or_none, processor_ids())))
        return _described


def get(id: str) -> ProcessorOut:
    """One of them; raises a problem where there is none of that id."""
    try:
        processor = get_processor(id)
    except UnknownProcessorError as error:
        raise Problem(404, "not-found", str(error)) from None
    if not issubclass(processor, _ASKABLE):
        raise Problem(404, "not-found", f"processor {id!r} is none that can be asked for")
    return ProcessorOut.of(id, processor)


def built(asked: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Processor]:
    """Instances, in order; raises a problem that names the field and the rule."""
    return [
        build(id, parameters, f"/processors/{index}/processor", f"/processors/{index}/parameters")
        for index, (id, parameters) in enumerate(asked)
    ]


def build(id: str, parameters: Mapping[str, Any], named: str = "processor", set_: str = "parameters") -> Processor:
    """An instance; a problem names the field that has its id, or that which has its parameters."""
    try:
        processor = get_processor(id)
    except UnknownProcessorError as error:
        raise invalid(named, str(error)) from None
    if not issubclass(processor, _ASKABLE):
        raise invalid(named, f"{id!r} is none that can be asked for")
    if unknown := sorted(parameters.keys() - parameter_names(processor)):
        known = ", ".join(sorted(parameter_names(processor))) or "none"
        raise invalid(f"{set_}/{unknown[0]}", f"is no parameter of {id}, which has {known}")
    try:
        return processor.from_parameters(parameters)
    except ParameterError as error:
        raise invalid(set_, str(error)) from None


def _described_or_none(id: str) -> ProcessorOut | None:
    try:
        processor = get_processor(id)
        return ProcessorOut.of(id, processor) if issubclass(processor, _ASKABLE) else None
    except TimesideError as error:
        _log.warning("%s", error)
        return None
