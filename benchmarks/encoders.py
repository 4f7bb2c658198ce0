"""Encoding to a file, beside the ffmpeg command on the same samples."""

import tempfile
from functools import partial
from pathlib import Path

import soundfile

from benchmarks.measure import Row, compare, push, table
from timeside_core.registry import get_processor

SAME = {
    "wav": ({"sample_format": "s16"}, "wav", ["-c:a", "pcm_s16le"]),
    "flac": ({"bit_depth": 16}, "flac", ["-c:a", "flac", "-compression_level", "5"]),
    "vorbis": ({"quality": 0.6}, "ogg", ["-c:a", "libvorbis", "-q:a", "6"]),
    "mp3": ({"quality": 2}, "mp3", ["-c:a", "libmp3lame", "-q:a", "2"]),
    "opus": ({"bitrate_kbps": 128}, "opus", ["-c:a", "libopus", "-b:a", "128k"]),
    "aac": ({"bitrate_kbps": 192}, "m4a", ["-c:a", "aac", "-b:a", "192k"]),
    "webm": ({"bitrate_kbps": 128}, "webm", ["-c:a", "libopus", "-b:a", "128k"]),
}
"""Parameters of ours, suffix, and what the ffmpeg command takes for the same work."""


def section(files: dict[str, Path], rounds: int) -> str:
    """Markdown of this section."""
    audio, samplerate = soundfile.read(files["wav"], dtype="float32")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (parameters, suffix, options) in SAME.items():
            places = {"output": f"{folder}/ours.{suffix}", "overwrite": True}
            encoder = get_processor(f"{name}_encoder").from_parameters({**parameters, **places})
            command = ["ffmpeg", "-v", "error", "-y", "-i", str(files["wav"]), *options, f"{folder}/theirs.{suffix}"]
            rows.append(compare(name, partial(push, [encoder], audio, samplerate), {"ffmpeg": command}, rounds))
    ratios = [f"{row.work} {row.ours_s / row.others_s['ffmpeg']:.2f}" for row in rows]
    return (
        "## Encoding\n\nFrom samples in memory to a file; ffmpeg from a WAV file to a file, as a whole process, "
        "with the same "
        f"settings. TimeSide over ffmpeg: {', '.join(ratios)}.\n\n{table(rows)}"
    )
