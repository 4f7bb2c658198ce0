"""Processors and pipes of TimeSide 1: what a plug-in inherits, and how a pipe is joined and run."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Self, cast
from uuid import uuid4

import numpy as np

from timeside.core.api import IDecoder, IEffect, IProcessor
from timeside.core.component import (
    Component,
    MetaComponent,
    abstract,
    implements,
    implements_interface,
    interfacedoc,
    interfaces_of,
    is_abstract,
)
from timeside.core.preprocessors import FixedSizeInputAdapter
from timeside.core.registration import get_processor, list_processors, processors, register
from timeside.core.tools.parameters import HasParam, given_arguments
from timeside_core.audio import Array
from timeside_core.errors import PipelineError
from timeside_core.processor import Step
from timeside_core.results import Results

__all__ = [
    "FixedSizeInputAdapter",
    "MetaProcessor",
    "ProcessPipe",
    "Processor",
    "abstract",
    "get_processor",
    "implements",
    "interfacedoc",
    "list_processors",
    "processors",
]

BLOCKSIZE = 8192
"""Samples in a block that a plug-in is given, unless `run` says otherwise."""


class MetaProcessor(MetaComponent):
    """Registers classes that implement a processor's interface, under their id."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> "MetaProcessor":
        created = cast("MetaProcessor", super().__new__(cls, name, bases, namespace))
        declared = any(issubclass(each, IProcessor) for each in interfaces_of(created))
        if declared and not is_abstract(created) and "native_class" not in namespace:
            register(cast("type[Processor]", created))
        return created


class Processor(Component, HasParam, metaclass=MetaProcessor):
    """What all processors share: a plug-in inherits it and overrides what it needs.

    A run calls `setup`, `process` with each block, `post_process`, `release`. Attributes of a run: `source_channels`,
    `source_samplerate`, `source_blocksize`, `source_totalframes`, and the same as `input_…`, which `__init__` or
    `setup` may set to what the plug-in needs (see `preprocessors.frames_adapter`).
    """

    abstract()
    implements(IProcessor)

    type: ClassVar[str] = ""
    """Kind: decoder, analyzer, grapher, encoder."""
    native_class: ClassVar[Any] = None
    """The class of the native library that this one stands for, or that was made of it."""

    parents: dict[str, "Processor"]
    """Processors whose results this one reads, by any name; `__init__` puts them here."""
    process_pipe: Any
    """The pipe that this one is in."""
    source_mediainfo: dict[str, Any] | Callable[[], dict[str, Any]] | None
    """What `mediainfo` tells, or who knows it: the hash of the media is computed only for those that ask."""
    _parameters: dict[str, Any]
    run_time: Any
    """Time spent in the processor itself, `datetime.timedelta`; None before the run."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Set what a run needs, also for plug-ins whose `__init__` does not call this class's."""
        self = super().__new__(cls)
        self.parents = {}
        self.process_pipe = self.source_mediainfo = self.run_time = None
        self._uuid = str(uuid4())
        self._parameters = given_arguments(cls, args, kwargs)
        self.source_channels = self.source_samplerate = self.source_blocksize = self.source_totalframes = None
        self.input_channels = self.input_samplerate = self.input_blocksize = self.input_stepsize = 0
        return self

    @classmethod
    def id(cls) -> str:
        """Name in the registry."""
        return cls.__name__.lower()

    @classmethod
    def name(cls) -> str:
        """Name to show."""
        return cls.id().replace("_", " ").capitalize()

    @classmethod
    def version(cls) -> str:
        """Version of the processor."""
        return "1.0"

    @classmethod
    def unit(cls) -> str:
        """Unit of the values."""
        return ""

    @classmethod
    def description(cls) -> str:
        """First line of the docstring."""
        return (cls.__doc__ or "").strip().split("\n")[0]

    def setup(
        self,
        channels: int | None = None,
        samplerate: int | None = None,
        blocksize: int | None = None,
        totalframes: int | None = None,
    ) -> None:
        """Take the form of the signal; what `input_…` says already stays."""
        vars(self).pop("frames_buffer", None)  # left by a run that failed
        self.source_channels, self.source_samplerate = channels, samplerate
        self.source_blocksize, self.source_totalframes = blocksize, totalframes
        self.input_channels = self.input_channels or channels
        self.input_samplerate = self.input_samplerate or samplerate
        self.input_blocksize = self.input_blocksize or blocksize
        self.input_stepsize = self.input_stepsize or self.input_blocksize
        if self.force_samplerate and self.input_samplerate != self.force_samplerate:
            raise PipelineError(f"{self.id()!r} needs {self.force_samplerate} Hz, not {self.input_samplerate}")

    def channels(self) -> int | None:
        """Channels of the signal."""
        return self.source_channels

    def samplerate(self) -> int | None:
        """Samplerate of the signal, Hz."""
        return self.source_samplerate

    def blocksize(self) -> int | None:
        """Samples in a block."""
        return self.source_blocksize

    def totalframes(self) -> int | None:
        """Samples of the signal; None while unknown."""
        return self.source_totalframes

    def process(self, frames: Any, eod: bool = False) -> Any:
        """Take the next block."""
        return frames, eod

    def post_process(self) -> None:
        """Make results."""

    def release(self) -> None:
        """Give back what `setup` took."""

    def mediainfo(self) -> dict[str, Any]:
        """The media: uri, start and duration (s), is_segment, samplerate (Hz), sha1."""
        if self.source_mediainfo is None:
            raise PipelineError(f"{self.id()!r} has no media before its pipe runs")
        return self.source_mediainfo() if callable(self.source_mediainfo) else self.source_mediainfo

    def uuid(self) -> str:
        """Identity of this instance; equal processors of a pipe share one."""
        return self._uuid

    @property
    def force_samplerate(self) -> int | None:
        """Samplerate that the whole pipe must run at, Hz."""
        return None

    def get_parameters(self) -> dict[str, Any]:
        """Arguments of the constructor by name, defaults included."""
        return self._parameters

    def native_value(self) -> Any:
        """The processor of the native library that this one is; raises `PipelineError` where there is none."""
        if self.native_class is None:
            raise PipelineError(f"{self.id()!r} runs in pipes of timeside.core only")
        given = self.get_parameters().items()
        return self.native_class.from_parameters(
            {name: value.item() if isinstance(value, np.generic) else value for name, value in given}
        )

    def native_steps(self, samplerate: int) -> Sequence[Step] | None:
        """Steps that the engine runs for this one at that samplerate; None where blocks are handed to `process`."""
        return None

    def take_results(self, results: Results) -> None:
        """Take the results of the native steps."""

    def join(self, pipe: "ProcessPipe", equal: "Processor | None") -> None:
        """Note the pipe; share the identity of an equal processor that is already there."""
        self.process_pipe = pipe
        if equal is not None:
            self._uuid = equal.uuid()

    def __or__(self, other: Any) -> "ProcessPipe":
        return ProcessPipe(self, other)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Processor)
            and self.id() == other.id()
            and bool(self.get_parameters() == other.get_parameters())
        )

    def __hash__(self) -> int:
        return hash(self.id())

    def __repr__(self) -> str:
        return f"{self.id()}-{self.get_parameters()}"


class ProcessPipe:
    """Processors that run together, the decoder first; effects act on what comes after them."""

    def __init__(self, *processors: Any) -> None:
        self.processors: list[Processor] = []
        self.results: dict[str, Any] = {}
        """Results of the analyzers, by their uuid."""
        self.native_results = Results()
        """Results of the native analyzers, those that graphers brought along included."""
        self.frames_stack: list[tuple[Array, bool]] = []
        """Blocks of a decoder with `stack`, which the next run reads instead of decoding again."""
        self |= processors

    def append_processor(self, proc: Processor) -> None:
        """Append one; where an equal one heard the same signal before, that one stands for both."""
        if not isinstance(proc, Processor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{proc!r} cannot be in a pipe: processors can")
        if self.processors and implements_interface(type(proc), IDecoder):
            raise PipelineError(f"{proc.id()!r} cannot follow: a pipe has one decoder, the first")
        equal = next((each for each in self._since_last_effect() if each == proc), None)
        proc.join(self, equal)
        if equal is None:
            self.processors.append(proc)

    def _since_last_effect(self) -> list[Processor]:
        effects = [index for index, each in enumerate(self.processors) if implements_interface(type(each), IEffect)]
        return self.processors[effects[-1] + 1 if effects else 0 :]

    def __ior__(self, other: Any) -> Self:
        if isinstance(other, Processor):
            for parent in other.parents.values():
                self |= parent
            self.append_processor(other)
        elif isinstance(other, ProcessPipe):
            for each in other.processors:
                self.append_processor(each)
        elif isinstance(other, Iterable):
            for each in cast("Iterable[Any]", other):
                self |= each
        else:
            raise TypeError(f"{other!r} cannot be in a pipe: processors can")
        return self

    def __or__(self, other: Any) -> Self:
        self |= other
        return self

    def __repr__(self) -> str:
        return " | ".join(each.id() for each in self.processors)

    def run(self, channels: int | None = None, samplerate: int | None = None, blocksize: int | None = None) -> None:
        """Run to the end, where given at another number of channels or samplerate (Hz).

        `blocksize` is what plug-ins are given at once; results of other processors do not depend on it.
        """
        for _ in self._chunks(channels, samplerate, blocksize):
            pass

    def stream(self) -> Iterator[bytes]:
        """Run, yielding what the one encoder that streams has encoded, as it comes."""
        streaming = [each for each in self.processors if each.native_class and getattr(each, "streaming", False)]
        if len(streaming) != 1:
            raise TypeError(f"stream() needs one encoder with streaming=True; {self!r} has {len(streaming)}")
        for encoder, chunk in self._chunks(None, None, None):
            if encoder is streaming[0]:
                yield chunk

    def _chunks(
        self, channels: int | None, samplerate: int | None, blocksize: int | None
    ) -> Iterator[tuple[Processor, bytes]]:
        from timeside.core.run import run

        if not self.processors or not implements_interface(type(self.processors[0]), IDecoder):
            raise PipelineError(f"{self!r} cannot run: a pipe begins with a decoder")
        samplerate = self.common_samplerate(samplerate)
        yield from run(self, channels=channels, samplerate=samplerate, blocksize=blocksize or BLOCKSIZE)

    def common_samplerate(self, samplerate: int | None = None) -> int | None:
        """Samplerate that a processor, or `run`, asks for; raises `PipelineError` where they differ."""
        needed = {each.id(): each.force_samplerate for each in self.processors if each.force_samplerate}
        if samplerate:
            needed["run()"] = samplerate
        if len(set(needed.values())) > 1:
            raise PipelineError(f"{self!r} cannot run at several samplerates: {needed}")
        return next(iter(needed.values()), None)
