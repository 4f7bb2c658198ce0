"""`timeside items …`: recordings on a server."""

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from timeside.cli.common import say
from timeside.cli.remote import AsJson, item_line, show, with_client
from timeside_core.errors import TimesideError

if TYPE_CHECKING:
    from timeside.client import Client

app = typer.Typer(help="Add, list, show, remove recordings on a server.", no_args_is_help=True)

Ids = Annotated[list[str], typer.Argument(help="Ids of items.", metavar="ITEM…")]


@app.command("add")
def add(
    files: Annotated[list[Path], typer.Argument(help="Audio or video files.", metavar="FILE…")],
    title: Annotated[str, typer.Option("--title", help="Title; the name of the file if not given.")] = "",
    as_json: AsJson = False,
) -> None:
    """Upload files, each as an item. Exit code 1 if one could not be."""

    async def work(client: "Client") -> bool:
        failed = False
        for file in files:
            try:
                with _bar(file) as tell:
                    item = await client.add(file, title or None, tell)
                show(item, item_line(item), as_json=as_json)
            except (TimesideError, OSError) as error:
                failed = True
                reason = error.strerror if isinstance(error, OSError) else error
                say(f"{file}: {reason}", error=True)
        return failed

    raise typer.Exit(1 if with_client(work) else 0)


@app.command("list")
def list_items(
    words: Annotated[str, typer.Argument(help="Only those with these words.", metavar="[WORDS]")] = "",
    as_json: AsJson = False,
) -> None:
    """List my items, newest first."""

    async def work(client: "Client") -> None:
        async for item in client.items(words or None):
            show(item, item_line(item), as_json=as_json)

    with_client(work)


@app.command("show")
def show_item(item: Annotated[str, typer.Argument(help="Id of an item.")], as_json: AsJson = False) -> None:
    """Show all that is known of an item."""
    found = with_client(lambda client: client.item(item))
    print(json.dumps(found) if as_json else json.dumps(found, indent=2, ensure_ascii=False))


@app.command("remove")
def remove(items: Ids) -> None:
    """Remove items; others who have the same media keep theirs."""

    async def work(client: "Client") -> None:
        for item in items:
            await client.remove(item)

    with_client(work)


@contextmanager
def _bar(file: Path) -> Generator[Callable[[int, int], None] | None]:
    """A bar, where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(file.name, total=None)
        yield lambda sent, size: progress.update(task, completed=sent, total=size)
