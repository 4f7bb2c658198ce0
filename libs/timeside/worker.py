"""`timeside-worker`: the bulk lane. One worker decodes, analyses, draws and encodes; only commands and results go out.

It is the code of the services, unchanged: a decoder that sends to a pool of its own over the memory bus, and a pool
that runs all processors of a plan in one engine, so that equal inputs are computed once for all of them.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from timeside_core import topics
from timeside_core.bus import Bus, BusSettings, Topic
from timeside_core.bus.memory import MemoryBus
from timeside_core.bus.routed import RoutedBus
from timeside_core.messages import Lane
from timeside_core.pipeline import Encoder, Grapher
from timeside_core.stage.analysis import Analysis, Outlet, RowsOutlet, Wish
from timeside_core.stage.handler import OnStep, Opener
from timeside_core.stage.service import BlockStage
from timeside_core.stage.service import main as serve
from timeside_core.store import Store
from timeside_decoder.stage import STAGE as DECODER
from timeside_decoder.stage import DecoderSettings
from timeside_encoder.stage import FileOutlet
from timeside_grapher.stage import PictureOutlet

POOL = "worker"
PARTITIONS = 16
"""Of the topic inside: more than runs at once, so that one rarely waits for another."""


class WorkerSettings(DecoderSettings):
    """Those of a fused worker."""

    lanes: tuple[Lane, ...] = ("bulk",)
    """Lanes that are read, the most urgent first."""
    pool: str = POOL
    """Its own."""
    local_pool: str = POOL
    """Its own."""


def opener(settings: Mapping[str, Any], on_step: OnStep) -> Opener:
    """Handlers of blocks for all processors of a plan, in a child."""
    known = WorkerSettings.model_validate(settings)
    store = Store(known.store)

    def outlet_for(wish: Wish) -> Outlet:
        if isinstance(wish.processor, Encoder):
            return FileOutlet(wish, store, known.scratch_folder)
        return PictureOutlet(wish, store) if isinstance(wish.processor, Grapher) else RowsOutlet(wish, store)

    return lambda _, __: Analysis(POOL, outlet_for, on_step, takes_all=True)


STAGES = (
    replace(DECODER, group=f"ts.{POOL}"),
    BlockStage(
        pool=POOL,
        factory="timeside.worker:opener",
        topics=frozenset({topics.RESULT, topics.PARTIAL, topics.ENCODED, topics.PROGRESS}),
    ),
)


def fused(outer: Bus, settings: WorkerSettings) -> Bus:
    """The outer bus, but for blocks of audio, which stay here."""
    inside = [topics.pcm(POOL, lane) for lane in settings.lanes]
    inner = MemoryBus([Topic(name=name, partitions=PARTITIONS) for name in inside], settings=BusSettings())
    return RoutedBus(inner, outer, inside.__contains__)


def main() -> None:
    """Serve until told to stop."""
    sys.exit(serve(POOL, STAGES, lambda: WorkerSettings.of_environment(os.environ), bus=fused))


if __name__ == "__main__":
    main()
