"""CPU seconds of a call or a command: medians over rounds in which the contestants take turns."""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from timeside_core.audio import Array, Stream
from timeside_core.engine import Engine, Wanted
from timeside_core.processor import Step

Work = Callable[[], object]
BLOCK_SAMPLES = 65_536


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: what was done, our CPU seconds, and those of others by name."""

    work: str
    ours_s: float
    others_s: Mapping[str, float]

    @property
    def ratio(self) -> float | None:
        """Ours over the best of the others, commands aside; None where there is no other."""
        others = [seconds for name, seconds in self.others_s.items() if not name.startswith("ffmpeg")]
        return self.ours_s / min(others) if others else None


def cpu_s(work: Work) -> float:
    """CPU seconds of this process, all threads, for one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def command_cpu_s(command: Sequence[str]) -> float:
    """CPU seconds of a command as a whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(name: str, ours: Work, others: Mapping[str, Work | Sequence[str]], rounds: int) -> Row:
    """Median CPU seconds of each contestant, in turns; others that are a list of words are commands."""
    taken: dict[str, list[float]] = {"ours": [], **{other: [] for other in others}}
    for _ in range(rounds):
        taken["ours"].append(cpu_s(ours))
        for other, work in others.items():
            taken[other].append(cpu_s(work) if callable(work) else command_cpu_s(work))
    medians = {contestant: statistics.median(times) for contestant, times in taken.items()}
    print(f"{name}: " + ", ".join(f"{who} {seconds:.2f} s" for who, seconds in medians.items()), flush=True)
    return Row(name, medians.pop("ours"), medians)


def push(steps: Sequence[Step], audio: Array, samplerate: int) -> None:
    """Drive steps over an array, shape `(samples, channels)`, block by block."""
    stream = Stream(samplerate=samplerate, channels=audio.shape[1])
    with Engine([Wanted(step) for step in steps], stream) as engine:
        for start in range(0, len(audio), BLOCK_SAMPLES):
            engine.push(audio[start : start + BLOCK_SAMPLES])
        engine.finish()


def peak_memory_mib(code: str) -> float:
    """Peak resident memory of a fresh Python process that runs `code`, MiB; from its status, where it starts anew."""
    tail = "\nprint(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    done = subprocess.run([sys.executable, "-c", code + tail], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) / 1024


def table(rows: Sequence[Row]) -> str:
    """Markdown: one column for ours, one for each other, and the ratio to the best library."""
    names = list(dict.fromkeys(name for row in rows for name in row.others_s))
    lines: list[list[str]] = []
    for row in rows:
        others = [f"{row.others_s[name]:.2f}" if name in row.others_s else "" for name in names]
        lines.append([row.work, f"{row.ours_s:.2f}", *others, "" if row.ratio is None else f"{row.ratio:.2f}"])
    return markdown(["work", "TimeSide", *names, "ratio"], lines)


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))
