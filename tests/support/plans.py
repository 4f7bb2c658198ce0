"""Commands to decode a media for processors, as a dispatcher makes them."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from timeside_core.audio import Segment
from timeside_core.ids import uuid7
from timeside_core.key import digest
from timeside_core.messages import (
    BlockForm,
    Decode,
    Lane,
    LiveSource,
    Plan,
    PlannedProcessor,
    ProcessorValue,
    Run,
    SegmentOfMedia,
    Sink,
    StoredMedia,
)
from timeside_core.pipeline import Encoder, Grapher
from timeside_core.processor import Analyzer, Effect, Processor, Step

_WHOLE = Segment()


def pool_of(processor: Processor) -> str:
    """The pool that runs a processor by default."""
    if isinstance(processor, Step) and processor.runs_in:
        return processor.runs_in
    if isinstance(processor, Encoder):
        return "encoder"
    if isinstance(processor, Grapher) or processor.id in ("waveform_analyzer", "spectrogram_analyzer"):
        return "grapher"
    return "analyzer"


def planned(processors: Iterable[Processor], segment: Segment = _WHOLE) -> tuple[PlannedProcessor, ...]:
    """What a plan says of processors in the order of a pipeline: effects act on all that follow."""
    found: list[PlannedProcessor] = []
    effects: tuple[Effect, ...] = ()
    for processor in processors:
        if isinstance(processor, Effect):
            effects = (*effects, processor)
            continue
        outputs = tuple(processor.declared()) if isinstance(processor, Analyzer) else ("",)
        found.append(
            PlannedProcessor(
                id=processor.id,
                version=processor.version,
                parameters=processor.parameters(),
                effects=tuple(_value(effect) for effect in effects),
                digest=digest(processor, effects=effects, segment=segment),
                pool=pool_of(processor),
                result_id=uuid7(),
                outputs=outputs,
            )
        )
    return tuple(found)


def command(
    media: StoredMedia,
    processors: Iterable[Processor],
    *,
    segment: Segment = _WHOLE,
    partition: int = 0,
    forms: Mapping[str, BlockForm] | None = None,
    lane: Lane = "interactive",
    run_id: UUID | None = None,
    attempt: int = 1,
    partial_rows: bool = True,
    is_fused: bool = False,
) -> Decode:
    """The command to decode a media for processors."""
    wanted = planned(processors, segment)
    pools = list(dict.fromkeys(each.pool for each in wanted))

    def form(pool: str) -> BlockForm:
        return (forms or {}).get(pool, BlockForm())

    plan = Plan(
        source=media,
        segment=SegmentOfMedia(first_sample=segment.first_sample, samples=segment.samples),
        processors=wanted,
        sinks=() if is_fused else tuple(Sink(pool=each, partition=partition, form=form(each)) for each in pools),
        partial_rows=partial_rows,
    )
    return Decode(run=Run(run_id=run_id or uuid7(), attempt=attempt, lane=lane, plan=plan))


def live_command(
    url: str, processors: Iterable[Processor], *, session: UUID | None = None, samples: int | None = None
) -> Decode:
    """The command to listen to a source."""
    wanted = planned(processors)
    plan = Plan(
        source=LiveSource(session=session or uuid7(), url=url),
        segment=SegmentOfMedia(samples=samples),
        processors=wanted,
        sinks=tuple(Sink(pool=each, partition=0) for each in dict.fromkeys(each.pool for each in wanted)),
    )
    return Decode(run=Run(run_id=uuid7(), attempt=1, lane="interactive", plan=plan))


def _value(processor: Processor) -> ProcessorValue:
    parameters: Mapping[str, Any] = processor.parameters()
    return ProcessorValue(id=processor.id, version=processor.version, parameters=parameters)
