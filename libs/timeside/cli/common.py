"""What the commands share: their options, and a batch with its progress on the terminal."""

import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from timeside.batch import Found, Outcome, find, run
from timeside.work import Done, Plan, apart
from timeside_core.errors import TimesideError

if TYPE_CHECKING:
    from timeside_core.bus import KafkaAccess

Sources = Annotated[list[str], typer.Argument(help="Files, folders or quoted patterns.", metavar="PATH…")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for what is made.")]
Start = Annotated[float, typer.Option("--start", min=0, help="Where to begin, s.")]
Duration = Annotated[float | None, typer.Option("--duration", help="How much to take, s; to the end if not given.")]
Gain = Annotated[float | None, typer.Option("--gain", help="Linear gain applied first.")]
Jobs = Annotated[int, typer.Option("-j", "--jobs", min=0, help="Processes; 0 means one per core.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is already there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]


def say(line: str, *, error: bool = False) -> None:
    """Print one line, to standard error if it tells of an error; what is not printable (in names) is escaped."""
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in line)
    print(shown, file=sys.stderr if error else sys.stdout)


def kafka_access() -> "KafkaAccess":
    """How brokers are spoken to, as the environment says."""
    from timeside_core.bus import KafkaAccess
    from timeside_core.settings import from_environment

    return from_environment(KafkaAccess, os.environ)


def batch(
    sources: list[str],
    plan: Plan,
    *,
    jobs: int,
    quiet: bool,
    record: Callable[[Found, Done], str],
) -> tuple[list[Outcome[Done]], int]:
    """Outcomes of a plan over what `sources` name, and the exit code: 0 all well, 1 some failed.

    `record` is called with each answer as it comes; the line it returns is printed.
    """
    files = find(sources)
    if not files:
        say(f"timeside: no audio or video file in {', '.join(sources)}", error=True)
        return [], 1
    outcomes: list[Outcome[Done]] = []
    with (
        _bars(files, quiet) as (tell, over),
        closing(run(list(apart(files, plan)), plan, processes=jobs or os.cpu_count() or 1, tell=tell)) as found,
    ):
        for outcome in found:
            over(outcome.file)
            outcomes.append(_said(outcome, record, quiet))
    failed = sum(bool(outcome.error) for outcome in outcomes)
    if failed:
        say(f"{failed} of {len(files)} files failed", error=True)
    return outcomes, 1 if failed else 0


def written(file: Found, done: Done) -> str:
    """The line that says what came of a file."""
    return f"{file.path}: {', '.join(str(path) for path in done.written)}"


def failure(path: Path, error: str) -> str:
    """The line that says what is wrong with a file; many errors begin with its path."""
    return error if error.startswith(f"{path}:") else f"{path}: {error}"


def _said(outcome: Outcome[Done], record: Callable[[Found, Done], str], quiet: bool) -> Outcome[Done]:
    """An outcome once it is recorded and said."""
    path, line = outcome.file.path, ""
    if outcome.answer is not None:
        try:
            line = record(outcome.file, outcome.answer)
        except TimesideError as error:
            outcome = replace(outcome, error=str(error))
    for problem in filter(None, (*outcome.warnings, outcome.error)):
        say(failure(path, problem), error=True)
    if line and not quiet:
        say(line)
    return outcome


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
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console, lines = Console(stderr=True), sys.stdout.isatty()  # lines for a pipe or a file must not go to the terminal
    with Progress(*columns, console=console, transient=True, redirect_stdout=lines) as progress:
        total = progress.add_task("files", total=len(files))
        bars: dict[Path, TaskID] = {}
        finished: set[Path] = set()  # their last progress may come later

        def tell(file: Found, done_s: float, total_s: float | None) -> None:
            if file.path in finished:
                return
            if file.path not in bars:
                bars[file.path] = progress.add_task(f"  {file.relative} (s)", total=None)
            progress.update(bars[file.path], completed=round(done_s), total=total_s and round(total_s))

        def done(file: Found) -> None:
            finished.add(file.path)
            progress.advance(total)
            if file.path in bars:
                progress.remove_task(bars.pop(file.path))

        yield tell, done


def _ignore(*_: object) -> None:
    """Show nothing."""
