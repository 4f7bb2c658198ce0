"""The interface of TimeSide 1 over the native library; `docs/timeside-1.md` says what it holds."""

from importlib.metadata import version

from timeside.core import analyzer, api, decoder, encoder, grapher, preprocessors, processor
from timeside.core.component import abstract, implements, interfacedoc
from timeside.core.exceptions import ApiError, Error, PIDError
from timeside.core.processor import Processor, ProcessPipe, get_processor, list_processors, processors

__version__ = version("timeside")

__all__ = [
    "ApiError",
    "Error",
    "PIDError",
    "ProcessPipe",
    "Processor",
    "abstract",
    "analyzer",
    "api",
    "decoder",
    "encoder",
    "get_processor",
    "grapher",
    "implements",
    "interfacedoc",
    "list_processors",
    "preprocessors",
    "processor",
    "processors",
]
