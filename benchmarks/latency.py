"""How long it takes from a command to its first rows, and to its result."""

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tests.support.plans import command
from tests.support.stages import Collected, send

from benchmarks.measure import markdown
from benchmarks.media import TRACK_MINUTES, tracks
from benchmarks.rig import PATIENCE_S, Rig, section_over_kafka
from timeside_core import topics
from timeside_core.messages import Decode, Done, Facts, PartialRows, StoredMedia
from timeside_core.registry import get_processor

RUNS = 40
FORMATS = ("flac", "mp3")
STEPS: Mapping[str, type[Any]] = {"decoder has opened it": Facts, "first rows": PartialRows, "result": Done}
"""The first message of each kind is waited for."""


def section(files: Mapping[str, Path], rounds: int) -> str:
    """Markdown of this section."""
    return section_over_kafka("Latency", lambda rig: _text(rig, files["wav"].parent))


async def _text(rig: Rig, folder: Path) -> str:
    loads, lines = [os.getloadavg()[0]], list[list[str]]()
    with rig.running("decoder", "analyzer"):
        for suffix in FORMATS:
            (path,) = tracks(folder, 1, suffix)
            times_s = await _times_s(rig, rig.keep(path))
            loads.append(os.getloadavg()[0])
            medians, lasts = np.percentile(times_s, 50, axis=0), np.percentile(times_s, 99, axis=0)
            figures = [f"{1e3 * p50:.0f} / {1e3 * p99:.0f}" for p50, p99 in zip(medians, lasts, strict=True)]
            lines.append([f"{suffix} of {TRACK_MINUTES} min", *figures])
            print(f"latency: {lines[-1]}, load {loads}", flush=True)
    return (
        "From sending a command to receiving what it leads to, over Kafka and two services: MFCC, rows sent as they "
        f"come, {RUNS} runs one after the other at random moments. Load of the machine meanwhile: {min(loads):.1f} to "
        f"{max(loads):.1f} on {os.cpu_count()} cores.\n\n" + markdown(["ms, median / 99th percentile", *STEPS], lines)
    )


async def _times_s(rig: Rig, media: StoredMedia) -> list[list[float]]:
    """Seconds to each step, by run; the first run warms up."""
    mfcc, moments = get_processor("mfcc")(), np.random.default_rng(440)
    times_s: list[list[float]] = []
    async with Collected(rig.bus, topics.RESULT, topics.PARTIAL) as collected:
        for _ in range(1 + RUNS):
            await asyncio.sleep(moments.uniform(0.5, 1.5))  # nothing waits in step with what polls
            times_s.append(await _of_one(rig, collected, command(media, [mfcc])))
    return times_s[1:]


async def _of_one(rig: Rig, collected: Collected, run: Decode) -> list[float]:
    seen_s: dict[type[Any], float] = {}

    def is_whole(messages: list[Any]) -> bool:
        for message in messages:
            if message.run_id == run.run.run_id:
                seen_s.setdefault(message.__class__, time.perf_counter() - began)
        messages.clear()
        return Done in seen_s

    began = time.perf_counter()
    await send(rig.bus, run)
    await collected.until(is_whole, within_s=PATIENCE_S)
    return [seen_s[kind] for kind in STEPS.values()]
