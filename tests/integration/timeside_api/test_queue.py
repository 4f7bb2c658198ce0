"""Whose turn it is: owners share a lane by weight, none waits for another's backlog, priorities order one's own."""

from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import insert

from timeside_api import queue
from timeside_api.database import Database
from timeside_api.models import Media, Owner, Run
from timeside_api.queue import Placed
from timeside_core.ids import uuid7

pytestmark = pytest.mark.integration

MEDIA = "a" * 64


async def owner(database: Database, weight: float = 1.0) -> UUID:
    id = uuid7()
    async with database.transaction() as session:
        await session.execute(insert(Media).values(sha256=MEDIA, size=1).on_conflict_do_nothing())
        session.add(Owner(id=id, weight=weight))
    return id


async def wait(database: Database, owner: UUID, count: int, *, cost_s: float = 60.0, priority: int = 0) -> list[UUID]:
    runs = [
        Run(id=uuid7(), owner_id=owner, media_sha256=MEDIA, first_sample=0, lane="interactive", priority=priority)
        for _ in range(count)
    ]
    async with database.transaction() as session:
        for run in runs:
            run.cost_s = cost_s
            session.add(run)
    return [run.id for run in runs]


async def served(database: Database, count: int, batch: int = 3) -> list[UUID]:
    """Owners in the order in which their runs are claimed, a few at a time."""
    order: list[UUID] = []
    while len(order) < count:
        async with database.transaction() as session:
            waiting = await queue.waiting(session, "interactive", limit=min(batch, count - len(order)))
            if not waiting:
                break
            ids = await queue.claim(session, "interactive", [Placed(each, 0) for each in waiting])
        assert ids == [each.id for each in waiting]
        order += [each.owner_id for each in waiting]
    return order


async def test_a_single_file_does_not_wait_for_a_backlog(database: Database):
    many, few = await owner(database), await owner(database)
    await wait(database, many, 100)
    assert set(await served(database, 10)) == {many}
    await wait(database, few, 2)
    assert Counter(await served(database, 6))[few] == 2


async def test_shares_are_by_weight(database: Database):
    one, three = await owner(database), await owner(database, 3.0)
    await wait(database, one, 60)
    await wait(database, three, 60)
    assert Counter(await served(database, 40))[three] == pytest.approx(30, abs=1)


async def test_shares_are_of_audio_and_not_of_files(database: Database):
    long, short = await owner(database), await owner(database)
    await wait(database, long, 40, cost_s=600)
    await wait(database, short, 40, cost_s=60)
    assert Counter(await served(database, 44))[short] == pytest.approx(40, abs=1)


async def test_who_was_alone_does_not_pay_for_it_and_who_was_away_saves_nothing(database: Database):
    busy, idle = await owner(database), await owner(database)
    await wait(database, busy, 80)
    await served(database, 40)
    await wait(database, idle, 40)
    order = Counter(await served(database, 40))
    assert order[idle] == pytest.approx(20, abs=1)
    assert order[busy] == pytest.approx(20, abs=1)


async def test_higher_priorities_of_an_owner_go_first_and_else_the_older(database: Database):
    one = await owner(database)
    later = await wait(database, one, 2)
    urgent = await wait(database, one, 2, priority=5)
    async with database.transaction() as session:
        waiting = await queue.waiting(session, "interactive", limit=10)
    assert [each.id for each in waiting] == [*urgent, *later]


async def test_who_must_pause_is_passed_over(database: Database):
    one = await owner(database)
    pausing, ready = await wait(database, one, 2)
    async with database.transaction() as session:
        run = await session.get_one(Run, pausing)
        run.not_before = await queue.clock(session) + timedelta(hours=1)
    async with database.transaction() as session:
        assert [each.id for each in await queue.waiting(session, "interactive", limit=10)] == [ready]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(owners=st.lists(st.tuples(st.sampled_from([1.0, 2.0, 5.0]), st.integers(1, 12)), min_size=1, max_size=4))
async def test_everybody_is_served_once(database: Database, owners: list[tuple[float, int]]):
    expected: Counter[UUID] = Counter()
    for weight, count in owners:
        one = await owner(database, weight)
        await wait(database, one, count)
        expected[one] += count
    assert Counter(await served(database, 100, batch=5)) == expected
