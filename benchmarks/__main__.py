"""`make bench`: measures everything and writes docs/benchmarks.md. `--only analyzers` prints one section."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for all contestants: its spinning threads would blur the figures

import argparse
import platform
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import (
    analyzers,
    bulk,
    decoders,
    drawing,
    encoders,
    gateway,
    latency,
    memory,
    streamed,
    subscribers,
    workers,
)
from benchmarks.media import prepare
from timeside_core.pipeline import library_versions

SECTIONS: dict[str, Callable[[dict[str, Path], int], str]] = {
    "decoders": decoders.section,
    "analyzers": analyzers.section,
    "encoders": encoders.section,
    "graphers": drawing.section,
    "memory": memory.section,
    "streamed": streamed.section,
    "bulk": bulk.section,
    "latency": latency.section,
    "workers": workers.section,
    "gateway": gateway.section,
    "subscribers": subscribers.section,
}
GROUPS = {"conveyor": ("streamed", "bulk", "latency", "workers"), "platform": ("gateway", "subscribers")}
"""The conveyor's sections need a real Kafka broker."""


def main() -> None:
    """Measure the sections asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="length of the audio")
    parser.add_argument("--rounds", type=int, default=3, help="medians are over so many rounds")
    parser.add_argument("--only", choices=[*SECTIONS, *GROUPS], action="append", help="sections; all if not given")
    parser.add_argument("--media", type=Path, default=Path(tempfile.gettempdir()) / "timeside-benchmarks")
    parser.add_argument("--write", type=Path, default=Path("docs/benchmarks.md"))
    arguments = parser.parse_args()
    files = prepare(arguments.media, arguments.minutes)
    wanted = [name for each in arguments.only or SECTIONS for name in GROUPS.get(each, (each,))]
    texts = [SECTIONS[name](files, arguments.rounds) for name in wanted]
    if arguments.only:
        print("\n\n".join(texts))
        return
    arguments.write.write_text("\n\n".join([_head(arguments.minutes, arguments.rounds), *texts]) + "\n", "utf-8")


def _head(minutes: float, rounds: int) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in library_versions().items())
    return f"""# Benchmarks

CPU seconds (user and system, all threads) for {minutes:g} minutes of 44.1 kHz stereo, medians of {rounds} rounds in
which the contestants take turns in one process, BLAS on one thread; `ffmpeg` is the command, as a whole process. The
ratio is TimeSide over the best of the libraries (commands aside): below 1 TimeSide takes less. Machines differ and are
noisy: the ratios travel, the seconds do not. The sections over Kafka run services as they are deployed, as processes
of their own, and say what they count.

Measured by `make bench` on {datetime.now(UTC):%d %B %Y}: {os.cpu_count()} cores ({platform.machine()}),
Python {platform.python_version()}, {versions}."""


main()
