"""Interfaces of TimeSide 1 that components implement; `@interfacedoc` copies the docstrings of their members."""

# pyright: reportIncompatibleMethodOverride=false

from abc import abstractmethod
from typing import Any

from timeside.core.component import Interface


class IProcessor(Interface):
    """Something that takes part in a pipe."""

    @staticmethod
    @abstractmethod
    def id() -> str:
        """Name in the registry: a lower-case letter, then lower-case letters, digits and underscores."""

    @staticmethod
    @abstractmethod
    def version() -> str:
        """Version of the processor, raised when equal samples give another result."""

    @staticmethod
    @abstractmethod
    def description() -> str:
        """What the processor is for."""

    @staticmethod
    @abstractmethod
    def uuid() -> str:
        """Identity of this instance, the key of its results."""

    def setup(
        self,
        channels: int | None = None,
        samplerate: int | None = None,
        blocksize: int | None = None,
        totalframes: int | None = None,
    ) -> None:
        """Prepare for a run over a signal of that form; `totalframes` is None where its length is unknown."""

    def channels(self) -> int | None:
        """Channels of the signal that comes out."""

    def samplerate(self) -> int | None:
        """Samplerate of the signal that comes out, Hz."""

    def blocksize(self) -> int | None:
        """Samples in a block; the last one may be shorter."""

    def totalframes(self) -> int | None:
        """Samples of the whole signal, None where unknown."""

    def process(self, frames: Any = None, eod: bool = False) -> Any:
        """Take the next block, shape `(samples, channels)`, float32; `eod` is set with the last. Return both."""

    def post_process(self) -> None:
        """Make results, once all was processed."""

    def release(self) -> None:
        """Give back what `setup` took."""

    @abstractmethod
    def mediainfo(self) -> dict[str, Any]:
        """The media: uri, start and duration (s), is_segment, samplerate (Hz), sha1."""


class IEncoder(IProcessor):
    """Something that writes a format."""

    def __init__(self, output: str | None) -> None:
        """Encode to a file."""

    @staticmethod
    @abstractmethod
    def format() -> str:
        """Short name of the format."""

    @staticmethod
    @abstractmethod
    def file_extension() -> str:
        """Suffix of files of the format, without the dot."""

    @staticmethod
    @abstractmethod
    def mime_type() -> str:
        """Media type of the format."""

    def set_metadata(self, metadata: Any) -> None:
        """Tags to embed, by name; before the run."""


class IDecoder(IProcessor):
    """Something that reads media."""

    def __init__(self, filename: str) -> None:
        """Decode a file."""

    @abstractmethod
    def format(self) -> str:
        """Media type of what is decoded."""

    @abstractmethod
    def encoding(self) -> str:
        """Short name of the codec."""

    def resolution(self) -> int | None:
        """Bits of a sample, None where the codec has no such notion."""

    @abstractmethod
    def metadata(self) -> dict[str, str]:
        """Embedded tags by name."""

    @abstractmethod
    def mime_type(self) -> str:
        """Media type of what is decoded."""


class IGrapher(IProcessor):
    """Something that draws."""

    def __init__(self, width: int, height: int) -> None:
        """Draw a picture of that size, pixels."""

    @staticmethod
    @abstractmethod
    def name() -> str:
        """Name to show."""

    def set_colors(self, background: Any = None, scheme: Any = None) -> None:
        """Colours to draw in."""

    def render(self, output: Any = None) -> Any:
        """The picture, as a PIL image; where `output` is given it is written there instead."""


class IAnalyzer(IProcessor):
    """Something that yields results."""

    def __init__(self) -> None:
        """Take parameters, each with a default."""

    @staticmethod
    @abstractmethod
    def name() -> str:
        """Name to show."""

    @staticmethod
    @abstractmethod
    def unit() -> str:
        """Unit of the values: Hz, dB, s; empty for bare numbers."""


class IValueAnalyzer(IAnalyzer):
    """An analyzer whose results are values for the whole signal."""


class IEffect(IProcessor):
    """Something that changes the signal for all that follow it."""

    def __init__(self) -> None:
        """Take parameters, each with a default."""

    @staticmethod
    @abstractmethod
    def name() -> str:
        """Name to show."""
