"""Native classes of plug-ins: they make the command line and native pipelines run them."""

import copy
import inspect
import types
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Optional, Self

import numpy as np
from pydantic import Field, WithJsonSchema

from timeside.core.api import IEffect, IValueAnalyzer
from timeside.core.component import implements_interface
from timeside.core.conversion import Conversion
from timeside.core.exceptions import ApiError
from timeside.core.exchange import to_native
from timeside.core.feed import Feed
from timeside.core.processor import BLOCKSIZE, Processor, ProcessPipe
from timeside.core.run import Run
from timeside_core import Analyzer, Effect, Framewise, Rows, Segments, Stream, Value
from timeside_core.audio import Array, Media, Segment
from timeside_core.errors import ProcessorError
from timeside_core.outputs import Output
from timeside_core.processor import parameter_names
from timeside_core.results import Result

KINDS: Mapping[str, Any] = {
    "string": str,
    "boolean": bool,
    "integer": int | float,  # a default of 5 does not say that 2.5 is wrong
    "number": float,
    "array": list[Any],
    "object": dict[str, Any],
}
"""Types of parameters by the JSON Schema's name."""


class PluginEffect(Effect):
    """An effect that is a plug-in."""

    plugin: ClassVar[type[Processor]]

    def around(self, instance: Processor, *, blocksize: int, totalframes: int | None) -> Self:
        """The same, which runs that instance."""
        copied = copy.copy(self)
        copied.__dict__["_feed"] = Feed(instance, blocksize=blocksize, totalframes=totalframes)
        return copied

    def start(self, stream: Stream) -> None:
        """Set the plug-in up, a new instance where none was given."""
        self._feed: Feed = self.__dict__.get("_feed") or Feed(_instance(self), blocksize=BLOCKSIZE)
        self._feed.start(stream)

    def process(self, block: Array) -> Array:
        """What the plug-in makes of the blocks that are complete."""
        return self._audio(self._feed.push(block))

    def finish(self) -> Array:
        """What it makes of the last block."""
        return self._audio(self._feed.finish())

    def close(self) -> None:
        """Release the plug-in."""
        self._feed.close()

    def _audio(self, frames: Iterable[Array]) -> Array:
        channels = self.stream.channels
        blocks = [np.asarray(each, np.float32).reshape(len(each), -1) for each in frames if len(each)]
        if wrong := {block.shape[1] for block in blocks} - {channels}:
            raise ProcessorError(f"{self.id!r} made {wrong.pop()} channels of {channels}: an effect keeps them")
        return np.concatenate([np.empty((0, channels), np.float32), *blocks])


class PluginAnalyzer(Analyzer):
    """An analyzer that is a plug-in; its parents run with it. What it yields is known when it has finished."""

    plugin: ClassVar[type[Processor]]

    def having(self, results: Iterable[Result]) -> Self:
        """The same, as it is after a run that found these."""
        copied = copy.copy(self)
        copied.__dict__["_results"] = {self._output_name(result.id): result for result in results}
        return copied

    def identity(self) -> dict[str, Any]:
        """With the identities of its parents."""
        parents = {name: parent.native_value().identity() for name, parent in _instance(self).parents.items()}
        return super().identity() | ({"parents": parents} if parents else {})

    def declared(self) -> Mapping[str, Output]:
        """What was found; until then, a guess at one output."""
        if self._found is not None:
            return {name: result.output for name, result in self._found.items()}
        guess = Value if implements_interface(self.plugin, IValueAnalyzer) else Framewise
        return {"": guess(unit=self.plugin.unit())}

    def clock(self, stream: Stream) -> Stream:
        """That of the framewise results, once they are known."""
        return _clock_of(self._found or {}, stream)

    def bins(self, output: str) -> Array | tuple[str, ...] | None:
        """What the plug-in calls `y_value`, once it is known."""
        return None if self._found is None else self._found[output].bins

    def start(self, stream: Stream) -> None:
        """Set a new instance up, and its parents."""
        self._plugin = _instance(self)
        pipe = ProcessPipe(self._plugin)
        rate = pipe.common_samplerate()
        effects = (Conversion(samplerate=rate),) if rate not in (None, stream.samplerate) else ()
        self._samples = 0
        self._run = Run(pipe, pipe.processors, stream, effects=effects, mediainfo=self._mediainfo)
        self._run.__enter__()

    def process(self, block: Array) -> None:
        """Hand audio over."""
        self._samples += len(block)
        self._run.push(block)

    def finish(self) -> dict[str, Rows | Array]:
        """Let the plug-in post-process; return what it added."""
        samplerate, channels = self.stream.samplerate, self.stream.channels
        self._run.finish(Media(uri="", samplerate=samplerate, channels=channels, samples=self._samples), Segment())
        added = self._plugin.process_pipe.results.get(self._plugin.uuid(), {})
        results = {self._output_name(result.id): to_native(result) for result in added.values()}
        clock = _clock_of(results, self.stream)
        found = self.__dict__["_results"] = {name: _on_clock(result, clock) for name, result in results.items()}
        return {name: _rows(result) for name, result in found.items()}

    def close(self) -> None:
        """Release the plug-in and its parents."""
        self._run.__exit__()

    @property
    def _found(self) -> dict[str, Result] | None:
        return self.__dict__.get("_results")

    def _mediainfo(self) -> dict[str, Any]:
        """What a native pipeline tells an analyzer of the media: not what it is called."""
        return {
            "uri": "",
            "start": self.stream.start_s,
            "duration": self._samples / self.stream.samplerate or None,
            "is_segment": False,
            "samplerate": self.stream.samplerate,
            "sha1": "",
        }

    def _output_name(self, result_id: str) -> str:
        return "" if result_id == self.id else result_id.removeprefix(f"{self.id}.")


def native_class_of(plugin: type[Processor]) -> type[PluginAnalyzer] | type[PluginEffect]:
    """The native class that runs a plug-in, registered under its id; its fields are the constructor's arguments."""
    base = PluginEffect if implements_interface(plugin, IEffect) else PluginAnalyzer
    properties: dict[str, Any] = plugin.get_parameters_schema()["properties"]
    if clash := [name for name in properties if name.startswith("_") or hasattr(base, name)]:
        raise ApiError(f"{plugin.id()!r} cannot have a parameter {clash[0]!r}: native processors have that already")
    namespace = {
        "__module__": plugin.__module__,
        "__qualname__": plugin.__qualname__,
        "__doc__": inspect.cleandoc(plugin.__doc__ or f"{plugin.name()}, a plug-in."),
        "__annotations__": {name: _annotation(plugin, schema) for name, schema in properties.items()},
        "__hash__": _hash,
        "plugin": plugin,
        **{name: schema["default"] for name, schema in properties.items() if "default" in schema},
    }
    keywords = {"id": plugin.id(), "version": str(plugin.version())}
    return types.new_class(plugin.__name__, (base,), keywords, lambda body: body.update(namespace))


def _annotation(plugin: type[Processor], schema: Mapping[str, Any]) -> Any:
    kind: Any = Literal[tuple(schema["enum"])] if "enum" in schema else KINDS.get(schema.get("type", ""), Any)
    if schema.get("default", ...) is None:
        kind = Optional[kind]  # noqa: UP045 (a Literal made at run time has no |)
    described = {"description": f"Argument of {plugin.__name__}.", **schema}
    limits = Field(ge=schema.get("minimum"), le=schema.get("maximum"))
    return Annotated[kind, limits, WithJsonSchema(described)]


def _hash(self: Any) -> int:
    return hash((self.id, repr(self)))  # fields may be lists


def _instance(value: PluginAnalyzer | PluginEffect) -> Processor:
    return value.plugin(**{name: getattr(value, name) for name in parameter_names(type(value))})


def _clock_of(results: Mapping[str, Result], stream: Stream) -> Stream:
    """Clock of the first framewise result; that of what came in where there is none."""
    framewise = (each.stream for each in results.values() if each.output.time_mode == "framewise")
    return next(framewise, stream)


def _on_clock(result: Result, clock: Stream) -> Result:
    """Framewise rows of another clock, which an analyzer has only one of, as segments."""
    if result.output.time_mode != "framewise" or result.stream == clock:
        return result
    output = Segments(unit=result.output.unit, description=result.output.description, labels=result.output.labels)
    begins = result.times - result.durations / 2
    return replace(result, output=output, event_times=begins, event_durations=result.durations)


def _rows(result: Result) -> Rows | Array:
    if result.output.time_mode != "global":
        return Rows(result.values, result.event_times, result.event_durations)
    return result.values[0] if result.values.shape == (1,) else result.values
