"""What the chart has KEDA ask the database, asked of the real tables: audio that waits, by lane and by pool."""

import pytest
from sqlalchemy import text
from tests.deploy.chart import NEEDED, render

from timeside_api import tasks
from timeside_api.database import Database
from timeside_api.models import Media, Result, ResultState, Run, RunState
from timeside_api.plans import asked
from timeside_api.tasks import Part, Request, Terms
from timeside_core import get_processor
from timeside_core.ids import uuid7
from timeside_core.messages import Lane

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def queries() -> dict[str, str]:
    """By component."""
    rendered = render(NEEDED, {"autoscaling": {"mode": "keda"}})
    return {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]["triggers"][0]["metadata"]["query"]
        for each in rendered
        if each["kind"] == "ScaledObject"
    }


async def ask(database: Database, lane: Lane, seconds: float, *processors: str) -> None:
    sha256 = f"{uuid7().hex}{'0' * 32}"
    samples = round(seconds * 44_100)
    async with database.transaction() as session:
        session.add(Media(sha256=sha256, size=1, samplerate=44_100, channels=1, samples=samples))
    part = Part(sha256, asked([get_processor(each)() for each in processors]))
    async with database.transaction() as session:
        await tasks.create(session, Request(parts=(part,), terms=Terms(uuid7(), lane)))


async def answers(database: Database, queries: dict[str, str]) -> dict[str, float]:
    async with database.transaction() as session:
        return {name: float(await session.scalar(text(query)) or 0) for name, query in queries.items()}


async def test_each_worker_is_told_of_the_audio_that_waits_for_it(database: Database, queries: dict[str, str]):
    assert set((await answers(database, queries)).values()) == {0.0}
    await ask(database, "interactive", 100, "mean_dc_shift", "flac_encoder")
    await ask(database, "interactive", 20, "flac_encoder")
    await ask(database, "bulk", 3, "mean_dc_shift")
    assert await answers(database, queries) == {
        "decoder": 120.0,
        "analyzer": 100.0,
        "analyzer-librosa": 0.0,
        "grapher": 0.0,
        "encoder": 120.0,
        "worker": 3.0,
    }


async def test_what_is_done_does_not_wait(database: Database, queries: dict[str, str]):
    await ask(database, "interactive", 100, "mean_dc_shift", "flac_encoder")
    async with database.transaction() as session:
        await session.execute(
            Result.__table__.update().where(Result.processor == "mean_dc_shift").values(state=ResultState.DONE)
        )
    found = await answers(database, queries)
    assert (found["analyzer"], found["encoder"], found["decoder"]) == (0.0, 100.0, 100.0)
    async with database.transaction() as session:
        await session.execute(Run.__table__.update().values(state=RunState.DONE))
    assert set((await answers(database, queries)).values()) == {0.0}
