"""A short run of the chaos: see `tests.chaos`, and docs/reliability.md for a long one."""

import pytest
from tests.chaos.run import Chaos
from tests.chaos.scenario import Scenario

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


async def test_nothing_is_lost_doubled_or_wrong_while_everything_is_killed(tmp_path) -> None:
    report = await Chaos(Scenario(runs=40, kills=10, seed=440), tmp_path).run()
    assert report.is_clean, report.markdown()
    assert report.kills >= 10
    assert report.found.compared > 100
