"""Parameters of a plug-in: the arguments of its constructor, as values and as a JSON Schema."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from timeside_core.errors import ParameterError

F = TypeVar("F", bound=Callable[..., Any])

JSON_TYPES: tuple[tuple[type, str], ...] = (
    (str, "string"),
    (bool, "boolean"),  # before int, whose subclass it is
    (float, "number"),
    (int, "integer"),
    (list, "array"),
    (dict, "object"),
)


def store_parameters(init: F) -> F:
    """Mark a constructor whose arguments are parameters: those of all plug-ins are, so there is nothing to do."""
    return init


class HasParam:
    """What has parameters."""

    _schema: ClassVar[dict[str, Any] | None] = None
    """JSON Schema of a plug-in's own, which adds to what the constructor tells."""

    @classmethod
    def get_parameters_schema(cls) -> dict[str, Any]:
        """JSON Schema of the parameters: types and defaults of the constructor, and what `_schema` adds."""
        added: Mapping[str, Any] = (cls._schema or {}).get("properties", {})
        properties = {
            name: {**described(each), **added.get(name, {})} for name, each in constructor_parameters(cls).items()
        }
        return {"type": "object", "properties": properties, "$schema": "http://json-schema.org/schema#"}

    @classmethod
    def get_parameters_default(cls) -> dict[str, Any]:
        """Defaults by name, of the parameters that have one."""
        properties: dict[str, Any] = cls.get_parameters_schema()["properties"]
        return {name: each["default"] for name, each in properties.items() if "default" in each}


def constructor_parameters(cls: type) -> dict[str, inspect.Parameter]:
    """The named arguments that a constructor takes."""
    taken = list(inspect.signature(cls.__init__).parameters.values())[1:]  # without self
    return {each.name: each for each in taken if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}


def given_arguments(cls: type, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What a constructor is called with, by name, defaults included; nothing where it cannot be called so."""
    try:
        given = inspect.signature(cls.__init__).bind(None, *args, **kwargs)
    except TypeError:
        return {}  # the constructor is called next, and tells what is wrong
    given.apply_defaults()
    return {name: given.arguments[name] for name in constructor_parameters(cls)}


def bound(signature: inspect.Signature, name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Arguments by name, defaults included; raises `ParameterError` where they do not fit."""
    try:
        arguments = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ParameterError(f"{name}: {error}; it takes {signature}") from None
    arguments.apply_defaults()
    return dict(arguments.arguments)


def described(parameter: inspect.Parameter) -> dict[str, Any]:
    """JSON Schema of an argument, as far as its default tells."""
    if parameter.default is parameter.empty:
        return {}
    kinds = [name for kind, name in JSON_TYPES if isinstance(parameter.default, kind)]
    return {"default": parameter.default} | ({"type": kinds[0]} if kinds else {})


class HasTraits:
    """Stands for the class of the traits library: plug-ins nest one that says their parameters' types once more."""


class TraitType:
    """Stands for a type of the traits library; takes whatever those take, and checks nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...


class Unicode(TraitType):
    """Text."""


class Int(TraitType):
    """A whole number."""


class Float(TraitType):
    """A number."""


class Bool(TraitType):
    """True or False."""


class Range(TraitType):
    """A number between two others."""


class Enum(TraitType):
    """One of some values."""


class List(TraitType):
    """A list."""


class ListUnicode(TraitType):
    """A list of text."""


class Tuple(TraitType):
    """A tuple."""
