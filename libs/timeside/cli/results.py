"""`timeside results …`: what a server has made of recordings."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from timeside.cli.common import say
from timeside.cli.remote import AsJson, result_line, show, with_client
from timeside_core.errors import ParameterError

if TYPE_CHECKING:
    from timeside.client import Client, ResultRows

app = typer.Typer(help="List results on a server, get them in any format.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="Id of a result.", metavar="RESULT")]


@app.command("list")
def list_results(
    item: Annotated[str, typer.Argument(help="Id of an item.")],
    processor: Annotated[str, typer.Option("--processor", "-p", help="Only of this processor.")] = "",
    as_json: AsJson = False,
) -> None:
    """List results of an item."""

    async def work(client: "Client") -> None:
        async for result in client.results(item, processor or None):
            show(result, result_line(result), as_json=as_json)

    with_client(work)


@app.command("get")
def get(
    result: Id,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File; its suffix names the format.")] = None,
    format: Annotated[str, typer.Option("--format", help="Format, where the suffix does not name it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Get a result: its facts, or with --out all of it, as a file: pictures and sounds as they are."""

    async def work(client: "Client") -> dict[str, Any]:
        facts = await client.result(result)
        if out is not None:
            await client.save(result, out, None if facts["mime_type"] else format or _format_of(out))
        return facts

    facts = with_client(work)
    if out is not None:
        say(str(out))
    else:
        print(json.dumps(facts) if as_json else json.dumps(facts, indent=2, ensure_ascii=False))


@app.command("stream")
def stream(result: Id) -> None:
    """Print rows of a result as they are computed, a line of JSON for each message."""

    async def work(client: "Client") -> None:
        async for rows in client.stream(result):
            print(_line(rows), flush=True)

    with_client(work)


def _format_of(path: Path) -> str:
    from timeside_core.formats import FORMATS

    for each in FORMATS.values():
        if path.name.endswith(each.suffixes):
            return each.name
    known = ", ".join(suffix for each in FORMATS.values() for suffix in each.suffixes)
    raise ParameterError(f"{path}: the suffix names no format, which are {known}: give --format")


def _line(rows: "ResultRows") -> str:
    from pydantic_core import to_json

    said: dict[str, Any] = {"output": rows.output, "first_row": rows.first_row, "times": rows.times.tolist()}
    if len(rows.durations):
        said["durations"] = rows.durations.tolist()
    return to_json(said | {"values": rows.values.tolist()}, inf_nan_mode="null").decode()
