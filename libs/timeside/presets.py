"""Presets: processors with parameters, as words on the command line or entries of a YAML file.

- processor: level
- processor: mfcc
  parameters: {n_mfcc: 13}
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from timeside_core.errors import ParameterError
from timeside_core.processor import Processor
from timeside_core.registry import get_processor

Kind = TypeVar("Kind", bound=Processor)
Preset = tuple[str, dict[str, Any]]
"""A processor's id and the parameters that differ from its defaults."""


def parse(word: str) -> Preset:
    """`mfcc`, `mfcc:n_mfcc=13,fmax=8000` or `mfcc:{"n_mfcc": 13}`."""
    id, _, rest = word.partition(":")
    if not rest:
        return id, {}
    if rest.startswith("{"):
        try:
            return id, json.loads(rest)
        except json.JSONDecodeError as error:
            raise ParameterError(f"{word!r}: parameters are not JSON: {error}") from None
    values: dict[str, Any] = {}
    for pair in rest.split(","):
        name, equals, value = pair.partition("=")
        if not equals:
            raise ParameterError(f"{word!r}: {pair!r} is not name=value")
        values[name.strip()] = _scalar(value.strip())
    return id, values


def load(path: Path) -> list[Preset]:
    """Presets of a YAML file."""
    import yaml

    try:
        entries = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ParameterError(f"presets {str(path)!r} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParameterError(f"presets {str(path)!r} are not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(entries, list) or not entries:
        raise ParameterError(f"presets {str(path)!r} must be a list of entries with 'processor' and 'parameters'")
    return [_preset(path, entry) for entry in cast("list[Any]", entries)]


def instances(presets: Iterable[Preset], kind: type[Kind]) -> tuple[Kind, ...]:
    """Processors of presets; each must be of that kind."""
    made: list[Kind] = []
    for id, values in presets:
        processor = get_processor(id)
        if not issubclass(processor, kind):
            raise ParameterError(f"{id!r} is no {kind.__name__.lower()}")
        made.append(processor.from_parameters(values))
    return tuple(made)


class _Entry(BaseModel, extra="forbid"):
    processor: str
    parameters: dict[str, Any] = {}


def _preset(path: Path, entry: Any) -> Preset:
    try:
        preset = _Entry.model_validate({"processor": entry} if isinstance(entry, str) else entry)
    except ValidationError:
        raise ParameterError(
            f"presets {str(path)!r}: {entry!r} must have 'processor' and may have 'parameters'"
        ) from None
    return preset.processor, preset.parameters


def _scalar(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
