"""Forms in which analyzers read audio: declared as values, computed once however many ask.

Every form is exact at the edges and independent of how the signal was cut: what a block leaves over is carried.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import Field

from timeside_core.audio import Array, Stream
from timeside_core.errors import LimitError
from timeside_core.processor import Step

Samplerate: TypeAlias = Annotated[int, Field(ge=1000, le=768_000)]
"""Samples per second, Hz."""
FrameLength: TypeAlias = Annotated[int, Field(ge=1, le=1 << 20)]
"""Samples in a frame."""
Align: TypeAlias = Literal["center", "start", "end"]
Window: TypeAlias = Literal["hann", "hamming", "blackman", "boxcar"]

_FILTER_SAMPLES = 1024
"""Reach of soxr's filters at the lower rate: those of VHQ are the longest."""


class Channels(Step, id="channels", version="1.0"):
    """Audio as decoded: blocks of shape `(samples, channels)`, float32, full scale ±1."""

    def process(self, block: Array) -> Array:
        """The block itself."""
        return block


class Mono(Step, id="mono", version="1.0"):
    """Mean of all channels, shape `(samples,)`, float32."""

    def clock(self, stream: Stream) -> Stream:
        """One channel."""
        return _with(stream, channels=1)

    def process(self, block: Array) -> Array:
        """Mean over the channels."""
        channels = block.shape[1]
        if channels == 1:
            return block[:, 0]
        mixed = block[:, 0] + block[:, 1]  # strided sums: four times faster than mean(axis=1)
        for channel in range(2, channels):
            mixed += block[:, channel]
        mixed *= np.float32(1 / channels)
        return mixed


class Resampled(Step, id="resampled", version="1.0"):
    """Mono audio at another samplerate, shape `(samples,)`, float32, by the SoX resampler (`soxr`).

    Its length is `round(samples · samplerate / original samplerate)`, give or take one sample.
    """

    samplerate: Samplerate = 22050
    """Samples per second of what comes out, Hz."""
    quality: Literal["QQ", "LQ", "MQ", "HQ", "VHQ"] = "HQ"
    """Recipe of soxr; HQ is transparent at 16 bits."""
    input: Mono = Mono()

    def clock(self, stream: Stream) -> Stream:
        """The new samplerate."""
        return _with(stream, samplerate=self.samplerate)

    def context_s(self, stream: Stream) -> tuple[float, float]:
        """The filter's reach, rounded up."""
        is_right = stream.samplerate == self.samplerate
        reach_s = 0.0 if is_right else _FILTER_SAMPLES / min(stream.samplerate, self.samplerate)
        return reach_s, reach_s

    def start(self, stream: Stream) -> None:
        """Open the resampler, unless the rate is right already."""
        self.resampler = None
        if stream.samplerate != self.samplerate:
            import soxr

            self.resampler = soxr.ResampleStream(
                stream.samplerate, self.samplerate, 1, dtype="float32", quality=self.quality
            )

    def process(self, samples: Array) -> Array:
        """Resample; some samples are held back."""
        return samples if self.resampler is None else self.resampler.resample_chunk(samples)

    def finish(self) -> Array | None:
        """Flush what was held back."""
        if self.resampler is None:
            return None
        return self.resampler.resample_chunk(np.empty(0, np.float32), last=True)


Source: TypeAlias = Mono | Resampled
"""One-channel audio that frames are cut from: as decoded, or resampled."""


class Whole(Step, id="whole", version="1.0"):
    """The whole signal at once, shape `(samples,)`, for what cannot be computed in a stream; bounded."""

    source: Source = Mono()
    """Signal that is collected."""
    max_duration_s: Annotated[float, Field(gt=0, le=7200)] = 1200.0
    """Longest signal accepted, s; the memory it takes is this times the samplerate times 4 bytes."""

    @property
    def input(self) -> Source:
        """The signal that is collected."""
        return self.source

    def start(self, stream: Stream) -> None:
        """Begin with nothing."""
        self.samplerate = stream.samplerate
        self.blocks: list[Array] = []
        self.samples = 0

    def process(self, samples: Array) -> None:
        """Collect; raises `LimitError` beyond `max_duration_s`."""
        self.samples += len(samples)
        if self.samples > self.max_duration_s * self.samplerate:
            raise LimitError(f"the signal is longer than max_duration_s={self.max_duration_s:g} of {self.label()!r}")
        self.blocks.append(samples)

    def finish(self) -> Array | None:
        """All of it, or nothing where there was nothing."""
        return np.concatenate(self.blocks) if self.blocks else None


class Frames(Step, id="frames", version="1.0"):
    """Slices of the signal, shape `(frames, frame_length)`; correct also where hop_length > frame_length.

    - `center`: frame n is centred on sample n · hop_length, as librosa; `1 + samples // hop_length` frames.
    - `start`: frame n starts there; `max(0, (samples - frame_length) // hop_length + 1) + 1` frames, the last padded.
    - `end`: frame n ends at sample (n + 1) · hop_length, as aubio; `samples // hop_length + 1` frames.

    No signal, no frames. What lies outside the signal is zeros, or its first and last sample (`pad="edge"`).
    """

    frame_length: FrameLength = 2048
    """Samples in a frame."""
    hop_length: FrameLength = 1024
    """Samples from frame to frame."""
    align: Align = "center"
    """Where frame n lies."""
    pad: Literal["zeros", "edge"] = "zeros"
    """What lies outside the signal."""
    source: Source = Mono()
    """Signal that is cut."""

    @property
    def input(self) -> Source:
        """The signal that is cut."""
        return self.source

    @property
    def first_sample(self) -> int:
        """Where frame 0 begins; negative before the signal."""
        if self.align == "center":
            return -(self.frame_length // 2)
        return 0 if self.align == "start" else self.hop_length - self.frame_length

    def count(self, samples: int) -> int:
        """Frames of a signal of that many samples."""
        if samples == 0:
            return 0
        if self.align == "start":
            return max(0, (samples - self.frame_length) // self.hop_length + 1) + 1
        return samples // self.hop_length + 1

    def clock(self, stream: Stream) -> Stream:
        """Centres of the frames."""
        centre = self.first_sample + self.frame_length / 2 if self.align != "center" else 0
        return _with(
            stream,
            hop_length=self.hop_length,
            frame_length=self.frame_length,
            start_s=stream.start_s + centre / stream.samplerate,
        )

    def start(self, stream: Stream) -> None:
        """Begin with what lies before the signal."""
        self.held = np.empty(0, np.float32)
        self.skip = max(0, self.first_sample)
        self.samples = self.emitted = 0

    def process(self, samples: Array) -> Array | None:
        """Frames that are complete, as a view."""
        if self.samples == 0:
            value = samples[0] if self.pad == "edge" else 0
            self.held = np.full(max(0, -self.first_sample), value, np.float32)
        self.samples += len(samples)
        self.last = samples[-1]
        return self._cut(samples)

    def finish(self) -> Array | None:
        """The last frames, padded."""
        missing = self.count(self.samples) - self.emitted
        if missing <= 0:
            return None
        length = self.skip + (missing - 1) * self.hop_length + self.frame_length - len(self.held)
        return self._cut(np.full(max(0, length), self.last if self.pad == "edge" else 0, np.float32))

    def _cut(self, samples: Array) -> Array | None:
        skipped = min(self.skip, len(samples))
        self.skip -= skipped
        buffer = np.concatenate([self.held, samples[skipped:]]) if len(self.held) else samples[skipped:]
        frames = (len(buffer) - self.frame_length) // self.hop_length + 1 if len(buffer) >= self.frame_length else 0
        used = frames * self.hop_length
        self.skip += max(0, used - len(buffer))
        self.held = buffer[used:]
        self.emitted += frames
        if not frames:
            return None
        return np.lib.stride_tricks.sliding_window_view(buffer, self.frame_length)[:: self.hop_length][:frames]


class _Transform(Step):
    n_fft: Annotated[int, Field(ge=2, le=1 << 18)] = 2048
    """Length of the transform, samples; frames are as long."""
    hop_length: FrameLength = 512
    """Samples from frame to frame."""
    window: Window = "hann"
    """Periodic window (aubio's `hanningz` is this one)."""
    align: Align = "center"
    """Where frame n lies: see `Frames`."""
    source: Source = Mono()
    """Signal that is transformed."""


class Spectrum(_Transform, id="spectrum", version="1.0"):
    """Short-time Fourier transform, shape `(frames, n_fft // 2 + 1)`, complex64; equals `librosa.stft` transposed."""

    @property
    def input(self) -> Frames:
        """The frames that are transformed."""
        return Frames(frame_length=self.n_fft, hop_length=self.hop_length, align=self.align, source=self.source)

    def start(self, stream: Stream) -> None:
        """Make the window."""
        self.weights = window(self.window, self.n_fft)

    def process(self, frames: Array) -> Array:
        """Transform all frames at once."""
        from scipy.fft import rfft

        return rfft(frames * self.weights, axis=1, overwrite_x=True)


class _OfSpectrum(_Transform):
    @property
    def input(self) -> Spectrum:
        """The spectrum that is read."""
        return Spectrum(
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            window=self.window,
            align=self.align,
            source=self.source,
        )


class Magnitude(_OfSpectrum, id="magnitude", version="1.0"):
    """Magnitude of the spectrum, |X|, shape `(frames, n_fft // 2 + 1)`, float32."""

    def process(self, spectrum: Array) -> Array:
        """Absolute values."""
        return np.abs(spectrum)


class Power(_OfSpectrum, id="power", version="1.0"):
    """Power of the spectrum, |X|², shape `(frames, n_fft // 2 + 1)`, float32."""

    def process(self, spectrum: Array) -> Array:
        """Squared absolute values, without the root."""
        power: Array = np.square(np.real(spectrum))
        power += np.square(np.imag(spectrum))
        return power


def window(name: Window, length: int) -> Array:
    """Periodic window, shape `(length,)`, float32."""
    phase = 2 * np.pi * np.arange(length) / length
    if name == "hann":
        weights = 0.5 - 0.5 * np.cos(phase)
    elif name == "hamming":
        weights = 0.54 - 0.46 * np.cos(phase)
    elif name == "blackman":
        weights = 0.42 - 0.5 * np.cos(phase) + 0.08 * np.cos(2 * phase)
    else:
        weights = np.ones(length)
    return weights.astype(np.float32)


def frequencies(samplerate: int, n_fft: int) -> Array:
    """Centre of each bin of a spectrum, shape `(n_fft // 2 + 1,)`, Hz."""
    return np.fft.rfftfreq(n_fft, 1 / samplerate)


def _with(stream: Stream, **changes: Any) -> Stream:

    return replace(stream, **changes)
