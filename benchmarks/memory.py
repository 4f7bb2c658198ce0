"""Peak memory of a run, from ten seconds to three hours of audio."""

from pathlib import Path

from benchmarks.measure import peak_memory_mib

CODE = """
import numpy as np
from timeside_core.audio import Media, Segment, Stream
from timeside_core.pipeline import Decoder, Pipeline, Source
from timeside_core.registry import get_processor

class Noise(Decoder, id="benchmark_noise", version="1"):
    '''Noise of a given length.'''
    seconds: float = 10
    '''Length.'''
    def open(self):
        return NoiseSource(self.seconds)

class NoiseSource(Source):
    def __init__(self, seconds):
        self.stream = Stream(samplerate=44100, channels=2)
        self.samples = round(seconds * 44100)
        self.media = Media(uri="noise", samplerate=44100, channels=2, samples=self.samples)
        self.segment = Segment()
    def __iter__(self):
        rng = np.random.default_rng(440)
        for start in range(0, self.samples, 65536):
            yield 0.1 * rng.standard_normal((min(65536, self.samples - start), 2), dtype=np.float32)

pipeline = Pipeline(Noise(seconds={seconds}), tuple(get_processor(id)() for id in {ids}))
for _ in pipeline.decoder.open() if not {ids} else ():
    pass
if {ids}:
    pipeline.run()
"""
SETS = {
    "decode only": [],
    "level, loudness, waveform": ["level", "loudness_itu", "waveform_analyzer"],
    "MFCC": ["mfcc"],
    "spectrogram tiles": ["spectrogram_analyzer"],
}
LENGTHS = {"10 s": 10, "10 min": 600, "3 h": 10_800}


def section(files: dict[str, Path], rounds: int) -> str:
    """Markdown of this section."""
    head = "| peak memory of a fresh process, MiB | " + " | ".join(LENGTHS) + " |"
    lines = [head, "| " + " | ".join(["---"] * (1 + len(LENGTHS))) + " |"]
    for name, ids in SETS.items():
        peaks = [
            peak_memory_mib(CODE.replace("{seconds}", str(s)).replace("{ids}", repr(ids))) for s in LENGTHS.values()
        ]
        print(f"memory, {name}: {peaks}", flush=True)
        lines.append(f"| {name} | " + " | ".join(f"{peak:.0f}" for peak in peaks) + " |")
    return (
        "## Memory\n\nStereo noise at 44.1 kHz from a decoder that holds nothing. What grows is the results "
        "themselves, "
        "which a run in process keeps: 3 h of MFCC are 930,000 rows of 20 float32, of spectrogram tiles "
        "465,000 rows of bytes.\n\n" + "\n".join(lines)
    )
