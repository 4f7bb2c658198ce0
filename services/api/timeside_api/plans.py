"""What is asked of a media, as keys of results: which processor with which parameters, and the workers that run it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from timeside_core.audio import Segment
from timeside_core.errors import ParameterError
from timeside_core.key import digest
from timeside_core.outputs import Framewise
from timeside_core.pipeline import Encoder, Grapher
from timeside_core.processor import Analyzer, Effect, Processor, Step, inputs_of

MAX_PROCESSORS = 256
"""Of one task on one media: its command must stay a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A result that is asked for, of whatever media."""

    processor: str
    version: str
    digest: str
    """With the media, the processor and the version: its key."""
    parameters: dict[str, Any]
    effects: tuple[dict[str, Any], ...]
    """Upstream of it, first to last: id, version, parameters."""
    pool: str
    """Workers that run it."""
    outputs: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        """Its key, besides the media."""
        return self.processor, self.version, self.digest


def asked(processors: Sequence[Processor], segment: Segment | None = None) -> tuple[Asked, ...]:
    """The results of a pipeline of these processors, each once: pictures, and the results that they show, among them.

    Raises `ParameterError` where there are none, or more than a command can carry.
    """
    effects: tuple[Effect, ...] = ()
    wanted: list[Asked] = []
    for processor in processors:
        if isinstance(processor, Effect):
            effects = (*effects, processor)
        elif not isinstance(processor, Analyzer | Encoder | Grapher):
            raise ParameterError(f"{processor.label()!r} makes no result: analyzers, graphers and encoders do")
        else:
            drawn = inputs_of(processor) if isinstance(processor, Grapher) else ()
            wanted += [_asked(each, effects, segment) for each in (*drawn, processor)]
    once = tuple({each.key: each for each in wanted}.values())
    if not 1 <= len(once) <= MAX_PROCESSORS:
        raise ParameterError(f"{len(once)} results of a media were asked for: 1 to {MAX_PROCESSORS} can be")
    for each in once:
        if any("\0" in text for text in _texts([each.parameters, *each.effects])):
            raise ParameterError(
                f"{each.processor}: a text among its parameters has a NUL, which PostgreSQL cannot keep"
            )
    return once


def pool_of(processor: Processor) -> str:
    """Workers that run a processor: those that it, or a step that it reads, says; else the usual ones of its kind."""
    if isinstance(processor, Grapher):
        return "grapher"
    if said := next(_said(processor), ""):
        return said
    if isinstance(processor, Encoder):
        return "encoder"
    return "grapher" if isinstance(processor, Analyzer) and _is_displayed(processor) else "analyzer"


def _said(processor: Processor) -> Iterator[str]:
    if isinstance(processor, Step) and processor.runs_in:
        yield processor.runs_in
    for each in inputs_of(processor):
        yield from _said(each)


def _is_displayed(analyzer: Analyzer) -> bool:
    """Whether it makes pyramids or tiles, which are there to be looked at."""
    outputs = analyzer.declared().values()
    return any(isinstance(output, Framewise) and output.pooling != "summary" for output in outputs)


def _asked(processor: Processor, effects: tuple[Effect, ...], segment: Segment | None) -> Asked:
    return Asked(
        processor=processor.id,
        version=processor.version,
        digest=digest(processor, effects=effects, segment=segment),
        parameters=processor.parameters(),
        effects=tuple(_value(effect) for effect in effects),
        pool=pool_of(processor),
        outputs=tuple(processor.declared()) if isinstance(processor, Analyzer) else ("",),
    )


def _value(effect: Effect) -> dict[str, Any]:
    return {"id": effect.id, "version": effect.version, "parameters": effect.parameters()}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in cast("dict[str, Any]", value).items():
            yield name
            yield from _texts(each)
    elif isinstance(value, list):
        for each in cast("list[Any]", value):
            yield from _texts(each)
