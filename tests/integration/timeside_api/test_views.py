"""Drawings as runs: handed out, drawn from the store by a grapher over a real broker, recorded; and runs on demand."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select
from tests.harness.world import asked as some
from tests.support import conveyor, services
from tests.support.stages import kept, recording

from timeside_api import tasks, views
from timeside_api.database import Database
from timeside_api.models import Media, Result, ResultState, Run, RunKind, RunState
from timeside_api.plans import asked
from timeside_api.settings import RunSettings
from timeside_api.tasks import Part, Request, Terms
from timeside_api.views import Drawing, Frame
from timeside_core import get_processor, topics
from timeside_core.ids import uuid7
from timeside_core.pipeline import Grapher
from timeside_core.processor import inputs_of
from timeside_core.store import Store
from timeside_decoder.file import FileDecoder

pytestmark = pytest.mark.integration

OWNER = uuid7()
SHA256 = "5" * 64


async def settled(database: Database, result_id: UUID) -> Result:
    async with asyncio.timeout(120):
        while True:
            async with database.transaction() as session:
                result = await session.get_one(Result, result_id)
            if result.state is not ResultState.PENDING:
                return result
            await asyncio.sleep(0.1)


async def test_a_picture_is_drawn_by_a_grapher_over_a_broker(tmp_path: Path, kafka_bootstrap: str, database: Database):
    await topics.apply(kafka_bootstrap, topics.declared(max_partitions=2))
    store = Store((tmp_path / "store").as_uri())
    path = recording(tmp_path / "a.wav", samples=100_000)
    media = kept(store, path)
    grapher = get_processor("waveform_simple")()
    assert isinstance(grapher, Grapher)
    frame = Frame(width=300, height=100, start_s=0.5, stop_s=1.5)
    async with database.transaction() as session:
        await session.merge(Media(sha256=media.sha256, size=media.size))
    with services.running(tmp_path, kafka_bootstrap, "decoder", "grapher"):
        async with conveyor.platform(kafka_bootstrap, database):
            part = Part(media.sha256, asked(inputs_of(grapher)))
            async with database.transaction() as session:
                (shown_id,) = await tasks.demand(session, part, Terms(OWNER))
            drawing = Drawing(grapher=grapher, shown=[await settled(database, shown_id)], frame=frame)
            async with database.transaction() as session:
                picture_id = await views.draw(session, OWNER, drawing)
            picture = await settled(database, picture_id)
            async with database.transaction() as session:
                run = await session.get_one(Run, picture.run_id)
    assert (picture.state, picture.mime_type, run.kind, run.state) == (
        ResultState.DONE,
        "image/png",
        RunKind.DRAW,
        RunState.DONE,
    )
    drawn = grapher.draw((FileDecoder(path) | grapher).run(), **frame.value())
    assert store.objects.get(picture.object_name or "") == drawn


async def media(database: Database) -> None:
    async with database.transaction() as session:
        session.add(Media(sha256=SHA256, size=1))


async def run_of(database: Database, result_id: UUID) -> Run:
    async with database.transaction() as session:
        return (
            await session.scalars(select(Run).join(Result, Result.run_id == Run.id).where(Result.id == result_id))
        ).one()


async def test_a_run_on_demand_outlives_the_tasks_that_want_it(database: Database):
    await media(database)
    part = Part(SHA256, (some("mfcc"),))
    async with database.transaction() as session:
        task_id = await tasks.create(session, Request(parts=(part,), terms=Terms(OWNER)))
    async with database.transaction() as session:
        (result_id,) = await tasks.demand(session, part, Terms(uuid7()))
    async with database.transaction() as session:
        await tasks.cancel(session, task_id, RunSettings())
    assert (await run_of(database, result_id)).state is RunState.QUEUED


async def test_a_run_that_is_wanted_by_a_task_alone_ends_with_it(database: Database):
    await media(database)
    part = Part(SHA256, (some("mfcc"),))
    async with database.transaction() as session:
        task_id = await tasks.create(session, Request(parts=(part,), terms=Terms(OWNER)))
        (result,) = await tasks.results(session, task_id)
    async with database.transaction() as session:
        await tasks.cancel(session, task_id, RunSettings())
    assert (await run_of(database, result.id)).state is RunState.CANCELLED


async def test_pictures_differ_by_all_that_they_depend_on(database: Database):
    await media(database)
    grapher, other = get_processor("waveform_simple")(), get_processor("waveform_transparent")()
    assert isinstance(grapher, Grapher)
    assert isinstance(other, Grapher)
    async with database.transaction() as session:
        shown = await tasks.demand(session, Part(SHA256, (some("a"), some("b"))), Terms(OWNER))
        a, b = [await session.get_one(Result, each) for each in shown]
    frame = Frame(width=100, height=50)
    drawings = [
        Drawing(grapher=grapher, shown=[a], frame=frame),
        Drawing(grapher=other, shown=[a], frame=frame),
        Drawing(grapher=grapher, shown=[b], frame=frame),
        Drawing(grapher=grapher, shown=[a], frame=Frame(width=101, height=50)),
        Drawing(grapher=grapher, shown=[a], frame=Frame(width=100, height=50, start_s=1.0)),
        Drawing(grapher=grapher, shown=[a], frame=Frame(width=100, height=50, format="svg")),
    ]
    assert len({each.asked().key for each in drawings}) == len(drawings)
    async with database.transaction() as session:
        first = await views.draw(session, OWNER, drawings[0])
    async with database.transaction() as session:
        assert await views.draw(session, OWNER, drawings[0]) == first
        assert await views.draw(session, OWNER, drawings[1]) != first
