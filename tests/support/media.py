"""Test media: a signal in every container and codec that the `ffmpeg` command can write, and a way to decode them."""

import struct
import subprocess
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from timeside_core import Array, Media
from timeside_decoder.file import FileDecoder
from timeside_decoder.reader import Damage

SAMPLERATE = 44_100
SAMPLES = 66_273  # 1.5 s and a bit: a multiple of no codec's frame

AUDIO = {
    "s16.wav": "-c:a pcm_s16le",
    "s24.wav": "-c:a pcm_s24le",
    "f32.wav": "-c:a pcm_f32le",
    "alaw.wav": "-c:a pcm_alaw",
    "adpcm.wav": "-c:a adpcm_ima_wav",
    "rf64.wav": "-rf64 always",
    "pcm.w64": "-c:a pcm_s32le",
    "be.aiff": "-c:a pcm_s24be",
    "le.aif": "-f aiff -c:a pcm_s16le",
    "pcm.caf": "-c:a pcm_s16be",
    "alac.caf": "-c:a alac",
    "pcm.au": "-c:a pcm_s16be",
    "flac.flac": "",
    "flac24.flac": "-sample_fmt s32",
    "flac.oga": "-f ogg -c:a flac",
    "vorbis.ogg": "-c:a libvorbis -b:a 192k",
    "opus.opus": "-c:a libopus -b:a 192k",
    "lame.mp3": "-c:a libmp3lame -b:a 192k",
    "vbr.mp3": "-c:a libmp3lame -q:a 2",
    "bare.mp3": "-c:a libmp3lame -b:a 192k -write_xing 0 -id3v2_version 0",
    "mp2.mp2": "-c:a mp2 -b:a 256k",
    "adts.aac": "-c:a aac -b:a 192k",
    "ac3.ac3": "-c:a ac3 -b:a 320k",
    "aac.m4a": "-c:a aac -b:a 192k",
    "front.m4a": "-c:a aac -b:a 192k -movflags +faststart",
    "fragments.mp4": "-c:a aac -b:a 192k -movflags +frag_keyframe+empty_moov",
    "alac.m4a": "-c:a alac",
    "opus.mp4": "-c:a libopus -b:a 192k",
    "flac.mp4": "-c:a flac -strict -2",
    "pcm.mov": "-c:a pcm_s24le",
    "opus.webm": "-c:a libopus -b:a 192k",
    "vorbis.webm": "-c:a libvorbis -b:a 192k",
    "flac.mka": "-c:a flac",
    "aac.mka": "-c:a aac -b:a 192k",
    "pcm.mka": "-c:a pcm_s16le",
    "mp3.mka": "-c:a libmp3lame -b:a 192k",
    "pcm.avi": "-c:a pcm_s16le",
    "mp3.avi": "-c:a libmp3lame -b:a 192k",
    "aac.ts": "-c:a aac -b:a 192k",
    "mp2.ts": "-c:a mp2 -b:a 256k",
    "ac3.ts": "-c:a ac3 -b:a 320k",
    "wma.wma": "-c:a wmav2 -b:a 192k",
    "wavpack.wv": "-c:a wavpack",
}
VIDEO = {
    "film.mp4": "-c:a aac -b:a 192k -c:v mpeg4",
    "film.mov": "-c:a pcm_s16le -c:v mjpeg",
    "film.mkv": "-c:a flac -c:v mpeg4",
    "film.webm": "-c:a libopus -b:a 192k -c:v libvpx",
    "film.avi": "-c:a pcm_s16le -c:v mpeg4",
    "film.ts": "-c:a mp2 -b:a 256k -c:v mpeg2video",
    "film.wmv": "-c:a wmav2 -b:a 192k -c:v wmv2",
    "film.ogv": "-c:a libvorbis -b:a 192k -c:v libtheora",
}
TAGS = {"title": "Chaînes", "artist": "Ann Other", "album": "Tests", "genre": "Sweep", "date": "2026", "comment": "no"}


class Decoded(NamedTuple):
    """All that decoding a file gave."""

    samples: Array
    media: Media
    damage: Damage
    warnings: list[str]


def decode(path: Path, **parameters: Any) -> Decoded:
    """Decode a file, checking what every block must be."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with FileDecoder(path, **parameters).open() as source:
            blocks = list(source)
    channels = source.stream.channels
    for block in blocks:
        assert block.dtype == np.float32
        assert block.shape[1] == channels
        assert 0 < len(block) <= 65_536
        assert block.flags.writeable
    samples = np.concatenate(blocks) if blocks else np.empty((0, channels), np.float32)
    return Decoded(samples, source.media, source.damage, [str(each.message) for each in caught])


def sweeps(samples: int, samplerate: int, channels: int = 2) -> Array:
    """Sweeps that differ by channel, with a little noise: no two stretches are alike."""
    rng = np.random.default_rng(440)
    t = np.arange(samples)[:, np.newaxis] / samplerate
    start = samplerate / 100 * (1 + np.arange(channels))
    sweep = 0.4 * np.sin(2 * np.pi * (start + samplerate / 20 * t) * t)
    return (np.round((sweep + 0.01 * rng.standard_normal((samples, channels))) * 2**15) / 2**15).astype(np.float32)


def ffmpeg(folder: Path, inputs: list[str], outputs: dict[str, str], tags: list[str] | None = None) -> None:
    """Write several files in one run of the command."""
    command = ["ffmpeg", "-loglevel", "error", "-nostdin", "-y", *inputs]
    for name, how in outputs.items():
        command += [*how.split(), *(tags or []), name]
    subprocess.run(command, cwd=folder, check=True)


def silent_ape(samples: int, samples_per_frame: int = 9216) -> bytes:
    """Monkey's Audio of stereo silence: FFmpeg writes none, and frames of silence need no coding."""
    frames = -(-samples // samples_per_frame)
    frame = struct.pack("<8I", 0x8000_0000, 3, *[0] * 6)  # a checksum followed by flags, and the flags: both silent
    descriptor = struct.pack("<4sHH7I", b"MAC ", 3990, 0, 52, 24, 4 * frames, 0, frames * len(frame), 0, 0) + bytes(16)
    last = samples - (frames - 1) * samples_per_frame
    header = struct.pack("<HHIIIHHI", 2000, 0, samples_per_frame, last, frames, 16, 2, SAMPLERATE)
    start = len(descriptor) + len(header) + 4 * frames
    table = struct.pack(f"<{frames}I", *range(start, start + frames * len(frame), len(frame)))
    return descriptor + header + table + frame * frames


def noisy_amr(frames: int) -> bytes:
    """AMR narrow band at 12.2 kb/s with arbitrary content, 160 samples at 8 kHz a frame."""
    rng = np.random.default_rng(440)
    return b"#!AMR\n" + b"".join(b"\x3c" + rng.bytes(31) for _ in range(frames))
