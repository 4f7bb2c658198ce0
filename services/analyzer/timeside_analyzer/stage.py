"""The analyzer service: reads the blocks of its pool, streams rows, writes results."""

from collections.abc import Mapping
from typing import Any

from timeside_core import topics
from timeside_core.messages import Block, is_live
from timeside_core.stage.analysis import Analysis, RowsOutlet
from timeside_core.stage.handler import Handler, OnStep, Opener
from timeside_core.stage.service import BlockStage
from timeside_core.stage.settings import StageSettings
from timeside_core.store import Store

POOL = "analyzer"
STAGE = BlockStage(
    factory="timeside_analyzer.stage:opener",
    pool=POOL,
    topics=frozenset({topics.RESULT, topics.PARTIAL, topics.PROGRESS}),
)


def opener(settings: Mapping[str, Any], on_step: OnStep) -> Opener:
    """Handlers of analyses, in a child."""
    known = StageSettings.model_validate(settings)
    store = Store(known.store)

    def open_(message: Any, _: Mapping[str, Any]) -> Handler:
        pool = known.pool or POOL
        if isinstance(message, Block) and is_live(message):
            from timeside_core.stage.live import LiveAnalysis  # not above: most runs are not live

            return LiveAnalysis(pool, store, on_step)
        return Analysis(pool, lambda wish: RowsOutlet(wish, store), on_step)

    return open_
