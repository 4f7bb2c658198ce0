"""What `SndfileReader` and `FfmpegReader` have in common: an opened media, its facts, its blocks."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from timeside_core import Array

BLOCK_SAMPLES = 65_536
"""Samples of a block: a multiple of what the engine works on, and few enough calls."""


@dataclass(slots=True)
class Damage:
    """What was found wrong while decoding."""

    packets: int = 0
    """Packets that could not be read or decoded."""
    silenced_samples: int = 0
    """Samples missing in the middle that silence stands for, so that later times are right."""
    unplaced_jumps: int = 0
    """Jumps of the timestamps that were too long to be filled with silence; later times are counted on."""
    missing_samples: int = 0
    """Samples that the header promises and the file does not yield."""
    is_cut: bool = False
    """Whether the file ends in the middle of its stream, however long that was."""
    zeroed_samples: int = 0
    """Samples that were infinite or not a number, and are 0 now."""

    def __bool__(self) -> bool:
        return bool(str(self))

    def __str__(self) -> str:
        parts = (
            (self.packets, "packets are damaged"),
            (self.silenced_samples, "missing samples were replaced by silence"),
            (self.unplaced_jumps, "jumps of the timestamps were left out"),
            (self.missing_samples, "samples fewer than the header tells"),
            (self.zeroed_samples, "samples were not finite and are 0 now"),
        )
        told = [f"{count} {what}" for count, what in parts if count]
        return ", ".join(["the file is cut short", *told] if self.is_cut else told)


class Reader:
    """Opened media. Use as a context manager; take the blocks once."""

    samplerate: int
    channels: int
    samples: int | None = None
    """Length by the header, in samples."""
    tolerance_samples: int | None = None
    """How far `samples` may be off; None where it is an estimate at best."""
    end: int | None = None
    """Length as counted, in samples; None before the blocks came to their end."""
    container: str
    codec: str
    bit_depth: int | None = None
    mime_type: str
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    damage: Damage

    @abstractmethod
    def blocks(self, first_sample: int) -> Iterator[Array]:
        """Blocks from `first_sample` to the end, shape `(samples, channels)`, float32; equal however one got there."""

    @abstractmethod
    def close(self) -> None:
        """Release the media."""

    def ended_at(self, sample: int) -> None:
        """Take down where the stream ended, and how much less that is than the header tells."""
        self.end = sample
        if self.samples is not None and self.tolerance_samples is not None:
            missing = self.samples - sample
            self.damage.missing_samples += missing if missing > self.tolerance_samples else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class BrokenStreamError(Exception):
    """A reader cannot go on after `sample`; another one may."""

    def __init__(self, sample: int, cause: str) -> None:
        super().__init__(cause)
        self.sample = sample
