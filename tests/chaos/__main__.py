"""The platform as real processes, of which any is killed, frozen or drained: nothing may be lost, doubled or wrong.

    python -m tests.chaos --runs 1000 --kills 200 --seed 440 --out out/chaos

Ends with status 0 if all is as it must be; writes `report.json`, `report.md`, `events.jsonl` and the logs of all
services. The same seed makes the same recordings, requests and faults; what they hit depends on the machine.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from tests.chaos.run import Chaos
from tests.chaos.scenario import Scenario


def main() -> int:
    """Run it; 0 if all is as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__, add_help=True)
    parser.add_argument("--runs", type=int, default=1000, help="runs that are asked for")
    parser.add_argument("--kills", type=int, default=200, help="kill -9 of services, children, PostgreSQL, the broker")
    parser.add_argument("--seed", type=int, default=440)
    parser.add_argument("--out", type=Path, default=Path("out/chaos"))
    given = parser.parse_args()
    scenario = Scenario(runs=given.runs, kills=given.kills, seed=given.seed)
    report = asyncio.run(Chaos(scenario, given.out).run())
    print(report.markdown())
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
