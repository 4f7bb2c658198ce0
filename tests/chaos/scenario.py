"""How hard it is, and how patient the platform: times are as short as a real broker allows."""

from dataclasses import dataclass
from pathlib import Path

from timeside_api.settings import RunSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is asked of the platform, and what is done to it."""

    runs: int
    kills: int
    seed: int
    partitions: int = 4
    ahead: int = 6
    """Runs that are asked for before their share of faults has come, so that each fault finds work."""
    backlog: int = 60
    """Tasks that may be unsettled before no more are asked for, and twice as many before faults wait."""
    session_s: float = 6.0
    """A broker refuses less."""
    lease_s: float = 10.0
    max_strikes: int = 12
    drain_s: float = 8.0
    stuck_s: float = 180.0
    """At the end, time without any task being settled after which what is left is stuck."""

    @property
    def settings(self) -> RunSettings:
        """Of the platform's side. Blame needs more evidence than by default: here it is we who kill."""
        return RunSettings(lease_s=self.lease_s, max_strikes=self.max_strikes, credits=4)

    def environ(self, folder: Path, bootstrap: str, database_url: str, max_samples: int) -> dict[str, str]:
        """Variables of all services."""
        return {
            "TIMESIDE_KAFKA_BOOTSTRAP": bootstrap,
            "TIMESIDE_DATABASE_URL": database_url,
            "TIMESIDE_STORE_URL": (folder / "store").as_uri(),
            "TIMESIDE_SCRATCH": str(folder / "scratch"),
            "TIMESIDE_HOST": "127.0.0.1",
            "TIMESIDE_PORT": "0",
            "TIMESIDE_CHILDREN": "1",
            "TIMESIDE_ALONE_FROM_ATTEMPT": "100",
            "TIMESIDE_MAX_SAMPLES": str(max_samples),
            "TIMESIDE_SESSION_S": f"{self.session_s:g}",
            "TIMESIDE_LEASE_S": f"{self.lease_s:g}",
            "TIMESIDE_STALL_S": f"{self.lease_s:g}",
            "TIMESIDE_COMMIT_EVERY_S": "0.5",
            "TIMESIDE_DRAIN_S": f"{self.drain_s:g}",
            "TIMESIDE_MAX_STRIKES": str(self.max_strikes),
            "TIMESIDE_CREDITS": str(self.settings.credits),
        }
