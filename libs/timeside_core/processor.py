"""What a processor is: the value of its parameters, and the steps of a run.

The life of a run, which the engine guarantees:

1. The engine works on a copy of the instance. Whatever a run sets on it is gone afterwards.
2. `start(stream)` is called once, with the clock of the rows that will come. Dear work (tables, filters) belongs here.
3. `process(rows)` is called any number of times, also never, with the rows of the declared `input`, in order,
   never empty. How many come at once does not depend on how the signal was decoded. Rows are shared: read only.
4. `finish()` is called once, after the last row; what was held back is returned here.
5. `close()` is called once, also after a failure or a cancel.

A parameter is a class attribute with a type and a default; the string below it describes it. Parameters are checked
when an instance is made and cannot change. An attribute or property named `input` says what rows the processor reads;
without one it reads blocks of audio, shape `(samples, channels)`, float32, full scale ±1.
"""

import copy
import functools
import sys
from collections.abc import Mapping
from typing import Any, ClassVar, Self, dataclass_transform

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic.dataclasses import rebuild_dataclass
from pydantic_core import CoreSchema, core_schema

from timeside_core import registry
from timeside_core.audio import Array, Stream
from timeside_core.errors import ParameterError
from timeside_core.outputs import Output, Value

_CONFIG = ConfigDict(extra="forbid", use_attribute_docstrings=True, validate_default=True, arbitrary_types_allowed=True)


@functools.cache
def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def parameter_names(cls: "type[Processor]") -> frozenset[str]:
    """Names of what a result depends on; fields that only say where to read or write are left out."""
    return frozenset(name for name, field in _pydantic_fields(cls).items() if not field.exclude)


def _pydantic_fields(cls: "type[Processor]") -> dict[str, Any]:
    return cls.__dict__["__pydantic_fields__"]


def _inherited_description(cls: "type[Processor]", name: str) -> str | None:
    """Description of a parameter where a base class declares it; pydantic reads only the class itself."""
    bases = [base for base in cls.__mro__[1:] if "__pydantic_fields__" in base.__dict__]
    fields = [_pydantic_fields(base).get(name) for base in bases]
    return next((field.description for field in fields if field is not None and field.description), None)


def required_places(cls: "type[Processor]") -> frozenset[str]:
    """Names of the fields that must be given but that no result depends on: what to read, where to write."""
    return frozenset(name for name, field in _pydantic_fields(cls).items() if field.exclude and field.is_required())


def _with_ids_of_defaults(cls: "type[Processor]", values: dict[str, Any]) -> dict[str, Any]:
    """Name the default's processor where an object names none, so that `{}` means the default's kind."""
    for name, field in _pydantic_fields(cls).items():
        value = values.get(name)
        if isinstance(value, Mapping) and "id" not in value:
            default = field.get_default(call_default_factory=True)
            if isinstance(default, Processor):
                values[name] = {"id": default.id, **value}
    return values


def _explaining(init: Any) -> Any:
    @functools.wraps(init)
    def __init__(self: "Processor", *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except ValidationError as error:
            raise _parameter_error(type(self), error) from None

    return __init__


def _parameter_error(cls: "type[Processor]", error: ValidationError) -> ParameterError:
    reasons: list[str] = []
    for detail in error.errors(include_url=False):
        name = ".".join(str(part) for part in detail["loc"] if "[" not in str(part)) or "parameters"
        if detail["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            known = ", ".join(_pydantic_fields(cls)) or "no parameters"
            reasons.append(f"{name} is unknown; it has {known}")
        else:
            message = detail["msg"].removeprefix("Value error, ")
            rule_between_parameters = not detail["loc"]  # names them itself
            reasons.append(message if rule_between_parameters else f"{name}={detail['input']!r}: {message}")
    return ParameterError(f"{cls.label()}: {'; '.join(reasons)}")


def _complete_with_locals_of_definition(cls: "type[Processor]") -> None:
    """Resolve annotations that name classes local to the function that defines `cls`."""
    frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    rebuild_dataclass(cls, raise_errors=True, _types_namespace={**frame.f_globals, **frame.f_locals})  # pyright: ignore


@dataclass_transform(kw_only_default=True, field_specifiers=(Field,))
class Processor:
    """A decoder, an analyzer, a grapher, an encoder, an effect or a form of input: the value of its parameters.

    Equal parameters make equal, equally hashed instances; sharing, caching and storing follow from that. A field
    declared with `Field(exclude=True)` (where to write, whom to ask) is not part of what a result depends on.
    """

    id: ClassVar[str] = ""
    """Name in the registry, `^[a-z][_a-z0-9]*$`; empty on abstract classes."""
    version: ClassVar[str] = ""
    """Raised when the same samples and parameters give another result."""

    def __init_subclass__(cls, *, id: str = "", version: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.id, cls.version = id, version
        cls.__doc__ = cls.__doc__ or ""
        pydantic_dataclass(cls, config=_CONFIG, kw_only=True, unsafe_hash="__hash__" not in cls.__dict__)
        if not cls.__dict__["__pydantic_complete__"]:
            _complete_with_locals_of_definition(cls)
        cls.__init__ = _explaining(cls.__init__)
        if id:
            if not (id[0].islower() and all(c.islower() or c.isdigit() or c == "_" for c in id) and id.isascii()):
                raise ParameterError(f"processor id {id!r} must be lower-case letters, digits and _, a letter first")
            if not version:
                raise ParameterError(f"processor {id!r} has no version: class …(…, id={id!r}, version='1.0')")
            registry.register(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _pydantic_fields(type(self)) and name in self.__dict__:
            raise ParameterError(f"{self.label()}.{name} is a parameter: make a new instance to change it")
        super().__setattr__(name, value)

    @classmethod
    def label(cls) -> str:
        """Id, or the class's name where there is no id: how messages name a processor."""
        return cls.id or cls.__name__

    @classmethod
    def description(cls) -> str:
        """First line of the docstring."""
        return (cls.__doc__ or "").strip().split("\n")[0]

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """An instance from JSON-like parameters; raises `ParameterError` naming parameter, value and rule."""
        try:
            return _adapter(cls).validate_python(dict(parameters))
        except ValidationError as error:
            raise _parameter_error(cls, error) from None

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """JSON Schema of the parameters."""
        schema = _adapter(cls).json_schema()
        shown = parameter_names(cls)
        schema["properties"] = {k: v for k, v in schema.get("properties", {}).items() if k in shown}
        if required := [name for name in schema.pop("required", []) if name in shown]:
            schema["required"] = required
        return schema

    def parameters(self) -> dict[str, Any]:
        """All parameters, JSON-like; a processor among them is `{"id", "version", …its parameters}`."""
        dumped = _adapter(type(self)).dump_python(self, mode="json")
        return {name: value for name, value in dumped.items() if name not in ("id", "version")}

    def identity(self) -> dict[str, Any]:
        """Everything a result of this processor depends on besides samples and segment: see `key.digest`."""
        identity: dict[str, Any] = {"id": self.id, "version": self.version, **self.parameters()}
        for name in identity.keys() & parameter_names(type(self)):
            if isinstance(nested := getattr(self, name), Processor):
                identity[name] = nested.identity()
        if (read := inputs_of(self)) and "input" not in identity:
            identity["input"] = [each.identity() for each in read]
        return identity

    def _repr_html_(self) -> str:
        from timeside_core import display

        return display.processor_html(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read `{"id", "version", …}` where a processor is a parameter, and write it so."""
        return core_schema.no_info_wrap_validator_function(
            cls._read,
            handler(source),
            serialization=core_schema.wrap_serializer_function_ser_schema(cls._write),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        json_schema = handler.resolve_ref_schema(handler(schema))
        json_schema["title"] = cls.label()
        properties: dict[str, Any] = json_schema.setdefault("properties", {})
        for name, described in properties.items():
            if "description" not in described and (inherited := _inherited_description(cls, name)):
                described["description"] = inherited
        if cls.id:
            properties |= {"id": {"const": cls.id}, "version": {"const": cls.version}}
        return json_schema

    @classmethod
    def _write(cls, processor: "Processor", handler: Any) -> dict[str, Any]:
        concrete = type(processor)
        if concrete is not cls:  # declared as an abstract class, or as a base of what was given
            return _adapter(concrete).dump_python(processor, mode="json")
        return {"id": cls.id, "version": cls.version, **handler(processor)}

    @classmethod
    def _read(cls, value: Any, handler: Any) -> Any:
        if not isinstance(value, Mapping):
            if isinstance(value, Processor) and isinstance(value, cls):
                return value
            return handler(value)
        values: dict[str, Any] = dict(value)  # pyright: ignore[reportUnknownArgumentType]
        id, version = values.pop("id", None), values.pop("version", None)
        if not cls.id:
            if id is None:
                raise ValueError(f"a {cls.__name__} is given as an object with its id")
            concrete = registry.get_processor(str(id))
            if not issubclass(concrete, cls):
                raise ValueError(f"{id!r} is not a {cls.__name__}")
            return _adapter(concrete).validate_python(value)
        if id is not None and id != cls.id:
            raise ValueError(f"id {id!r} is not {cls.id!r}")
        if version is not None and version != cls.version:
            raise ValueError(f"version {version!r} of {cls.id!r} is not the installed {cls.version!r}")
        return handler(_with_ids_of_defaults(cls, values))


class Step(Processor):
    """A processor that takes part in the pass over the signal: the engine drives it as the module describes."""

    runs_in: ClassVar[str] = ""
    """Pool of workers that run it on the platform, where that is not the usual one of its kind."""

    @property
    def stream(self) -> Stream:
        """Clock of the rows that come in; known from before `start` on."""
        return self.__dict__["_engine_stream"]

    @property
    def row(self) -> int:
        """Index of the first row at hand in `process`; in `finish`, the count of all rows."""
        return self.__dict__["_engine_row"]

    @property
    def rows(self) -> int:
        """Count of the rows at hand."""
        return self.__dict__["_engine_rows"]

    @property
    def times(self) -> Array:
        """Centres of the rows at hand, shape `(rows,)`, seconds, float64."""
        return self.stream.times(self.row, self.rows)

    def working_copy(self, stream: Stream) -> Self:
        """A copy for a run over rows of that clock, which the run may set state on; `self` stays the bare value."""
        copied = copy.copy(self)
        copied.__dict__["_engine_stream"] = stream
        return copied

    def at(self, row: int, rows: int) -> None:
        """Say which rows come next: `rows` of them from index `row` on."""
        self.__dict__.update(_engine_row=row, _engine_rows=rows)

    def start(self, stream: Stream) -> None:
        """Prepare for a run over rows of that clock."""

    def process(self, rows: Any, /) -> Any:
        """Take the next rows; return what is completed by them, or None."""

    def finish(self) -> Any:
        """Return what was held back until the end, or None."""

    def close(self) -> None:
        """Release what `start` took."""

    def clock(self, stream: Stream) -> Stream:
        """Clock of the rows that go out, given that of the rows that come in."""
        return stream

    def context_s(self, stream: Stream) -> tuple[float, float]:
        """How far before and after its own frame a row that goes out depends on the signal, s; infinity for all of it.

        The given clock is that of the rows that come in, which may depend on more. Endless streams are cut accordingly.
        """
        return 0.0, 0.0


class Effect(Step):
    """Changes audio for all that follow it in a pipeline: blocks in, as many samples out."""


class Analyzer(Step):
    """Turns rows of its input into results.

    `output = Framewise(unit="Hz")` declares one output, named as the processor; `outputs = {"max": …, "rms": …}`
    declares several, whose results are named `id.max` and `id.rms`. `process` and `finish` return rows of the output
    (with several outputs: a dict of them by name), or None: an array for framewise and event outputs, a number or an
    array for a global one, `events(…)` or `segments(…)` where rows carry more than that.
    """

    output: ClassVar[Output] = Value()
    outputs: ClassVar[Mapping[str, Output]] = {}

    def declared(self) -> Mapping[str, Output]:
        """Outputs by name; the empty name is the single output. Asked again of a run's copy when it has finished."""
        return self.outputs or {"": self.output}

    def bins(self, output: str) -> Array | tuple[str, ...] | None:
        """Positions or names of an output's columns, once started; None where there is nothing to say."""
        return None


def result_id(processor: Processor, output: str) -> str:
    """`mfcc`, `level.max`: how a result is named."""
    return f"{processor.id}.{output}" if output else processor.id


def inputs_of(processor: Processor) -> tuple[Step, ...]:
    """The steps whose rows a processor reads, or the parents whose results it draws; none means audio itself."""
    read: tuple[Step, ...] | Step | None = getattr(processor, "input", None)
    if read is None:
        return ()
    return read if isinstance(read, tuple) else (read,)
