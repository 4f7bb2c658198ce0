"""The messages that are bytes: blocks of PCM, partial rows, encoded chunks; a fixed little-endian header, then data.

Block of PCM, version 1, 64 bytes:

    0 magic "TSB1"   4 version u8   5 kind u8   6 header_length u16   8 attempt u32   12 seq u32   16 run_id 16 bytes
    32 first_sample u64   40 samples u32   44 samplerate u32   48 channels u16   50 sample_format u8   51 flags u8
    52 payload_crc u32 (CRC-32; 0: none)   56 stream_id u64

Partial rows "TSP1" and encoded chunk "TSC1", version 1, 48 bytes:

    0 magic   4 version u8   5 dtype | flags u8   6 header_length u16   8 attempt u32   12 seq u32   16 run_id 16 bytes
    32 processor u16   34 output | 0 u16   36 first_row | first_sample u64   44 rows | samples u32

What lies between the fixed header and `header_length` is an extension that this version does not know, and is skipped.
"""

import struct
import zlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Self, TypeAlias
from uuid import UUID

import numpy as np
from pydantic import TypeAdapter

from timeside_core.audio import Array
from timeside_core.errors import PoisonError
from timeside_core.messages.json import from_json, to_json
from timeside_core.messages.models import DecodingError, Discontinuity, End, JsonMessage, LiveSource, Start
from timeside_core.outputs import Rows

MAX_BLOCK_SAMPLES = 1 << 16
MAX_PAYLOAD_BYTES = 1 << 19
"""Of a block: with its header below the megabyte that brokers accept, and few enough to be worth a message."""

Bytes: TypeAlias = bytes | bytearray | memoryview

_BLOCK = struct.Struct("<4sBBHII16sQIIHBBIQ")
_ROWS = struct.Struct("<4sBBHII16sHHQI")
_VERSION = 1


class BlockKind(IntEnum):
    """What a block says."""

    DATA = 0
    END = 1
    ERROR = 2
    DISCONTINUITY = 3
    CANCELLED = 4
    START = 5


class SampleFormat(IntEnum):
    """How samples are written: integers of 16 bits at full scale 32768, or floats at full scale 1."""

    S16 = 1
    F32 = 4

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Little-endian, as on the wire."""
        return np.dtype("<i2" if self is SampleFormat.S16 else "<f4")


_BODIES: dict[BlockKind, TypeAdapter[Any]] = {
    BlockKind.START: TypeAdapter(Start),
    BlockKind.END: TypeAdapter(End),
    BlockKind.ERROR: TypeAdapter(DecodingError),
    BlockKind.DISCONTINUITY: TypeAdapter(Discontinuity),
}

_DTYPES = {code: np.dtype(name) for code, name in enumerate(("<f4", "<f8", "<i4", "<f2", "u1", "<i2", "<i8"), start=1)}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_TIMED, _LASTING = 0x10, 0x20


def block_samples(channels: int, sample_format: SampleFormat) -> int:
    """Samples in a block: the largest power of two up to 65,536 whose payload is at most 512 KiB."""
    fitting = MAX_PAYLOAD_BYTES // (channels * sample_format.dtype.itemsize)
    return min(MAX_BLOCK_SAMPLES, 1 << max(0, fitting.bit_length() - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of a stream of PCM, or what is said between blocks (`body`)."""

    kind: BlockKind
    run_id: UUID
    attempt: int
    stream_id: int
    """Drawn at random for each decoding: two decoders of one attempt cannot be taken for one."""
    seq: int
    """Counts all blocks of the stream; 0 is the start."""
    first_sample: int
    """Of the segment; where this block begins, or would."""
    samplerate: int
    channels: int
    sample_format: SampleFormat
    samples: int = 0
    payload: Bytes = field(default=b"", repr=False)
    """Samples of a data block, interleaved."""
    body: JsonMessage | None = None
    """Of a start, end, error or discontinuity."""

    def audio(self) -> Array:
        """Shape `(samples, channels)`, float32, full scale ±1; f32 is a view of the payload, read only."""
        flat = np.frombuffer(self.payload, self.sample_format.dtype)
        if self.sample_format is SampleFormat.S16:
            flat = np.multiply(flat, np.float32(2.0**-15), dtype=np.float32)
        return flat.reshape(self.samples, self.channels)

    def encode(self, *, checksum: bool = False) -> bytearray:
        """Its bytes; brokers check their own checksum, so one of the payload is for other ways of carrying it."""
        payload = self.payload if self.body is None else to_json(self.body)
        encoded = bytearray(_BLOCK.size + len(payload))
        encoded[_BLOCK.size :] = payload
        _BLOCK.pack_into(
            encoded,
            0,
            *(b"TSB1", _VERSION, self.kind, _BLOCK.size, self.attempt, self.seq, self.run_id.bytes),
            *(self.first_sample, self.samples, self.samplerate, self.channels, self.sample_format, 0),
            *(zlib.crc32(payload) if checksum else 0, self.stream_id),
        )
        return encoded

    @classmethod
    def decode(cls, value: memoryview) -> Self:
        """From its bytes, of which the payload is a view; raises `PoisonError`."""
        header, payload = _parted(_BLOCK, b"TSB1", value)
        _, _, kind, _, attempt, seq, run_id, first_sample, samples, samplerate, channels, fmt, flags, crc, stream = (
            header
        )
        kind, fmt = _member(BlockKind, kind), _member(SampleFormat, fmt)
        if flags:
            raise PoisonError(f"block flags {flags:#04x} are unknown")
        if not attempt or not samplerate or not channels:
            raise PoisonError(f"attempt={attempt}, samplerate={samplerate}, channels={channels} of a block must be ≥ 1")
        if (seq == 0) != (kind is BlockKind.START):
            raise PoisonError(f"{kind.name} block has seq={seq}: the start, and nothing else, has 0")
        expected = samples * channels * fmt.dtype.itemsize if kind is BlockKind.DATA else len(payload)
        if samples > MAX_BLOCK_SAMPLES or (samples == 0) == (kind is BlockKind.DATA) or len(payload) != expected:
            raise PoisonError(f"{kind.name} block of {samples} samples, {channels} channels has {len(payload)} bytes")
        if crc and zlib.crc32(payload) != crc:
            raise PoisonError(f"payload of {len(payload)} bytes does not match its checksum {crc:#010x}")
        adapter = _BODIES.get(kind)
        if adapter is None and kind is not BlockKind.DATA and payload:
            raise PoisonError(f"{kind.name} block has {len(payload)} bytes of payload: it takes none")
        return cls(
            kind=kind,
            run_id=UUID(bytes=run_id),
            attempt=attempt,
            stream_id=stream,
            seq=seq,
            first_sample=first_sample,
            samplerate=samplerate,
            channels=channels,
            sample_format=fmt,
            samples=samples,
            payload=payload if kind is BlockKind.DATA else b"",
            body=from_json(adapter, payload) if adapter is not None else None,
        )


def is_live(block: Block) -> bool:
    """Whether it is the start of a live source."""
    return isinstance(block.body, Start) and isinstance(block.body.run.plan.source, LiveSource)


def pcm(audio: Array, sample_format: SampleFormat) -> memoryview:
    """Payload of a block from audio, shape `(samples, channels)`, float32, full scale ±1.

    f32 is a view where the audio is contiguous. s16 loses nothing of audio that was integers of 16 bits or less.
    """
    if sample_format is SampleFormat.S16:
        audio = np.rint(np.clip(audio * np.float32(2.0**15), -(2.0**15), 2.0**15 - 1))
    return np.ascontiguousarray(audio, sample_format.dtype).data.cast("B") if audio.size else memoryview(b"")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartialRows:
    """Rows of one output of one processor, as they were completed; the same rows again after a replay."""

    run_id: UUID
    attempt: int
    seq: int
    """Counts the messages of the processor in this run, all outputs together, since it was opened."""
    processor: int
    """Index in the plan."""
    output: int
    """Index among the outputs of the processor."""
    first_row: int
    rows: Rows
    """Values of shape `(rows,)`, or `(rows, columns)` flattened: the shape of a row is in `opened`."""

    def encode(self) -> bytes:
        """Its bytes: times, durations (float64, where there are any), then values."""
        values = np.ascontiguousarray(self.rows.values)
        dtype = values.dtype.newbyteorder("<")
        if dtype not in _CODES:
            raise TypeError(f"partial rows of {values.dtype} cannot be sent: {', '.join(map(str, _CODES))} can")
        timing = [each for each in (self.rows.times, self.rows.durations) if len(each)]
        code = _CODES[dtype] | (0, _TIMED, _TIMED | _LASTING)[len(timing)]
        header = _ROWS.pack(
            *(b"TSP1", _VERSION, code, _ROWS.size, self.attempt, self.seq, self.run_id.bytes),
            *(self.processor, self.output, self.first_row, len(self.rows)),
        )
        return b"".join([header, *(each.astype("<f8").tobytes() for each in timing), values.astype(dtype).tobytes()])

    @classmethod
    def decode(cls, value: memoryview) -> Self:
        """From its bytes, of which the rows are views; raises `PoisonError`."""
        header, data = _parted(_ROWS, b"TSP1", value)
        _, _, code, _, attempt, seq, run_id, processor, output, first_row, rows = header
        dtype, timing = _DTYPES.get(code & 0x0F), code & 0xF0
        if dtype is None or timing not in (0, _TIMED, _TIMED | _LASTING):
            raise PoisonError(f"rows of type {code:#04x} are unknown")
        timed = timing.bit_count() * 8 * rows
        columns, rest = divmod(len(data) - timed, rows * dtype.itemsize) if rows else (0, len(data))
        if not attempt or rest or (rows and columns < 1):
            raise PoisonError(f"{len(data)} bytes are not {rows} rows of {dtype} (attempt {attempt})")
        values = np.frombuffer(data[timed:], dtype)
        return cls(
            run_id=UUID(bytes=run_id),
            attempt=attempt,
            seq=seq,
            processor=processor,
            output=output,
            first_row=first_row,
            rows=Rows(
                values.reshape(rows, columns) if columns > 1 else values,
                np.frombuffer(data[: 8 * rows] if timing & _TIMED else b"", "<f8"),
                np.frombuffer(data[8 * rows : timed] if timing & _LASTING else b"", "<f8"),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedChunk:
    """Bytes of an encoder, in order."""

    run_id: UUID
    attempt: int
    seq: int
    processor: int
    first_sample: int
    samples: int
    """That the chunk completes; 0 where it only begins the file."""
    data: Bytes = field(repr=False)
    begins: bool = False
    """Whether it is what every player must have first."""
    ends: bool = False

    def encode(self) -> bytes:
        """Its bytes."""
        header = _ROWS.pack(
            *(b"TSC1", _VERSION, self.begins | self.ends << 1, _ROWS.size, self.attempt, self.seq, self.run_id.bytes),
            *(self.processor, 0, self.first_sample, self.samples),
        )
        return b"".join([header, self.data])

    @classmethod
    def decode(cls, value: memoryview) -> Self:
        """From its bytes, of which the data are a view; raises `PoisonError`."""
        header, data = _parted(_ROWS, b"TSC1", value)
        _, _, flags, _, attempt, seq, run_id, processor, reserved, first_sample, samples = header
        if flags > 3 or reserved or not attempt:
            raise PoisonError(f"chunk with flags {flags:#04x}, reserved {reserved}, attempt {attempt}")
        return cls(
            run_id=UUID(bytes=run_id),
            attempt=attempt,
            seq=seq,
            processor=processor,
            first_sample=first_sample,
            samples=samples,
            data=data,
            begins=bool(flags & 1),
            ends=bool(flags & 2),
        )


def _parted(layout: struct.Struct, magic: bytes, value: memoryview) -> tuple[tuple[Any, ...], memoryview]:
    """Header and the rest, if magic, version and lengths are right."""
    if len(value) < layout.size:
        raise PoisonError(f"{len(value)} bytes are less than a header of {layout.size}")
    header = layout.unpack_from(value)
    found, version, _, header_length, *_ = header
    if found != magic:
        raise PoisonError(f"magic {found!r} is not {magic!r}")
    if version != _VERSION:
        raise PoisonError(f"version {version} of {magic.decode()} is unknown: {_VERSION} is what is read here")
    if not layout.size <= header_length <= len(value):
        raise PoisonError(f"header_length={header_length} is outside {layout.size} to {len(value)} bytes")
    return header, value[header_length:]


def _member(kinds: type[Any], code: int) -> Any:
    try:
        return kinds(code)
    except ValueError:
        raise PoisonError(f"{kinds.__name__} {code} is unknown") from None
