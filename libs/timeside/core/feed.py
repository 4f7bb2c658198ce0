"""Hands audio to a plug-in as TimeSide 1 did: blocks of a fixed size, `eod` set with the last."""

from typing import Any

import numpy as np

from timeside_core.audio import Array, Stream
from timeside_core.errors import ProcessorError, TimesideError


def call(plugin: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    """Call a method of a plug-in; raises `ProcessorError` naming both where it fails."""
    try:
        return getattr(plugin, method)(*args, **kwargs)
    except TimesideError:
        raise
    except Exception as error:
        raise ProcessorError(f"{plugin.id()!r} failed in {method}: {type(error).__name__}: {error}") from error


class Cutter:
    """Cuts audio into blocks; one is always held back, since only the end tells which is the last."""

    def __init__(self, blocksize: int, channels: int) -> None:
        self._blocksize = blocksize
        self._held = np.empty((0, channels), np.float32)

    def push(self, samples: Array) -> list[Array]:
        """Blocks that are complete and not the last; arrays of their own, which may be written to."""
        audio = np.concatenate([self._held, samples])
        stop = max(0, (len(audio) - 1) // self._blocksize * self._blocksize)
        self._held = audio[stop:]
        return [audio[start : start + self._blocksize] for start in range(0, stop, self._blocksize)]

    def last(self) -> Array:
        """The last block, empty where there was no signal."""
        return self._held


class Feed:
    """One run of a plug-in over a signal."""

    def __init__(self, plugin: Any, *, blocksize: int, totalframes: int | None = None) -> None:
        self.plugin = plugin
        self._blocksize, self._totalframes = blocksize, totalframes

    def start(self, stream: Stream) -> None:
        """Set the plug-in up."""
        self._cutter = Cutter(self._blocksize, stream.channels)
        self._samples = 0
        call(
            self.plugin,
            "setup",
            channels=stream.channels,
            samplerate=stream.samplerate,
            blocksize=self._blocksize,
            totalframes=self._totalframes,
        )

    def push(self, block: Array) -> list[Array]:
        """Hand audio over; return what comes back."""
        self._samples += len(block)
        return [self._process(each, eod=False) for each in self._cutter.push(block)]

    def finish(self) -> list[Array]:
        """Hand the last block over; the length of the signal is known from then on."""
        self.plugin.source_totalframes = self._samples
        return [self._process(self._cutter.last(), eod=True)]

    def close(self) -> None:
        """Let the plug-in release what it took."""
        call(self.plugin, "release")

    def _process(self, block: Array, *, eod: bool) -> Array:
        returned = call(self.plugin, "process", block, eod)
        try:
            frames, _ = returned
        except (TypeError, ValueError):
            raise ProcessorError(f"{self.plugin.id()!r}: process returned no (frames, eod)") from None
        return frames
