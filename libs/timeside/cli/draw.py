"""`timeside draw`: pictures of files and folders."""

from pathlib import Path
from typing import Annotated

import typer

from timeside.cli.common import Duration, Gain, Jobs, Out, Overwrite, Quiet, Sources, Start, batch, written
from timeside.presets import parse
from timeside.work import Drawing


def draw(
    sources: Sources,
    grapher: Annotated[
        list[str] | None, typer.Option("--grapher", "-g", help="ID or ID:name=value,… ; as often as you like.")
    ] = None,
    out: Out = Path("timeside-pictures"),
    width: Annotated[int, typer.Option("--width", help="Width, pixels.")] = 1024,
    height: Annotated[int, typer.Option("--height", help="Height, pixels.")] = 256,
    format: Annotated[str, typer.Option("--format", "-f", help="png or svg.")] = "png",
    start: Start = 0.0,
    duration: Duration = None,
    gain: Gain = None,
    jobs: Jobs = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Draw files and folders."""
    plan = Drawing(
        out=out,
        start=start,
        duration=duration,
        gain=gain,
        overwrite=overwrite,
        graphers=[parse(word) for word in grapher or ("waveform_simple", "spectrogram_log")],
        width=width,
        height=height,
        format=format,
    )
    plan.check()
    _, code = batch(sources, plan, jobs=jobs, quiet=quiet, record=written)
    raise typer.Exit(code)
