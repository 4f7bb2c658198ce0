"""Pictures, from samples to PNG, and again from the results."""

from pathlib import Path

import soundfile

from benchmarks.measure import compare, table
from timeside_core.pipeline import Grapher, Pipeline
from timeside_core.registry import get_processor
from timeside_decoder.array import ArrayDecoder

IDS = ("waveform_simple", "waveform_centroid", "waveform_contour_black", "spectrogram_lin", "spectrogram_log")


def section(files: dict[str, Path], rounds: int) -> str:
    """Markdown of this section."""
    audio, samplerate = soundfile.read(files["wav"], dtype="float32")
    rows = []
    commands = {
        "waveform_simple": ["-filter_complex", "showwavespic=s=1024x256"],
        "spectrogram_log": ["-lavfi", "showspectrumpic=s=1024x256:scale=log:fscale=log"],
    }
    for id in IDS:
        grapher = get_processor(id)()
        assert isinstance(grapher, Grapher)
        pipeline = Pipeline(ArrayDecoder(audio, samplerate), (grapher,))

        def from_samples(pipeline: Pipeline = pipeline, grapher: Grapher = grapher) -> bytes:
            return grapher.draw(pipeline.run(), width=1024, height=256)

        others = {}
        if id in commands:
            others["ffmpeg"] = [
                "ffmpeg",
                "-v",
                "error",
                "-y",
                "-i",
                str(files["wav"]),
                *commands[id],
                "-frames:v",
                "1",
                "/tmp/timeside-benchmark.png",
            ]
        rows.append(compare(id, from_samples, others, rounds))
        rows.append(compare(f"{id}, again from results", lambda g=grapher, p=pipeline: g.draw(p.results), {}, rounds))
    return f"## Pictures of 1024 × 256\n\n{table(rows)}"
