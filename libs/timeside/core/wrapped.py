"""Processors of the native library in the form of TimeSide 1."""

import hashlib
import os
import warnings
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np

from timeside.core.analyzer import Analyzer, AnalyzerResultContainer
from timeside.core.api import IAnalyzer, IDecoder, IEffect, IEncoder, IGrapher, IValueAnalyzer
from timeside.core.component import IMPLEMENTS, Interface, abstract, implements
from timeside.core.conversion import Conversion
from timeside.core.decoder import Decoder
from timeside.core.encoder import Encoder
from timeside.core.exceptions import PIDError, SourceError
from timeside.core.exchange import from_native
from timeside.core.feed import Cutter
from timeside.core.grapher import DrawnGrapher
from timeside.core.names import depends_on_samplerate, names_of, signature_of
from timeside.core.processor import BLOCKSIZE, MetaProcessor, Processor
from timeside.core.tools.parameters import bound, described
from timeside_core import pipeline, registry
from timeside_core import processor as native
from timeside_core.audio import Array, Stream
from timeside_core.engine import Engine, Wanted
from timeside_core.errors import MediaError, OutputExistsError, ParameterError, PipelineError, TimesideError
from timeside_core.outputs import Value
from timeside_core.pipeline import Source
from timeside_core.processor import Effect, Step
from timeside_core.results import Results


def wrapped(kind: type[native.Processor]) -> type[Processor]:
    """The class that stands for a native one: a plug-in's own where it was made of one."""
    return getattr(kind, "plugin", None) or _wrapped(kind)


def wrapped_all() -> None:
    """Make the classes of all native processors; what cannot be imported is a RuntimeWarning."""
    for id in registry.processor_ids():
        try:
            wrapped(registry.get_processor(id))
        except PIDError:
            continue  # a form of input
        except TimesideError as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=3)


@cache
def _wrapped(kind: type[native.Processor]) -> type[Processor]:
    for native_base, base in _BASES:
        if issubclass(kind, native_base):
            namespace = {
                IMPLEMENTS: [_interface(kind, base)],
                "__module__": kind.__module__,
                "__qualname__": kind.__qualname__,
                "__doc__": kind.__doc__,
                "native_class": kind,
            }
            return MetaProcessor(kind.__name__, (base,), namespace)  # pyright: ignore[reportReturnType]
    raise PIDError(f"processor {kind.id!r} is a form of input, which TimeSide 1 does not have")


def _interface(kind: type[native.Processor], base: type[Processor]) -> type[Interface]:
    if issubclass(kind, native.Analyzer):
        values = all(isinstance(output, Value) for output in kind().declared().values())
        return IValueAnalyzer if values else IAnalyzer
    return base.__dict__[IMPLEMENTS][0]


class Wrapped(Processor):
    """Stands for a native processor: takes the parameters of TimeSide 1, and those of the native one by name."""

    abstract()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._names = names_of(self.native_class)
        signature = signature_of(self._names)
        self._ours = {name: value for name, value in kwargs.items() if name not in signature.parameters}
        given = {name: value for name, value in kwargs.items() if name in signature.parameters}
        self._theirs: dict[str, Any] = bound(signature, self.id(), *args, **given)
        self._parameters = self._theirs | self._ours
        self.native = self._made()

    @classmethod
    def id(cls) -> str:
        """Name in the registry."""
        return cls.native_class.id

    @classmethod
    def version(cls) -> str:
        """Version of the processor."""
        return cls.native_class.version

    @classmethod
    def unit(cls) -> str:
        """Unit of the values, where all have the same."""
        units = {output.unit for output in cls.native_class().declared().values()} if cls.type == "analyzer" else {""}
        return units.pop() if len(units) == 1 else ""

    @classmethod
    def get_parameters_schema(cls) -> dict[str, Any]:
        """JSON Schema of the parameters of TimeSide 1, of the native ones where it had none."""
        theirs = signature_of(names_of(cls.native_class)).parameters
        properties = {name: described(each) for name, each in theirs.items()} or cls.native_class.schema()["properties"]
        properties.pop("input", None)
        return {"type": "object", "properties": properties, "$schema": "http://json-schema.org/schema#"}

    def process(self, frames: Any = None, eod: bool = False) -> Any:
        """Raise `PipelineError`: a pipe runs it."""
        raise PipelineError(f"{self.id()!r} is run by a pipe: (decoder | {self.id()}).run()")

    def native_value(self) -> Any:
        """The native processor."""
        return self.native

    def native_steps(self, samplerate: int) -> Sequence[Step] | None:
        """The native processor."""
        if depends_on_samplerate(self._names):
            self.native = self._made(samplerate=samplerate)
        return (self.native,)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._key() == cast("Wrapped", other)._key()

    def __hash__(self) -> int:
        return hash(self.id())

    def _key(self) -> tuple[Any, ...]:
        return self._theirs, self.native

    def _made(self, **told: Any) -> Any:
        return self.native_class(**{**self._names(**self._theirs, **told), **self._ours})


class WrappedAnalyzer(Wrapped, Analyzer):
    """A native analyzer."""

    implements(IAnalyzer)
    abstract()

    def take_results(self, results: Results) -> None:
        """Show them as those of TimeSide 1."""
        media, pipe = self.mediainfo(), self.process_pipe
        names = [each.id.removeprefix(self.id()).replace(".", " ").replace("_", " ") for each in results]
        pipe.results[self.uuid()] = AnalyzerResultContainer(
            from_native(each, name=f"{self.name()}{name}", proc_uuid=self.uuid(), sha1=media["sha1"])
            for each, name in zip(results, names, strict=True)
        )


class WrappedEffect(Wrapped):
    """A native effect."""

    implements(IEffect)
    abstract()


class WrappedGrapher(Wrapped, DrawnGrapher):
    """A native grapher."""

    implements(IGrapher)
    abstract()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        DrawnGrapher.__init__(self, **self._theirs)

    def native_grapher(self) -> pipeline.Grapher:
        """The native grapher."""
        return self.native

    def native_steps(self, samplerate: int) -> Sequence[Step] | None:
        """The analyzers whose results are drawn."""
        return DrawnGrapher.native_steps(self, samplerate)

    def set_colors(self, background: Any = None, scheme: Any = None) -> None:
        """Colours to draw in."""
        self._theirs |= {"bg_color": background, "color_scheme": scheme or "default"}
        self._parameters |= self._theirs
        self.native = self._made()


class WrappedEncoder(Wrapped, Encoder):
    """A native encoder."""

    implements(IEncoder)
    abstract()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        output, self.streaming = self._theirs["output"], bool(self._theirs["streaming"])
        if output is None and not self.streaming:
            raise ParameterError(f"{self.id()}: needs an output, or streaming=True")
        if output is not None and os.path.isdir(output):
            raise OutputExistsError(f"output {output!r} is a folder: an encoder writes files")
        if output is not None and os.path.exists(output) and not self._theirs["overwrite"]:
            raise OutputExistsError(f"output {output!r} exists: overwrite=True replaces it")
        self.filename = output

    @classmethod
    def file_extension(cls) -> str:
        """Suffix of files of the format, without the dot."""
        return cls.native_class.extension

    @classmethod
    def mime_type(cls) -> str:
        """Media type of the format."""
        return cls.native_class.mime_type

    def set_metadata(self, metadata: Any) -> None:
        """Tags to embed, by name."""
        super().set_metadata(metadata)
        self.native = replace(self.native, metadata=dict(metadata))


class WrappedDecoder(Wrapped, Decoder):
    """A native decoder. It opens the media at once, and tells what is known of it.

    With `stack` the blocks of the first run are kept in the pipe, and following runs read those.
    """

    implements(IDecoder)
    abstract()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stack, self.from_stack = bool(self._theirs.get("stack")), False
        self._sha1: str | None = self._theirs.get("sha1")
        with self._opened() as source:
            self.learn(source)
        self._give(source.stream, BLOCKSIZE)

    @property
    def sha1(self) -> str:
        """SHA-1 of the file, or of the array; computed when it is first asked for."""
        if self._sha1 is None:
            self._sha1 = _sha1_of(self.native, self.uri)
        return self._sha1

    def format(self) -> str:
        """Media type of what is decoded."""
        return self.media.mime_type

    def encoding(self) -> str:
        """Short name of the codec."""
        return self.media.codec

    def metadata(self) -> dict[str, str]:
        """Embedded tags by name."""
        return dict(self.media.tags)

    def open(self, *, channels: int | None, samplerate: int | None, blocksize: int) -> Source:
        """The media, or its blocks where they were kept."""
        kept = self.process_pipe.frames_stack
        source = Replay(self, kept) if self.from_stack else self._opened()
        after = _clock(self.conversion(source.stream, channels, samplerate), source.stream)
        self._give(after, blocksize)
        return Recording(self, source, kept, blocksize) if self.stack and not self.from_stack else source

    def conversion(self, stream: Stream, channels: int | None, samplerate: int | None) -> tuple[Effect, ...]:
        """What the pipe still has to do to the signal."""
        wanted = Conversion(
            samplerate=None if samplerate == stream.samplerate else samplerate,
            channels=None if channels == stream.channels else channels,
        )
        return () if wanted == Conversion() else (wanted,)

    def learn(self, source: Source) -> None:
        """Take what is known of the media."""
        self.media, self.segment = source.media, source.segment
        samples = self.segment.samples
        if samples is None and self.media.samples is not None:
            samples = self.media.samples - self.segment.first_sample
        self.uri, self.is_segment = self.media.uri, not self.segment.whole
        self.input_samplerate, self.input_channels = self.media.samplerate, self.media.channels
        self.input_totalframes, self.input_width = samples, self.media.bit_depth
        self.uri_start = self.segment.first_sample / self.media.samplerate
        self.uri_duration = None if samples is None else samples / self.media.samplerate

    def setup(
        self,
        channels: int | None = None,
        samplerate: int | None = None,
        blocksize: int | None = None,
        totalframes: int | None = None,
    ) -> None:
        """Begin anew to decode, block by block, by `process`."""
        with self._opened() as source:
            stream = source.stream
        effects = self.conversion(stream, channels, samplerate)
        self._give(_clock(effects, stream), blocksize or BLOCKSIZE)
        self._blocks = self._decoded(effects)

    def process(self, frames: Any = None, eod: bool = False) -> Any:
        """The next block, and whether it is the last."""
        return next(self._blocks)

    def release(self) -> None:
        """Close the media."""
        if hasattr(self, "_blocks"):
            self._blocks.close()

    def _key(self) -> tuple[Any, ...]:
        return (self.uuid(),)

    def _decoded(self, effects: tuple[Effect, ...]) -> Generator[tuple[Array, bool]]:
        cutter = Cutter(self.output_blocksize or BLOCKSIZE, self.output_channels or 1)
        with self._opened() as source:
            for block in _through(effects, source):
                for piece in cutter.push(block):
                    yield piece, False
        yield cutter.last(), True

    def _opened(self) -> Source:
        try:
            return self.native.open()
        except MediaError as error:
            raise SourceError(str(error)) from error

    def _give(self, stream: Stream, blocksize: int) -> None:
        self.output_channels, self.output_samplerate = stream.channels, stream.samplerate
        self.output_blocksize = blocksize


class Recording(Source):
    """A source whose blocks are kept."""

    def __init__(self, decoder: WrappedDecoder, source: Source, kept: list[tuple[Array, bool]], blocksize: int) -> None:
        self._decoder, self._source, self._kept = decoder, source, kept
        self._cutter = Cutter(blocksize, source.stream.channels)
        self.stream, self.media, self.segment = source.stream, source.media, source.segment

    def __iter__(self) -> Iterator[Array]:
        self._kept.clear()
        for block in self._source:
            self._kept += [(piece, False) for piece in self._cutter.push(block)]
            yield block
        self._kept.append((self._cutter.last(), True))
        self.media = self._source.media
        self._decoder.stack, self._decoder.from_stack = False, True

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class Replay(Source):
    """Blocks that were kept."""

    def __init__(self, decoder: WrappedDecoder, kept: list[tuple[Array, bool]]) -> None:
        self._kept = kept
        self.media, self.segment = decoder.media, decoder.segment
        self.stream = Stream(samplerate=self.media.samplerate, channels=self.media.channels, start_s=decoder.uri_start)

    def __iter__(self) -> Iterator[Array]:
        return (frames for frames, _ in self._kept if len(frames))


_BASES: tuple[tuple[type[native.Processor], type[Processor]], ...] = (
    (pipeline.Decoder, WrappedDecoder),
    (native.Analyzer, WrappedAnalyzer),
    (native.Effect, WrappedEffect),
    (pipeline.Grapher, WrappedGrapher),
    (pipeline.Encoder, WrappedEncoder),
)


def _clock(effects: tuple[Effect, ...], stream: Stream) -> Stream:
    return effects[-1].clock(stream) if effects else stream


def _through(effects: tuple[Effect, ...], source: Source) -> Iterator[Array]:
    """Blocks of a source after effects."""
    if not effects:
        yield from source
        return
    with Engine([Wanted(effects[-1], effects[:-1])], source.stream) as engine:
        for block in source:
            yield from (each.payload for each in engine.push(block))
        yield from (each.payload for each in engine.finish())


def _sha1_of(decoder: Any, uri: str) -> str:
    """SHA-1, hexadecimal, of an array or of a local file; empty for other media."""
    samples = getattr(decoder, "samples", None)
    if samples is not None:
        return hashlib.sha1(np.ascontiguousarray(samples).tobytes(), usedforsecurity=False).hexdigest()
    path = url2pathname(urlsplit(uri).path) if uri.startswith("file:") else uri
    if not os.path.isfile(path):
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest()
