"""`timeside run` and `timeside watch`: have a server compute, and see how far it is."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from timeside.cli.remote import AsJson, result_line, show, with_client
from timeside.presets import parse
from timeside_core.errors import ParameterError

if TYPE_CHECKING:
    from timeside.client import Client

Tell = Callable[[dict[str, Any]], None]


def run(
    items: Annotated[list[str], typer.Argument(help="Ids of items.", metavar="ITEM…")],
    processors: Annotated[
        list[str] | None,
        typer.Option("--processor", "-p", help="mfcc, mfcc:n_mfcc=13 or mfcc:{JSON}; as often as needed."),
    ] = None,
    experience: Annotated[str, typer.Option("--experience", help="Id of an experience.")] = "",
    lane: Annotated[str, typer.Option("--lane", help="interactive, or bulk, which waits for it.")] = "interactive",
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not wait; print the tasks.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask for results of items, and wait for them. Exit code 1 if some could not be made."""
    wanted = [parse(word) for word in processors or ()]
    if bool(wanted) == bool(experience):
        raise ParameterError("either processors (-p) or an experience (--experience) must be given")

    async def work(client: "Client") -> bool:
        asked = await client.experience(experience) if experience else wanted
        tasks = [await client.run(item, asked, lane=lane) for item in items]
        if detach:
            for task in tasks:
                show(task, task["id"], as_json=as_json)
            return True
        return all([await _watched(client, task["id"], as_json=as_json) for task in tasks])

    raise typer.Exit(0 if with_client(work) else 1)


def watch(task: Annotated[str, typer.Argument(help="Id of a task.")], as_json: AsJson = False) -> None:
    """Follow a task to its end: progress, then its results. Exit code 1 if some could not be made."""
    raise typer.Exit(0 if with_client(lambda client: _watched(client, task, as_json=as_json)) else 1)


async def _watched(client: "Client", task_id: str, *, as_json: bool) -> bool:
    """Whether all of a task is done; its results are printed."""
    with _bar(task_id) as tell:
        async for message in client.follow(task_id):
            if isinstance(message, dict):
                tell(message)
    task = await client.task(task_id)
    for result in task["result_list"]:
        show(result, result_line(result), as_json=as_json)
    return task["state"] == "done"


@contextmanager
def _bar(task_id: str) -> Generator[Tell]:
    """A bar of the seconds that all stages are done with, where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield lambda message: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"task {task_id[:8]}: waiting", total=None)
        done: dict[tuple[str, str], float] = {}

        def tell(message: dict[str, Any]) -> None:
            if message["op"] == "progress" and message["samples"]:
                done[message["run"], message["stage"]] = message["samples_done"] / message["samples"]
                progress.update(bar, description=f"task {task_id[:8]}", completed=min(done.values()), total=1.0)

        yield tell
