"""The grapher service: computes what is displayed from blocks, and draws it; draws also what lies in the store."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from timeside_core import topics
from timeside_core.audio import Media, Segment
from timeside_core.engine import Emission, Engine, Wanted
from timeside_core.errors import ParameterError, ProcessorError, TimesideError
from timeside_core.messages import Derived, Draw, Failed
from timeside_core.outputs import Rows
from timeside_core.pipeline import Grapher, provenance_of, results_at
from timeside_core.processor import Analyzer, inputs_of
from timeside_core.results import Result, Results
from timeside_core.stage.analysis import Analysis, Outlet, RowsOutlet, Wish, derived_name, instance
from timeside_core.stage.commands import NoFiles
from timeside_core.stage.handler import Handler, OnStep, Opener, Outgoing
from timeside_core.stage.service import BlockStage, CommandStage
from timeside_core.stage.settings import StageSettings
from timeside_core.store import Store

POOL = "grapher"
_MIME_TYPES = {"png": "image/png", "svg": "image/svg+xml"}


class PictureOutlet(Outlet):
    """A picture of what analyzers found, drawn when the signal has ended."""

    def __init__(self, wish: Wish, store: Store) -> None:
        assert isinstance(wish.processor, Grapher)
        self._wish, self._store, self._grapher = wish, store, wish.processor
        self.wanted = tuple(
            Wanted(each, wish.effects) for each in inputs_of(wish.processor) if isinstance(each, Analyzer)
        )
        self._rows: dict[int, dict[str, list[Rows]]] = {}

    def open(self, engine: Engine, positions: tuple[int, ...]) -> Iterator[Outgoing]:
        """Note where the analyzers are."""
        self._engine, self._positions = engine, positions
        yield from ()

    def take(self, emission: Emission) -> Iterator[Outgoing]:
        """Keep the rows; what is drawn of is made to be small."""
        assert emission.rows is not None
        self._rows.setdefault(emission.index, {}).setdefault(emission.output, []).append(emission.rows)
        yield from ()

    def finish(self, media: Media, segment: Segment, samples: int) -> Iterator[Outgoing]:
        """Draw."""
        results: list[Result] = []
        for wanted, position in zip(self.wanted, self._positions, strict=True):
            provenance = provenance_of(wanted, media, segment, run_time_s=self._engine.run_time_s(position))
            results += results_at(self._engine, position, self._rows.get(position, {}), provenance)
        picture = self._grapher.draw(Results(results))
        name = derived_name(self._wish, "png")
        self._store.objects.put(name, picture)
        self._store.objects.sync(name.rpartition("/")[0])
        yield Outgoing(topics.RESULT, _derived(picture, name, "png", **self._wish.ids()))


class Drawing(Handler):
    """A picture of results in the store: no audio is decoded for it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def handle(self, message: Draw) -> Iterator[Outgoing]:
        """Draw, and put the picture where it was asked for."""
        ids: dict[str, Any] = {"run_id": message.run_id, "attempt": message.attempt}
        try:
            picture = self._drawn(message)
            self._store.objects.put(message.object, picture)
            self._store.objects.sync(message.object.rpartition("/")[0])
        except TimesideError as error:
            retriable = not isinstance(error, ParameterError | ProcessorError)
            yield Outgoing(
                topics.RESULT,
                Failed(**ids, stage=POOL, code="drawing", reason=str(error)[:4096], retriable=retriable),
            )
        else:
            yield Outgoing(topics.RESULT, _derived(picture, message.object, message.format, **ids))
        self.done = True

    def _drawn(self, draw: Draw) -> bytes:
        grapher = instance(draw.grapher)
        if not isinstance(grapher, Grapher):
            raise ProcessorError(f"{grapher.id!r} is no grapher")
        stored = [self._store.result(each.prefix, manifest_sha256=each.manifest_sha256) for each in draw.results]
        span = draw.start_s, draw.stop_s
        return grapher.draw(
            Results([result for each in stored for result in each.shown(*span, draw.width)]),
            width=draw.width,
            height=draw.height,
            start_s=draw.start_s,
            stop_s=draw.stop_s,
            format=draw.format,
        )


def _derived(picture: bytes, name: str, format: str, **ids: Any) -> Derived:
    sha256 = hashlib.sha256(picture).hexdigest()
    return Derived(**ids, object=name, sha256=sha256, size=len(picture), mime_type=_MIME_TYPES[format])


def opener(settings: Mapping[str, Any], on_step: OnStep) -> Opener:
    """Handlers of blocks, in a child."""
    known = StageSettings.model_validate(settings)
    store = Store(known.store)

    def outlet_for(wish: Wish) -> Outlet:
        return PictureOutlet(wish, store) if isinstance(wish.processor, Grapher) else RowsOutlet(wish, store)

    return lambda _, __: Analysis(known.pool or POOL, outlet_for, on_step)


def draw_opener(settings: Mapping[str, Any], _: OnStep) -> Opener:
    """Handlers of commands, in a child; one that serves other stages too is told more than it needs."""
    own = {name: value for name, value in settings.items() if name in StageSettings.model_fields}
    store = Store(StageSettings.model_validate(own).store)
    return lambda _, __: Drawing(store)


STAGE = BlockStage(
    pool=POOL,
    factory="timeside_grapher.stage:opener",
    topics=frozenset({topics.RESULT, topics.PARTIAL, topics.PROGRESS}),
)
DRAW_STAGE = CommandStage(
    name="drawer",
    factory="timeside_grapher.stage:draw_opener",
    command_topic=topics.graph_commands,
    topics=frozenset({topics.RESULT}),
    files=NoFiles,
)
