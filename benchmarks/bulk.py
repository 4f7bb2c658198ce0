"""The bulk lane: what a fused worker does in an hour of a core."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.plans import command

from benchmarks.measure import cpu_s, markdown
from benchmarks.media import TRACK_MINUTES, tracks
from benchmarks.rig import Measured, Rig, section_over_kafka
from timeside_core.messages import Decode, StoredMedia
from timeside_core.pipeline import Pipeline
from timeside_core.processor import Processor
from timeside_core.registry import get_processor
from timeside_decoder.file import FileDecoder

IDS = (
    *("level", "loudness_itu", "mfcc", "chroma", "onset_detection_function", "aubio_pitch"),
    *("waveform_analyzer", "spectrogram_analyzer"),
)
FORMATS = ("flac", "mp3")
COUNT = 8


def bulk_command(media: StoredMedia) -> Decode:
    """All that is asked of a track, as the dispatcher hands it out in the bulk lane."""
    return command(media, _processors(), lane="bulk", is_fused=True, partial_rows=False)


def section(files: Mapping[str, Path], rounds: int) -> str:
    """Markdown of this section."""
    folder = files["wav"].parent
    return section_over_kafka("Bulk lane", lambda rig: _text(rig, folder, rounds))


async def _text(rig: Rig, folder: Path, rounds: int) -> str:
    with rig.running("worker"):
        lines = [await _line(rig, tracks(folder, COUNT, suffix), rounds) for suffix in FORMATS]
    head = ["tracks", "worker, CPU s", "audio hours in a core hour", "in process, CPU s", "ratio", "stored, MB a track"]
    return (
        f"One worker, in which decoder and analyzers are fused, with one child of each; results of {', '.join(IDS)} "
        "are stored, all of one pass. CPU seconds are those of the worker and its children, for all tracks; in process "
        f"means the same pipelines here, their results dropped.\n\n{markdown(head, lines)}"
    )


async def _line(rig: Rig, paths: Sequence[Path], rounds: int) -> list[str]:
    await rig.measured(*_commands(rig, paths[:1]))  # all is imported then
    measured: list[Measured] = []
    alone: list[float] = []
    for _ in range(rounds):
        measured.append(await rig.measured(*_commands(rig, paths)))
        alone.append(cpu_s(lambda: _alone(paths)))
    worker_s, alone_s = statistics.median(each.services_s for each in measured), statistics.median(alone)
    rate = len(paths) * TRACK_MINUTES * 60 / worker_s
    stored_mb = sum(each.size for each in measured[0].done) / len(paths) / 1e6
    print(f"bulk, {paths[0].suffix}: {[each.cpu_s for each in measured]}, alone {alone}", flush=True)
    name = f"{len(paths)} of {TRACK_MINUTES} min, {paths[0].suffix[1:]}"
    figures = (f"{worker_s:.1f}", f"{rate:.0f}", f"{alone_s:.1f}", f"{worker_s / alone_s:.2f}", f"{stored_mb:.1f}")
    return [name, *figures]


def _commands(rig: Rig, paths: Sequence[Path]) -> list[Decode]:
    return [bulk_command(rig.keep(path)) for path in paths]


def _alone(paths: Sequence[Path]) -> None:
    for path in paths:
        Pipeline(FileDecoder(path), _processors()).run()


def _processors() -> tuple[Processor, ...]:
    return tuple(get_processor(each)() for each in IDS)
