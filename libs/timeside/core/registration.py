"""Processors of TimeSide 1 by id: how plug-ins are registered, and how they and the native ones are found."""

import re
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, cast

from timeside.core.api import IAnalyzer, IEffect, IProcessor
from timeside.core.component import Interface, implementations, implements_interface
from timeside.core.exceptions import ApiError, PIDError
from timeside_core import registry

if TYPE_CHECKING:
    from timeside.core.processor import Processor

_plugins: dict[str, type["Processor"]] = {}


def register(plugin: type["Processor"]) -> None:
    """Make a plug-in findable by its id, natively too where it is an analyzer or an effect; raises `ApiError`."""
    id = plugin.id()
    if not re.fullmatch("[a-z][_a-z0-9]*", id):
        raise ApiError(f"processor id {id!r} of {_place(plugin)} must be a-z, then a-z, 0-9 and _")
    if taken := _taken(plugin, id):
        raise ApiError(f"processor id {id!r} of {_place(plugin)} is taken by {taken}: ids are unique")
    if implements_interface(plugin, IAnalyzer) or implements_interface(plugin, IEffect):
        from timeside.core.plugin import native_class_of

        plugin.native_class = native_class_of(plugin)
    _plugins[id] = plugin


def get_processor(processor_id: str) -> Any:
    """The class of that id, plug-in or built in; raises `PIDError`."""
    from timeside.core.wrapped import wrapped

    if processor_id not in _plugins:
        try:
            return wrapped(registry.get_processor(processor_id))
        except PIDError:
            if processor_id not in _plugins:  # the search may have found a plug-in that has no native form
                raise
    return _plugins[processor_id]


def processors(interface: type[Interface] = IProcessor, recurse: bool = True) -> list[Any]:
    """All classes that implement an interface or, with `recurse`, one derived from it."""
    from timeside.core.wrapped import wrapped_all

    wrapped_all()
    found = cast("list[type[Processor]]", implementations(interface, recurse))
    return [each for each in found if _plugins.get(each.id(), each) is each]  # not those that were replaced


def list_processors(interface: type[Interface] = IProcessor, prefix: str = "") -> None:
    """Print all processors as a tree of their interfaces."""
    print(f"{prefix}{interface.__name__}")
    print(f"{prefix}{('-' if prefix else '=') * len(interface.__name__)}")
    for derived in interface.__subclasses__():
        list_processors(derived, f"{prefix}  ")
    for each in processors(interface, recurse=False):
        print(f"{prefix}  * {each.id()} {each.version()}: {each.description()}")


def _taken(plugin: type["Processor"], id: str) -> str | None:
    """Who has the id, unless it is the same class defined again, or one of the two was made at a prompt."""
    if plugin.__module__ == "__main__":
        return None
    known = _plugins.get(id)
    if known is not None and known.__module__ != "__main__" and _place(known) != _place(plugin):
        return _place(known)
    return next((point.value for point in entry_points(group=registry.PROCESSORS, name=id)), None)


def _place(plugin: type) -> str:
    return f"{plugin.__module__}.{plugin.__qualname__}"
