"""The analyzer service: reads the blocks of its pool, streams rows, writes results."""

from collections.abc import Mapping
from typing import Any

from timeside_core import topics
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

    def open_(_: Any, __: Mapping[str, Any]) -> Handler:
        return Analysis(known.pool or POOL, lambda wish: RowsOutlet(wish, store), on_step)

    return open_
