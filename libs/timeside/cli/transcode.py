"""`timeside transcode`: files and folders in another format."""

from pathlib import Path
from typing import Annotated

import typer

from timeside.cli.common import Duration, Gain, Jobs, Out, Overwrite, Quiet, Sources, Start, batch, written
from timeside.presets import parse
from timeside.work import Transcoding


def transcode(
    sources: Sources,
    to: Annotated[str, typer.Option("--to", "-t", help="wav, flac, vorbis, mp3, opus, aac or webm; opus:name=value,…")],
    out: Out = Path("timeside-transcodes"),
    start: Start = 0.0,
    duration: Duration = None,
    gain: Gain = None,
    jobs: Jobs = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Encode files and folders anew; embedded tags are carried over."""
    name, parameters = parse(to)
    id = name if name.endswith("_encoder") else f"{name}_encoder"
    plan = Transcoding(
        out=out, start=start, duration=duration, gain=gain, overwrite=overwrite, encoder=(id, parameters)
    )
    plan.check()
    _, code = batch(sources, plan, jobs=jobs, quiet=quiet, record=written)
    raise typer.Exit(code)
