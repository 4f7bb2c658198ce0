"""Encoding to a file, beside the ffmpeg command on the same samples."""

import tempfile
from pathlib import Path

import soundfile

from benchmarks.measure import compare, table
from timeside_core.pipeline import Pipeline
from timeside_core.registry import get_processor
from timeside_decoder.array import ArrayDecoder

COMMANDS = {
    "wav": ("wav", ["-c:a", "pcm_s16le"]),
    "flac": ("flac", ["-c:a", "flac", "-compression_level", "5"]),
    "vorbis": ("ogg", ["-c:a", "libvorbis", "-q:a", "6"]),
    "mp3": ("mp3", ["-c:a", "libmp3lame", "-q:a", "2"]),
    "opus": ("opus", ["-c:a", "libopus", "-b:a", "128k"]),
    "aac": ("m4a", ["-c:a", "aac", "-b:a", "192k"]),
    "webm": ("webm", ["-c:a", "libopus", "-b:a", "128k"]),
}


def section(files: dict[str, Path], rounds: int) -> str:
    """Markdown of this section."""
    audio, samplerate = soundfile.read(files["wav"], dtype="float32")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (suffix, options) in COMMANDS.items():
            target = Path(folder) / f"ours.{suffix}"
            encoder = get_processor(f"{name}_encoder").from_parameters({"output": str(target), "overwrite": True})
            pipeline = Pipeline(ArrayDecoder(audio, samplerate), (encoder,))
            command = ["ffmpeg", "-v", "error", "-y", "-i", str(files["wav"]), *options, f"{folder}/theirs.{suffix}"]
            rows.append(compare(name, pipeline.run, {"ffmpeg": command}, rounds))
    lines = [f"{row.work}: {row.ours_s / row.others_s['ffmpeg']:.2f}" for row in rows]
    return (
        "## Encoding\n\nFrom samples in memory (ffmpeg: from a WAV file, whole process). TimeSide over ffmpeg: "
        f"{', '.join(lines)}.\n\n{table(rows)}"
    )
