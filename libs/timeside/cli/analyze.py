"""`timeside analyze`: results of files and folders, and one table of them."""

from pathlib import Path
from typing import Annotated

import typer

from timeside.batch import Found
from timeside.cli.common import Duration, Gain, Jobs, Out, Overwrite, Quiet, Sources, Start, batch, say
from timeside.presets import load, parse
from timeside.work import Analysis, Done, note, read_index
from timeside_core import formats
from timeside_core.errors import FormatError

DEFAULT = ("level", "loudness_itu", "aubio_temporal")


def analyze(
    sources: Sources,
    analyzer: Annotated[
        list[str] | None, typer.Option("--analyzer", "-a", help="ID or ID:name=value,… ; as often as you like.")
    ] = None,
    preset: Annotated[list[Path] | None, typer.Option("--preset", "-p", help="YAML file of presets.")] = None,
    out: Out = Path("timeside-results"),
    format: Annotated[str, typer.Option("--format", "-f", help="Format of the results' files.")] = "json",
    table: Annotated[Path | None, typer.Option("--table", help="One table of all files: .csv or .parquet.")] = None,
    start: Start = 0.0,
    duration: Duration = None,
    gain: Gain = None,
    jobs: Jobs = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Analyse files and folders; what is done already with the same key is skipped."""
    presets = [parse(word) for word in analyzer or ()] + [each for path in preset or () for each in load(path)]
    plan = Analysis(
        out=out,
        start=start,
        duration=duration,
        gain=gain,
        overwrite=overwrite,
        analyzers=presets or [parse(word) for word in DEFAULT],
        format=format,
        known=read_index(out),
    )
    plan.check()
    out.mkdir(parents=True, exist_ok=True)
    if table is not None:
        formats.check_table(table)
        table.parent.mkdir(parents=True, exist_ok=True)

    def record(file: Found, done: Done) -> str:
        if not done.skipped:
            note(out, done)
        return f"{file.path}: {'as before' if done.skipped else 'done'}, {done.written[0]}"

    outcomes, code = batch(sources, plan, jobs=jobs, quiet=quiet, record=record)
    if table is not None:
        rows = [
            outcome.answer.row
            if outcome.answer is not None and not outcome.error
            else {"uri": str(outcome.file.path), "error": outcome.error}
            for outcome in sorted(outcomes, key=lambda outcome: outcome.file.path)
        ]
        try:
            formats.write_table(rows, table)
        except FormatError as error:
            say(f"timeside: {error}", error=True)
            code = 1
    raise typer.Exit(code)
