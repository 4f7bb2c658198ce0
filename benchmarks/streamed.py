"""Decoding and analysis in two services over Kafka, beside the same in one process."""

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import soundfile
from tests.support.plans import command

from benchmarks.measure import cpu_s, markdown
from benchmarks.rig import BROKER, Rig, of_services, section_over_kafka
from timeside_core.messages import BlockForm
from timeside_core.pipeline import Pipeline
from timeside_core.processor import Step
from timeside_core.registry import get_processor
from timeside_decoder.file import FileDecoder

FORMS = {"mono": BlockForm(mono=True), "all channels": BlockForm()}
"""What the analyzer is sent: mixed by the decoder, or as it lies in the file."""
ALONE = "in process"
MFCC = ("mfcc",)
FOUR = ("mfcc", "chroma", "onset_detection_function", "aubio_pitch")
IDLE_S = 10.0


def section(files: Mapping[str, Path], rounds: int) -> str:
    """Markdown of this section."""
    return section_over_kafka("Streamed over Kafka", lambda rig: _text(rig, files, rounds))


async def _text(rig: Rig, files: Mapping[str, Path], rounds: int) -> str:
    with rig.running("decoder", "analyzer"):
        await _medians(rig, files["flac"], FOUR, 1)  # all is imported then
        idle_s = await _idle_s(rig)
        rows = {f"{name}, MFCC": await _medians(rig, path, MFCC, rounds) for name, path in files.items()}
        rows["flac, four analyzers"] = await _medians(rig, files["flac"], FOUR, rounds)
    flac, more_s = rows["flac, MFCC"], {name: _more_s(medians) for name, medians in rows.items()}
    parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in flac["mono"].items())
    sent_mb = soundfile.info(files["wav"]).frames * 4 / 1e6
    head = ["", ALONE, "mono", "ratio", "all channels", "ratio", "broker, mono", "broker, all channels"]
    return (
        "CPU seconds of the services `decoder` and `analyzer` with their children, over a Kafka broker beside them, "
        "results stored and rows sent as they come; and of one process that keeps the results in memory. The analyzer "
        "is sent one channel, mixed by the decoder, or all of them. The ratio is services over one process, the broker "
        f"aside. The four analyzers are {', '.join(FOUR)}.\n\n"
        + markdown(head, (_line(name, medians) for name, medians in rows.items()))
        + f"\n\nFLAC, MFCC, mono, by process: {parts}. What is added, {sent_mb:.0f} MB of samples through two pipes "
        f"and a broker, rows on their way and in the store, takes {more_s['flac, MFCC']:.2f} s, with four analyzers "
        f"{more_s['flac, four analyzers']:.2f} s: the more is computed, the lower the ratio. Idle, both services take "
        f"{100 * idle_s:.1f} % of a core."
    )


def _more_s(medians: Mapping[str, Mapping[str, float]]) -> float:
    return of_services(medians["mono"]) - medians[ALONE][""]


async def _idle_s(rig: Rig) -> float:
    """CPU seconds per second of services that have nothing to do."""
    before = of_services(rig.cpu_s())
    await asyncio.sleep(IDLE_S)
    return (of_services(rig.cpu_s()) - before) / IDLE_S


async def _medians(rig: Rig, path: Path, ids: Sequence[str], rounds: int) -> dict[str, dict[str, float]]:
    """CPU seconds by process, in one process and in each form, in turns."""
    media, steps = rig.keep(path), _steps(ids)
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in (ALONE, *FORMS)}
    for _ in range(rounds):
        taken[ALONE].append({"": cpu_s(Pipeline(FileDecoder(path), steps).run)})
        for name, form in FORMS.items():
            taken[name].append((await rig.measured(command(media, steps, forms={"analyzer": form}))).cpu_s)
    medians = {
        name: {part: statistics.median(each[part] for each in turns) for part in turns[0]}
        for name, turns in taken.items()
    }
    print(f"streamed, {path.name}, {len(ids)}: {medians}", flush=True)
    return medians


def _steps(ids: Sequence[str]) -> tuple[Step, ...]:
    made = [get_processor(each)() for each in ids]
    return tuple(each for each in made if isinstance(each, Step))


def _line(name: str, medians: Mapping[str, Mapping[str, float]]) -> list[str]:
    alone_s = medians[ALONE][""]
    mono_s, all_s = (of_services(medians[form]) for form in FORMS)
    brokers = [f"{medians[form][BROKER]:.2f}" for form in FORMS]
    seconds = [f"{alone_s:.2f}", f"{mono_s:.2f}", f"{mono_s / alone_s:.2f}", f"{all_s:.2f}", f"{all_s / alone_s:.2f}"]
    return [name, *seconds, *brokers]
