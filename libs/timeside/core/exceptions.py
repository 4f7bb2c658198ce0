"""Errors of the TimeSide 1 interface; each is a `TimesideError`, and the built-in one that TimeSide 1 raised."""

from timeside_core.errors import MediaError, PipelineError, TimesideError, UnknownProcessorError

Error = TimesideError
PIDError = UnknownProcessorError


class ApiError(PipelineError):
    """A plug-in that cannot be registered: its id is malformed or taken."""


class ComponentError(TimesideError):
    """An interface that is used in a way it cannot be."""


class SourceError(MediaError, OSError):
    """Media that cannot be decoded; an `OSError` (`IOError`), as scripts written for TimeSide 1 expect."""
