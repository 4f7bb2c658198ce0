"""Every error TimeSide raises on purpose; catching `TimesideError` is what most callers need.

TimesideError
├── UnknownProcessorError   no processor of that id (also a KeyError)
├── ParameterError          a parameter outside its rule (also a ValueError)
├── PipelineError           processors that cannot be joined (also a ValueError)
├── SegmentError            a segment outside the media (also a ValueError)
├── MediaError              media that cannot be decoded
│   ├── NoAudioError        readable, but without an audio stream
│   └── LimitError          decodes to more than its limits allow
├── EncodingError           audio that cannot be encoded or written
│   └── OutputExistsError   the output exists and overwriting was not asked for (also a FileExistsError)
├── ProcessorError          a processor failed while it ran; names it
├── FormatError             a file of results, or a picture, that cannot be read or written (also a ValueError)
├── PoisonError             bytes on the bus that are not the message they should be (also a ValueError)
├── BusError                the bus did not do what was asked
│   ├── BusUnavailableError it did not answer in time
│   ├── BusAccessError      it does not let us in, or is not who it should be
│   ├── MissingTopicError   topics that were not declared to it
│   ├── MessageSizeError    a message longer than it carries
│   ├── StaleMemberError    a partition that is no longer (or was never) this member's
│   └── OffsetOutOfRangeError  records that are no longer kept (in `timeside_core.bus`)
├── FetchError              a URL that was refused, or whose bytes did not come
├── ProviderError           a provider that cannot be used, or failed
│   └── UnknownProviderError  no provider of that id (also a KeyError)
├── StoreError              an object or a result that cannot be stored or read back
│   └── ChangedMediaError   a file used in place is not what it was
└── CancelledError          the run was cancelled by its owner

A message names the thing, the value and the rule.
"""

from typing import Literal, TypeAlias

FetchFailure: TypeAlias = Literal[
    "refused",  # by our rules, whatever the server does
    "unreachable",  # no address, no connection, or no certificate that is trusted
    "slow",  # a limit of time
    "large",  # a limit of bytes
    "status",  # the server answered, but not 2xx
    "redirects",  # too many
    "broken",  # the answer ended early or is not sound HTTP
    "busy",  # none of our connections became free
]
"""Why a URL was not fetched."""


class TimesideError(Exception):
    """Root of all errors raised on purpose."""


class UnknownProcessorError(TimesideError, KeyError):
    """No processor has the id that was asked for."""

    def __str__(self) -> str:  # KeyError would show the repr of its message
        return str(self.args[0]) if self.args else ""


class ParameterError(TimesideError, ValueError):
    """A parameter is outside its rule."""


class PipelineError(TimesideError, ValueError):
    """Processors that cannot be joined in this way."""


class SegmentError(TimesideError, ValueError):
    """A segment that does not lie inside its media."""


class MediaError(TimesideError):
    """Media that cannot be decoded."""


class NoAudioError(MediaError):
    """Media that can be read but holds no audio stream."""


class LimitError(MediaError):
    """Media that decodes to more than its limits allow."""


class EncodingError(TimesideError):
    """Audio that cannot be encoded or written."""


class OutputExistsError(EncodingError, FileExistsError):
    """The output exists and overwriting was not asked for."""


class ProcessorError(TimesideError):
    """A processor failed while it ran."""


class FormatError(TimesideError, ValueError):
    """A file of results, or a picture, that cannot be read or written."""


class FetchError(TimesideError):
    """A URL that was refused, or whose bytes did not come; its message masks credentials and the query's values."""

    def __init__(self, message: str, kind: FetchFailure = "refused", status: int | None = None) -> None:
        super().__init__(message)
        self.kind: FetchFailure = kind
        """Why, and so whether another attempt is worth it."""
        self.status = status
        """What the server answered, where the kind is `status`."""


class ProviderError(TimesideError):
    """A provider cannot be used, or failed while it resolved a URL."""


class UnknownProviderError(ProviderError, KeyError):
    """No provider has the id that was asked for."""

    def __str__(self) -> str:  # KeyError would show the repr of its message
        return str(self.args[0]) if self.args else ""


class StoreError(TimesideError):
    """An object or a result that cannot be stored or read back."""


class ChangedMediaError(StoreError):
    """A file that is used as a media where it lies is not what it was."""


class CancelledError(TimesideError):
    """The run was cancelled by its owner."""


class PoisonError(TimesideError, ValueError):
    """Bytes on the bus that are not the message they should be; they go to the dead-letter topic."""


class BusError(TimesideError):
    """The bus did not do what was asked."""


class BusUnavailableError(BusError):
    """The bus did not answer in time."""


class BusAccessError(BusError):
    """The bus does not let us in, or is not who it should be: trying again does not help."""


class MissingTopicError(BusError):
    """Topics that were not declared to the bus."""


class MessageSizeError(BusError):
    """A message longer than the bus carries."""


class StaleMemberError(BusError):
    """A partition that is no longer (or was never) this member's: what it holds of it is void."""
