"""`timeside info`: what a file is, without decoding it."""

import json
from dataclasses import fields
from typing import Annotated, Any

import typer

from timeside.batch import Found, find
from timeside.cli.common import failure, say
from timeside_core.errors import MediaError, TimesideError
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
            facts = _facts(file)
        except TimesideError as error:
            say(failure(file.path, str(error)), error=True)
            code = 1
            continue
        for line in [json.dumps(facts)] if as_json else _lines(facts):
            say(line)
    raise typer.Exit(code)


def _facts(file: Found) -> dict[str, Any]:
    if file.error:
        raise MediaError(file.error)
    decoder = get_processor("file_decoder").from_parameters({"uri": str(file.path)})
    assert isinstance(decoder, Decoder)
    with decoder.open() as source:
        media = source.media
    facts: dict[str, Any] = {field.name: getattr(media, field.name) for field in fields(media)}
    facts |= {"duration_s": media.duration_s, "tags": dict(media.tags)}
    return {name: value for name, value in facts.items() if value not in (None, "", {})}


def _lines(facts: dict[str, Any]) -> list[str]:
    tags = {f"tag {name}": value for name, value in facts.pop("tags", {}).items()}
    return [f"{name:>14}  {value}" for name, value in (facts | tags).items()]
