"""What an author of processors imports: `from timeside_core import Analyzer, Array, Mono, Stream, Value`."""

from timeside_core.audio import Array, Media, Segment, Stream
from timeside_core.errors import TimesideError
from timeside_core.inputs import (
    Channels,
    Frames,
    Magnitude,
    Mono,
    Power,
    Resampled,
    Source,
    Spectrum,
    Whole,
    frequencies,
)
from timeside_core.outputs import Events, Framewise, Rows, Segments, Value, events, segments
from timeside_core.pipeline import Decoder, Encoder, Grapher, Pipeline
from timeside_core.processor import Analyzer, Effect, Processor, Step
from timeside_core.registry import get_processor, processor_ids
from timeside_core.results import Result, Results

__all__ = [
    "Analyzer",
    "Array",
    "Channels",
    "Decoder",
    "Effect",
    "Encoder",
    "Events",
    "Frames",
    "Framewise",
    "Grapher",
    "Magnitude",
    "Media",
    "Mono",
    "Pipeline",
    "Power",
    "Processor",
    "Resampled",
    "Result",
    "Results",
    "Rows",
    "Segment",
    "Segments",
    "Source",
    "Spectrum",
    "Step",
    "Stream",
    "TimesideError",
    "Value",
    "Whole",
    "events",
    "frequencies",
    "get_processor",
    "processor_ids",
    "segments",
]
