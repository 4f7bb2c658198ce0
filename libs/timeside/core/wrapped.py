"""Processors of the native library by their native class, in the form of TimeSide 1."""

import warnings
from functools import cache

from timeside.core.api import IAnalyzer, IValueAnalyzer
from timeside.core.component import IMPLEMENTS, Interface, interfaces_of
from timeside.core.exceptions import PIDError
from timeside.core.processor import MetaProcessor, Processor
from timeside.core.wrapped_decoder import WrappedDecoder
from timeside.core.wrappers import WrappedAnalyzer, WrappedEffect, WrappedEncoder, WrappedGrapher
from timeside_core import pipeline, registry
from timeside_core import processor as native
from timeside_core.errors import TimesideError
from timeside_core.outputs import Value

_BASES: tuple[tuple[type[native.Processor], type[Processor]], ...] = (
    (pipeline.Decoder, WrappedDecoder),
    (native.Analyzer, WrappedAnalyzer),
    (native.Effect, WrappedEffect),
    (pipeline.Grapher, WrappedGrapher),
    (pipeline.Encoder, WrappedEncoder),
)


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
    return interfaces_of(base)[0]
