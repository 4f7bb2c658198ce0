"""What stands for analyzers, effects, graphers and encoders of the native library."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from timeside.core.analyzer import Analyzer, AnalyzerResultContainer
from timeside.core.api import IAnalyzer, IEffect, IEncoder, IGrapher
from timeside.core.component import abstract, implements
from timeside.core.encoder import Encoder
from timeside.core.exchange import from_native
from timeside.core.grapher import DrawnGrapher
from timeside.core.names import depends_on_samplerate, names_of, signature_of
from timeside.core.processor import Processor
from timeside.core.tools.parameters import bound, described
from timeside_core import pipeline
from timeside_core.errors import OutputExistsError, ParameterError, PipelineError
from timeside_core.processor import Step
from timeside_core.results import Results


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
        self.process_pipe.results[self.uuid()] = AnalyzerResultContainer(
            from_native(
                each,
                name=self.name() + each.id.removeprefix(self.id()).replace(".", " ").replace("_", " "),
                proc_uuid=self.uuid(),
                sha1=self.mediainfo()["sha1"],
                parameters=self.get_parameters(),
            )
            for each in results
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
