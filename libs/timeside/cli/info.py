"""`timeside info`: what a file is, without decoding it."""

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from timeside.batch import find
from timeside_core.errors import TimesideError
from timeside_core.pipeline import Decoder
from timeside_core.registry import get_processor


def info(
    sources: Annotated[list[str], typer.Argument(help="Files, folders or quoted patterns.", metavar="PATH…")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Say what files are: container, codec, samplerate, channels, duration, tags."""
    code = 0
    for file in find(sources):
        try:
            facts = _facts(file.path)
        except TimesideError as error:
            print(f"{file.path}: {error}", file=sys.stderr)
            code = 1
            continue
        print(json.dumps(facts) if as_json else _lines(facts))
    raise typer.Exit(code)


def _facts(path: Path) -> dict[str, Any]:
    decoder = get_processor("file_decoder").from_parameters({"uri": str(path)})
    assert isinstance(decoder, Decoder)
    with decoder.open() as source:
        media = source.media
    facts: dict[str, Any] = {field.name: getattr(media, field.name) for field in fields(media)}
    facts |= {"duration_s": media.duration_s, "tags": dict(media.tags)}
    return {name: value for name, value in facts.items() if value not in (None, "", {})}


def _lines(facts: dict[str, Any]) -> str:
    tags = {f"tag {name}": value for name, value in facts.pop("tags", {}).items()}
    return "\n".join(f"{name:>14}  {value}" for name, value in (facts | tags).items())
