"""Interfaces, and components that declare in their class body which they implement: `implements(IAnalyzer)`."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from timeside.core.exceptions import ComponentError

F = TypeVar("F", bound=Callable[..., Any])

IMPLEMENTS, ABSTRACT = "__implements__", "__abstract__"
"""Names under which a class body keeps what it declares; subclasses do not inherit it."""

_TO_BE_TAKEN = "@interfacedoc"
_implementations: list[tuple["type[Interface]", type]] = []


class Interface:
    """Base of interfaces: they group components and document their members."""


def implements(*interfaces: type[Interface]) -> None:
    """Declare, in a class body, the interfaces that the class implements; its subclasses declare their own."""
    _class_body().setdefault(IMPLEMENTS, []).extend(interfaces)


def abstract() -> None:
    """Declare, in a class body, that the class is a base of components and not one itself."""
    _class_body()[ABSTRACT] = True


def interfacedoc(function: F) -> F:
    """Let a member that has no docstring take the one of the interface."""
    if isinstance(function, staticmethod):
        raise ComponentError("@interfacedoc documents functions: write @staticmethod above it, not below")
    if not function.__doc__:
        function.__doc__ = _TO_BE_TAKEN
    return function


def implementations(interface: type[Interface], recurse: bool = True, abstract: bool = False) -> list[type]:
    """Components that implement an interface or, with `recurse`, one derived from it; bases only with `abstract`."""
    found = [
        component
        for implemented, component in _implementations
        if implemented is interface and (abstract or not is_abstract(component))
    ]
    for derived in interface.__subclasses__() if recurse else ():
        found += implementations(derived, recurse, abstract)
    return list(dict.fromkeys(found))


def interfaces_of(component: type) -> tuple[type[Interface], ...]:
    """Interfaces that a class itself declares."""
    return tuple(component.__dict__.get(IMPLEMENTS, ()))


def implements_interface(component: type, interface: type[Interface]) -> bool:
    """Whether a class, or one that it is derived from, implements an interface."""
    return any(issubclass(each, interface) for base in component.__mro__ for each in interfaces_of(base))


def is_abstract(component: type) -> bool:
    """Whether a class is declared to be a base."""
    return component.__dict__.get(ABSTRACT, False)


class MetaComponent(type):
    """Notes what a class body declared."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> "MetaComponent":
        component = super().__new__(cls, name, bases, namespace)
        _implementations.extend((interface, component) for interface in interfaces_of(component))
        for name_of_member, member in namespace.items():
            function: Any = getattr(member, "__func__", member)  # of static and class methods
            if getattr(function, "__doc__", None) == _TO_BE_TAKEN:
                function.__doc__ = _documentation(component, name_of_member)
        return component


class Component(metaclass=MetaComponent):
    """Base of all components."""


def _documentation(component: type, name: str) -> str | None:
    for interface in interfaces_of(component):
        if hasattr(interface, name):
            return getattr(interface, name).__doc__
    declared = ", ".join(interface.__name__ for interface in interfaces_of(component)) or "none"
    raise ComponentError(f"@interfacedoc: {component.__name__}.{name} is in none of its interfaces ({declared})")


def _class_body() -> dict[str, Any]:
    """Namespace of the class body that called our caller."""
    frame = inspect.currentframe()
    body = frame and frame.f_back and frame.f_back.f_back
    if body is None or "__module__" not in body.f_locals or "__qualname__" not in body.f_locals:
        raise ComponentError("implements() and abstract() are called in a class body")
    return body.f_locals
