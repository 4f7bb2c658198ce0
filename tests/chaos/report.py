"""What is said in the end, for people and for programs."""

import json
import os
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos.check import Checked
from tests.chaos.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Report:
    """Of one run."""

    scenario: Scenario
    found: Checked
    faults: Mapping[str, int]
    at_work: int
    """Faults that found tasks unsettled."""
    ends: Counter[str]
    """How services ended that were not killed."""
    repeated: int
    """Requests that had to be sent again, as the database was away."""
    letters: int
    """Dead letters: messages that somebody could not read."""
    took_s: float

    @property
    def is_clean(self) -> bool:
        """Whether all is as it must be."""
        bad_ends = self.ends["overrun"] + self.ends["failed drain"]
        return not (self.found.findings or self.found.left or self.letters or bad_ends)

    @property
    def kills(self) -> int:
        """So many `kill -9`."""
        return sum(count for kind, count in self.faults.items() if kind.startswith("kill"))

    def document(self) -> dict[str, Any]:
        """All of it, for programs."""
        found = self.found
        return {
            "scenario": asdict(self.scenario),
            "machine": {"python": platform.python_version(), "cores": os.cpu_count(), "system": platform.platform()},
            "took_s": round(self.took_s, 1),
            "faults": dict(sorted(self.faults.items())),
            "kills": self.kills,
            "faults_at_work": self.at_work,
            "services_ended": dict(self.ends),
            "requests_repeated": self.repeated,
            "dead_letters": self.letters,
            "tasks": dict(found.tasks),
            "results": dict(found.results),
            "results_compared": found.compared,
            "runs_by_attempts": {str(count): runs for count, runs in sorted(found.attempts.items())},
            "handed_out_again": dict(found.causes.most_common(40)),
            "orphans": {"count": found.orphans, "bytes": found.orphan_bytes, "left": found.left},
            "counts": found.counts(),
            "findings": [each._asdict() for each in found.findings],
            "is_clean": self.is_clean,
        }

    def markdown(self) -> str:
        """For people."""
        said = self.document()
        attempts = sum(count * runs for count, runs in self.found.attempts.items())
        lines = [
            f"# Chaos, seed {self.scenario.seed}",
            "",
            f"{sum(self.found.attempts.values())} runs, {self.kills} kills, {said['took_s']:.0f} s: "
            + ("**all is as it must be**" if self.is_clean else "**not as it must be**"),
            "",
            "| | |",
            "|---|---|",
            *(f"| {fate} | {count} |" for fate, count in said["counts"].items()),
            f"| results compared, bit by bit | {self.found.compared} |",
            f"| results | {_listed(said['results'])} |",
            f"| tasks | {_listed(said['tasks'])} |",
            f"| faults | {_listed(said['faults'])} |",
            f"| faults that found tasks unsettled | {self.at_work} of {sum(self.faults.values())} |",
            f"| attempts | {attempts}, at most {max(self.found.attempts, default=0)} of one run |",
            f"| requests that were sent again | {self.repeated} |",
            f"| orphans, swept | {self.found.orphans}, {self.found.orphan_bytes} bytes |",
            f"| files of nobody, after that | {self.found.left} |",
            f"| dead letters | {self.letters} |",
            f"| services ended, besides kills | {_listed(said['services_ended']) or 'none'} |",
            "",
            *(f"- {each.fate}: {each.what}" for each in self.found.findings[:50]),
        ]
        return "\n".join(lines)

    def write(self, folder: Path) -> None:
        """Both, into a folder."""
        (folder / "report.json").write_text(json.dumps(self.document(), indent=1) + "\n")
        (folder / "report.md").write_text(self.markdown() + "\n")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
