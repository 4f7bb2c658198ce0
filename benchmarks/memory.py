"""Peak memory of a run, from ten seconds to three hours of audio."""

from pathlib import Path

from benchmarks.measure import peak_memory_mib

CODE = """
import numpy as np
from timeside_core.audio import Media, Segment, Stream
from timeside_core.engine import Engine, Wanted
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

steps = [get_processor(id)() for id in {ids}]
if {keep}:
    Pipeline(Noise(seconds={seconds}), tuple(steps)).run()
else:
    with Noise(seconds={seconds}).open() as source, Engine([Wanted(step) for step in steps], source.stream) as engine:
        for block in source:
            engine.push(block)
        engine.finish()
"""
SETS = {
    "nothing": [],
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
        lines.append(_line(f"{name}, rows handed on", ids, keep=False))
        if ids:
            lines.append(_line(f"{name}, results kept", ids, keep=True))
    return (
        "## Memory\n\nStereo noise at 44.1 kHz from a decoder that holds nothing. *Rows handed on*: as a service does, "
        "and `Pipeline.stream` can; loudness keeps 2.9 MB an hour for its gates. *Results kept*: as `run` does; what "
        "grows are the results themselves (3 h of MFCC are 930,000 rows of 20 float32).\n\n" + "\n".join(lines)
    )


def _line(name: str, ids: list[str], *, keep: bool) -> str:
    words = {"{ids}": repr(ids), "{keep}": repr(keep)}
    peaks: list[float] = []
    for seconds in LENGTHS.values():
        code = CODE
        for word, value in {**words, "{seconds}": str(seconds)}.items():
            code = code.replace(word, value)
        peaks.append(peak_memory_mib(code))
    print(f"memory, {name}: {peaks}", flush=True)
    return f"| {name} | " + " | ".join(f"{peak:.0f}" for peak in peaks) + " |"
