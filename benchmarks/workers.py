"""Peak memory of workers: one run, many at once, hours of audio."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.support.plans import command
from tests.support.stages import Collected, blocks

from benchmarks.bulk import COUNT, IDS, bulk_command
from benchmarks.measure import markdown
from benchmarks.media import TRACK_MINUTES, long, tracks
from benchmarks.rig import Rig, results, section_over_kafka
from timeside_core import topics
from timeside_core.messages import Block, Decode, Start, StoredMedia, encode
from timeside_core.registry import get_processor

AT_ONCE = 64
HOURS = 3


def section(files: Mapping[str, Path], rounds: int) -> str:
    """Markdown of this section."""
    return section_over_kafka("Memory of workers", lambda rig: _text(rig, files["wav"].parent))


async def _text(rig: Rig, folder: Path) -> str:
    paths = tracks(folder, COUNT, "flac")
    media, hours = [rig.keep(path) for path in paths], rig.keep(long(folder, HOURS))
    lines: list[list[str]] = []
    for name, these, commands in (
        (f"one run of {TRACK_MINUTES} min", ("decoder", "analyzer"), [_streamed(media[0])]),
        (f"one run of {HOURS} h", ("decoder", "analyzer"), [_streamed(hours)]),
        (f"{COUNT} runs of {TRACK_MINUTES} min, one by one", ("worker",), [bulk_command(each) for each in media]),
        (f"one run of {HOURS} h", ("worker",), [bulk_command(hours)]),
    ):
        with rig.running(*these):
            await rig.run(*commands)
            lines += _lines(rig, name)
    with rig.running("analyzer"):
        await _interleaved(rig, media[0], paths[0])
        lines += _lines(rig, f"{AT_ONCE} runs of {TRACK_MINUTES} min at once, block by block")
    return (
        "A service is one I/O process and children that compute, here one. Decoder and analyzer make MFCC of FLAC, "
        f"streamed as it lies in the file; the worker, in which both are fused, makes {', '.join(IDS)}. Peak resident "
        "memory (VmHWM), libraries and the pages of files included; each line begins with fresh processes.\n\n"
        + markdown(["peak memory, MiB", "I/O process", "its largest child"], lines)
    )


def _lines(rig: Rig, name: str) -> list[list[str]]:
    lines = [[f"{service}, {name}", f"{own:.0f}", f"{child:.0f}"] for service, (own, child) in rig.peak_mib().items()]
    print(f"workers: {lines}", flush=True)
    return lines


def _streamed(media: StoredMedia, partition: int = 0) -> Decode:
    return command(media, [get_processor("mfcc")()], partition=partition)


async def _interleaved(rig: Rig, media: StoredMedia, path: Path) -> None:
    """Send the blocks of so many runs in turn, as that many decoders would: the analyzer has all of them open."""
    partitions = await rig.bus.partition_count(topics.pcm("analyzer", "interactive"))
    runs = [_streamed(media, number % partitions) for number in range(AT_ONCE)]
    async with Collected(rig.bus, topics.RESULT) as collected:
        for block in blocks(runs[0], path):
            for run in runs:
                (sink,) = run.run.plan.sinks
                value = encode(_as_of(run, block))
                await rig.bus.send(topics.pcm(sink.pool, run.run.lane), value, partition=sink.partition)
        await results(collected, runs)


def _as_of(run: Decode, block: Block) -> Block:
    """The block of another run of the same media."""
    body = block.body.model_copy(update={"run": run.run}) if isinstance(block.body, Start) else block.body
    return replace(block, run_id=run.run.run_id, body=body)
