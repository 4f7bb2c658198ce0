"""Frames of MPEG layer III, and the Info frame that says how many there are and what to trim."""

import struct

import numpy as np

from timeside_core import Array

BITRATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
BITRATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
"""kb/s by index in a frame's header: of MPEG-1; of MPEG-2 and 2.5 (ISO 11172-3, 2.4.2.3, and 13818-3)."""
INFO_SIZE = 156
"""Bytes of a Xing tag with all its fields and LAME's extension."""
MOST_SEEN = 2000
"""Places remembered for the seek table, which has 100."""
LAME_DELAY = 576
"""Samples that LAME puts before the signal; readers know that a decoder adds 529."""
LAME_ALGORITHM = 3
"""LAME's own default of how hard to search, from 0, best, to 9, fastest; FFmpeg's too."""


class Frames:
    """What is known of the frames of a stream, fed as they come, however they are cut."""

    def __init__(self) -> None:
        self.header = b""
        """Of the first frame."""
        self.count = self.size = 0
        self.seen: list[tuple[int, int]] = [(0, 0)]
        """Frames and bytes so far, after each call."""
        self._sizes: list[int] = []
        self._tail, self._next = b"", 0

    def add(self, data: bytes) -> None:
        """Count the frames whose headers are in what came."""
        data, at = self._tail + data, self._next
        while at + 4 <= len(data):
            if not self.header:
                self._begin(data[at : at + 4])
            size = self._sizes[data[at + 2] >> 4] + (data[at + 2] >> 1 & 1)
            self.count += 1
            self.size += size
            at += size
        self._tail, self._next = data[at:], max(0, at - len(data))
        self.seen.append((self.count, self.size))
        if len(self.seen) > MOST_SEEN:
            self.seen = self.seen[::2]

    def _begin(self, header: bytes) -> None:
        self.header = header
        version = header[1] >> 3 & 3  # 3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5
        samplerate = (44_100, 48_000, 32_000)[header[2] >> 2 & 3] // {3: 1, 2: 2, 0: 4}[version]
        self.frame_samples = 1152 if version == 3 else 576
        bitrates = BITRATES_1 if version == 3 else BITRATES_2
        self._sizes = [self.frame_samples // 8 * 1000 * bitrate // samplerate for bitrate in bitrates]
        mono = header[3] >> 6 == 3
        self._side_info = (17 if mono else 32) if version == 3 else (9 if mono else 17)
        needed = 4 + self._side_info + INFO_SIZE
        self._info_bitrate, self.info_size = next((i, size) for i, size in enumerate(self._sizes) if size >= needed)

    def info(self, *, samples: int, quality: int | None) -> bytes:
        """The frame to put before the first, `info_size` bytes: silent, with Xing's tag and LAME's extension of it.

        `samples` is the length of the signal, `quality` that of a variable bitrate or None. What the encoder does not
        tell (peak, gain, lowpass, the checksum of the music) is zero: unknown.
        """
        indicator = 100 - 10 * (4 if quality is None else quality) - LAME_ALGORITHM
        padding = self.count * self.frame_samples - LAME_DELAY - samples
        method = 1 if quality is None else 4  # constant bitrate, vbr-mtrh
        frame = b"".join(
            [
                self.header[:2],
                bytes([self._info_bitrate << 4 | self.header[2] & 0x0C, self.header[3] & 0xCF]),
                bytes(self._side_info),
                b"Info" if quality is None else b"Xing",
                struct.pack(">III", 0b1111, self.count, self.info_size + self.size),
                self._seek_table(),
                struct.pack(">I9sB", indicator, b"LAME3.100", method),
                bytes(11),  # lowpass, peak, gains, flags, bitrate
                (LAME_DELAY << 12 | padding).to_bytes(3, "big"),
                bytes(4),  # mode, gain, preset
                struct.pack(">IH", self.info_size + self.size, 0),
            ]
        )
        frame += _crc16(frame)
        return frame + bytes(self.info_size - len(frame))

    def _seek_table(self) -> bytes:
        """Where each percent of the time begins, in 256ths of the file."""
        counts, sizes = zip(*self.seen, strict=True)
        positions: Array = np.interp(np.arange(100) / 100 * self.count, counts, sizes)
        return (256 * (self.info_size + positions) / (self.info_size + self.size)).astype(np.uint8).tobytes()


def _crc16(data: bytes) -> bytes:
    """CRC-16 of x¹⁶ + x¹⁵ + x² + 1, bits reflected."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc.to_bytes(2, "big")
