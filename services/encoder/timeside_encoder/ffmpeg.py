"""Codecs and containers of FFmpeg, through PyAV."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, cast

import numpy as np

from timeside_core import Array, Stream
from timeside_core.errors import EncodingError
from timeside_encoder.pcm import quantized
from timeside_encoder.sink import Sink

LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
"""FFmpeg's names for the layouts that FLAC fixes for one channel, two, …"""
BUFFER_SIZE = 4096
"""Bytes that FFmpeg collects before it writes: a quarter of a second at 128 kb/s."""


class FFmpegCodec:
    """One audio stream in a container; bit-exact: without versions, dates or random numbers."""

    def __init__(
        self,
        stream: Stream,
        sink: Sink,
        *,
        container: str,
        codec: str,
        bits: int | None = None,
        bitrate_kbps: int = 0,
        options: Mapping[str, str] | None = None,
        container_options: Mapping[str, str] | None = None,
        tags: Mapping[str, str],
    ) -> None:
        import av
        from av.codec.context import Flags

        self.stream, self.bits, self.samples = stream, bits, 0
        self.name = f"{codec} at {stream.samplerate} Hz with {stream.channels} channels"
        with self._explained():
            self.container: Any = av.open(
                cast("Any", sink),
                "w",
                format=container,
                buffer_size=BUFFER_SIZE,
                container_options={"fflags": "+bitexact", **(container_options or {})},
            )
            self.container.metadata.update(tags)
            self.encoder = self.container.add_stream(codec, stream.samplerate, dict(options or {}))
            self.encoder.layout = LAYOUTS[stream.channels - 1]
            if bits:
                self.encoder.format = "s16" if bits == 16 else "s32"
            self.encoder.bit_rate = 1000 * bitrate_kbps
            self.encoder.codec_context.flags |= Flags.bitexact
            self.encoder.codec_context.thread_count = 1
            self.container.start_encoding()

    def encode(self, block: Array) -> None:
        """Hand over a frame; FFmpeg cuts it to the codec's."""
        import av

        frame = av.AudioFrame.from_ndarray(
            self._packed(block).reshape(1, -1),
            format={None: "flt", 16: "s16", 24: "s32"}[self.bits],
            layout=LAYOUTS[self.stream.channels - 1],
        )
        frame.sample_rate = self.stream.samplerate
        frame.pts, frame.time_base = self.samples, Fraction(1, self.stream.samplerate)
        self.samples += len(block)
        with self._explained():
            self.container.mux(self.encoder.encode(frame))

    def finish(self) -> None:
        """Flush, write the trailer."""
        with self._explained():
            self.container.mux(self.encoder.encode(None))
            self.container.close()

    def _packed(self, block: Array) -> Array:
        if self.bits is None:
            return np.ascontiguousarray(block)
        integers = quantized(block, self.bits)
        return integers if self.bits == 16 else integers << 8  # FFmpeg reads 24 bits from the top of 32

    @contextmanager
    def _explained(self) -> Generator[None]:
        from av.error import FFmpegError

        try:
            yield
        except (FFmpegError, ValueError) as error:
            raise EncodingError(f"FFmpeg cannot encode {self.name}: {error}") from error
