"""Experiences as YAML files, the same that the command line takes as presets.

- processor: level
- processor: mfcc
  parameters: {n_mfcc: 13}
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, cast

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from timeside_api.http.problems import invalid
from timeside_api.http.tasks.schemas import AskedProcessor
from timeside_api.plans import MAX_PROCESSORS

MEDIA_TYPE = "application/yaml"
_MAX_DEPTH = 16
_Entry = AskedProcessor | Annotated[str, Field(max_length=64)]
_FILE = TypeAdapter(Annotated[list[_Entry], Field(min_length=1, max_length=MAX_PROCESSORS)])


def written(asked: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """As a file."""
    entries = [{"processor": id, "parameters": parameters} for id, parameters in asked]
    return yaml.safe_dump(entries, sort_keys=False, allow_unicode=True)


def read(content: bytes) -> list[AskedProcessor]:
    """Of a file; raises a problem that says where it is none."""
    try:
        text = content.decode()
        _check(text)
        entries = _FILE.validate_python(yaml.safe_load(text))
    except ValidationError as error:
        (first, *_) = error.errors()
        raise invalid("/" + "/".join(str(each) for each in first["loc"]), first["msg"]) from None
    except (UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise invalid("/", f"is not YAML: {' '.join(str(error).split())}") from None
    return [AskedProcessor(processor=each) if isinstance(each, str) else each for each in entries]


def _check(text: str) -> None:
    """Before anything is built of it: nothing nested too deep, and no aliases, which can stand for billions."""
    depth = 0
    events: Iterator[object] = cast("Any", yaml).parse(text, Loader=yaml.SafeLoader)
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise invalid("/", "has an alias, which is not taken")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise invalid("/", f"is nested deeper than {_MAX_DEPTH} levels")
