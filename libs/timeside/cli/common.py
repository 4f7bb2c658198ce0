"""What the commands share: their options, and a batch with its progress on the terminal."""

import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from timeside.batch import Found, Outcome, Tell, find, run
from timeside.work import Done

Answer = TypeVar("Answer")

Sources = Annotated[list[str], typer.Argument(help="Files, folders or quoted patterns.", metavar="PATH…")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for what is made.")]
Start = Annotated[float, typer.Option("--start", min=0, help="Where to begin, s.")]
Duration = Annotated[float | None, typer.Option("--duration", help="How much to take, s; to the end if not given.")]
Gain = Annotated[float | None, typer.Option("--gain", help="Linear gain applied first.")]
Jobs = Annotated[int, typer.Option("-j", "--jobs", min=0, help="Processes; 0 means one per core.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is already there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]


def batch(
    sources: list[str],
    work: Callable[[Found, Tell], Answer],
    *,
    jobs: int,
    quiet: bool,
    record: Callable[[Found, Answer], str],
) -> tuple[list[Outcome[Answer]], int]:
    """Outcomes of `work` over what `sources` name, and the exit code: 0 all well, 1 some failed.

    `record` is called with each answer as it comes; the line it returns is printed.
    """
    files = find(sources)
    if not files:
        print("timeside: no audio or video file found there", file=sys.stderr)
        return [], 1
    outcomes: list[Outcome[Answer]] = []
    with _bars(files, quiet) as (tell, done):
        for outcome in run(files, work, processes=jobs or os.cpu_count() or 1, tell=tell):
            outcomes.append(outcome)
            done(outcome.file)
            if outcome.answer is None:
                print(f"{outcome.file.path}: {outcome.error}", file=sys.stderr)
                continue
            line = record(outcome.file, outcome.answer)
            if not quiet:
                print(line)
    failed = sum(bool(outcome.error) for outcome in outcomes)
    if failed:
        print(f"{failed} of {len(files)} files failed", file=sys.stderr)
    return outcomes, 1 if failed else 0


def written(file: Found, done: Done) -> str:
    """The line that says what came of a file."""
    return f"{file.path}: {', '.join(str(path) for path in done.written)}"


@contextmanager
def _bars(
    files: Sequence[Found], quiet: bool
) -> Generator[tuple[Callable[[Found, float, float | None], None], Callable[[Found], None]]]:
    """A bar for all files and one for each at work, where standard error is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield _ignore, _ignore
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        total = progress.add_task("files", total=len(files))
        bars: dict[Path, TaskID] = {}

        def tell(file: Found, done_s: float, total_s: float | None) -> None:
            if file.path not in bars:
                bars[file.path] = progress.add_task(f"  {file.relative} (s)", total=None)
            progress.update(bars[file.path], completed=round(done_s), total=total_s and round(total_s))

        def done(file: Found) -> None:
            progress.advance(total)
            if file.path in bars:
                progress.remove_task(bars.pop(file.path))

        yield tell, done


def _ignore(*_: object) -> None:
    """Show nothing."""
