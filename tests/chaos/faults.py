"""What goes wrong, when and to whom: drawn from a seed before anything runs."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from tests.chaos.fleet import Bus, Database, Fleet, Member, Note, up

QUIET_S = 2.6
"""Longest pause after a fault."""
LEAD_S = 1.5
"""Longest time between new work and the fault that is to hit it."""
WAIT_S = 0.2
"""Pause before a fault that finds nobody at work looks again."""

KILLS = {"kill service": 0.42, "kill group": 0.22, "kill child": 0.28, "kill postgres": 0.05, "kill broker": 0.03}
"""Shares of the kinds of `kill -9`."""
OTHERS = {"freeze service": 0.12, "freeze postgres": 0.015, "freeze broker": 0.015, "drain": 0.12}
"""Faults that kill nobody, for each kill."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    kind: str
    quiet_s: float
    """After the one before, until there is new work."""
    lead_s: float
    """After that."""
    hang_s: float
    """How long a service hangs: longer than a session and a lease."""
    draw: float
    """0 to 1: decides on the victim."""


def planned(kills: int, seed: int, *, lease_s: float) -> list[Fault]:
    """So many kills, and other faults between them."""
    rng = random.Random(f"faults {seed}")
    kinds = [kind for kind, share in KILLS.items() for _ in range(max(1, round(share * kills)))][:kills]
    kinds += ["kill service"] * (kills - len(kinds))
    kinds += [kind for kind, share in OTHERS.items() for _ in range(max(1, round(share * kills)))]
    rng.shuffle(kinds)
    return [
        Fault(kind, rng.uniform(0, QUIET_S), rng.uniform(0, LEAD_S), lease_s + rng.uniform(2, 6), rng.random())
        for kind in kinds
    ]


class Injector:
    """Does harm."""

    def __init__(
        self,
        fleet: Fleet,
        database: Database,
        bus: Bus,
        faults: list[Fault],
        note: Note,
        unsettled: Callable[[], int],
        *,
        drain_s: float,
    ) -> None:
        self._fleet, self._database, self._bus = fleet, database, bus
        self._faults, self._note, self._unsettled, self._drain_s = faults, note, unsettled, drain_s
        self._running: set[asyncio.Task[None]] = set()
        self._announced = 0
        self.done: Counter[str] = Counter()
        self.at_work = 0
        """Faults that found tasks unsettled."""

    @property
    def share(self) -> float:
        """How far it is, 0 to 1: a fault that is about to come counts, so that there is work for it to hit."""
        return self._announced / len(self._faults) if self._faults else 1.0

    @property
    def kills(self) -> int:
        """So many `kill -9` so far."""
        return sum(count for kind, count in self.done.items() if kind.startswith("kill"))

    async def run(self, *, most_unsettled: int) -> None:
        """All of it; waits while the platform is too far behind."""
        for fault in self._faults:
            await asyncio.sleep(fault.quiet_s)
            self._announced += 1
            await asyncio.sleep(fault.lead_s)
            await self._sometime(fault, most_unsettled)
            self._raise_failures()
        await asyncio.gather(*self._running)

    async def _sometime(self, fault: Fault, most_unsettled: int) -> None:
        while True:
            if self._unsettled() <= most_unsettled and self._do(fault):
                return
            await asyncio.sleep(WAIT_S)

    def _raise_failures(self) -> None:
        for task in self._running:
            if task.done():
                task.result()
        self._running = {task for task in self._running if not task.done()}

    def _do(self, fault: Fault) -> bool:
        """Do it, if there is somebody to do it to."""
        what, _, whom = fault.kind.partition(" ")
        server = {"postgres": self._database, "broker": self._bus}.get(whom)
        if server is not None:
            if not server.is_up:
                return False
            self._begin(fault, server.name, server.kill() if what == "kill" else server.freeze(fault.hang_s / 3))
            return True
        members = [each for each in up(self._fleet.members) if isinstance(each, Member)]
        if not members:
            return False
        member = members[int(fault.draw * len(members))]
        if whom == "child":
            return self._kill_child(fault, members)
        if what == "freeze":
            self._begin(fault, member.name, member.freeze(fault.hang_s, whole=fault.draw * 100 % 1 < 0.5))
        elif what == "drain":
            self._count(fault, member.name)
            member.drain(self._drain_s)
        else:
            self._count(fault, member.name)
            member.kill(whole=whom == "group")
        return True

    def _kill_child(self, fault: Fault, members: list[Member]) -> bool:
        """Of a member that has some."""
        first = int(fault.draw * len(members))
        for member in members[first:] + members[:first]:
            if member.kill_child(lambda children: children[int(fault.draw * 1000 % 1 * len(children))]):
                self._count(fault, member.name)
                return True
        return False

    def _begin(self, fault: Fault, victim: str, work: Coroutine[Any, Any, None]) -> None:
        self._count(fault, victim)
        self._running.add(asyncio.create_task(work))

    def _count(self, fault: Fault, victim: str) -> None:
        self.done[fault.kind] += 1
        self.at_work += self._unsettled() > 0
        hang = f"{fault.hang_s:.1f} s" if fault.kind.startswith("freeze") else ""
        self._note(fault.kind, victim, hang)
