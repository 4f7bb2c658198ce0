"""Tables and their migrations, transactions, and a database that is away."""

import asyncio
import importlib
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.postgres import Server

import timeside_api
from timeside_api.database import Database, DatabaseSettings, head, is_away
from timeside_api.errors import DatabaseError, SchemaError
from timeside_api.models import Base, Owner
from timeside_core.ids import uuid7

pytestmark = pytest.mark.integration


async def test_the_migrations_make_the_tables_of_the_models(database: Database):
    package = Path(timeside_api.__file__).parent
    for file in package.rglob("*.py"):
        if "__tablename__" in file.read_text():
            importlib.import_module(".".join(("timeside_api", *file.relative_to(package).with_suffix("").parts)))

    def differences(connection: Connection) -> list[object]:
        return compare_metadata(MigrationContext.configure(connection), Base.metadata)

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_upgrades_at_the_same_time_are_one(postgres_server: Server):
    async with postgres_server.database(template="template1") as url:
        databases = [Database(url) for _ in range(4)]
        with pytest.raises(SchemaError, match="revision none"):
            await databases[0].check()
        assert await asyncio.gather(*(each.upgrade() for each in databases)) == [head()] * 4
        await databases[0].check()
        assert await databases[0].upgrade() == head()
        for each in databases:
            await each.close()


async def test_older_tables_are_refused_and_newer_ones_are_not(database: Database):
    async def pretend(revision: str) -> None:
        async with database.transaction() as session:
            await session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})

    await pretend("9999")
    await database.check()
    await pretend("0001")
    with pytest.raises(SchemaError, match=f"revision 0001, and this program's of {head()}: timeside db upgrade"):
        await database.check()


async def test_all_or_nothing(database: Database):
    async def insert_and_fail() -> None:
        async with database.transaction() as session:
            session.add(Owner(id=uuid7()))
            await session.flush()
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        await insert_and_fail()
    async with database.transaction() as session:
        assert await session.scalar(text("SELECT count(*) FROM owner")) == 0


async def test_who_is_in_the_way_of_another_tries_again(database: Database):
    """Two transactions lock two rows in opposite order: one of them is told to begin anew."""
    async with database.transaction() as session:
        await session.execute(text("INSERT INTO lane (name) VALUES ('a'), ('b')"))
    both_have_one = asyncio.Barrier(2)
    begun = 0

    async def work(session: AsyncSession, names: list[str]) -> None:
        nonlocal begun
        begun += 1
        for name in names:
            await session.execute(text("UPDATE lane SET clock_s = clock_s + 1 WHERE name = :name"), {"name": name})
            if begun == 2 and both_have_one.n_waiting < 2 and name == names[0]:
                await both_have_one.wait()

    async with asyncio.timeout(30):
        await asyncio.gather(
            database.retried(lambda session: work(session, ["a", "b"])),
            database.retried(lambda session: work(session, ["b", "a"])),
        )
    async with database.transaction() as session:
        clocks = list(await session.scalars(text("SELECT clock_s FROM lane WHERE name IN ('a', 'b')")))
    assert clocks == [2, 2]


async def test_a_server_that_cannot_be_reached_is_away(tmp_path: Path):
    database = Database(f"postgresql://timeside@/timeside?host={tmp_path}", settings=DatabaseSettings(retry_s=0.01))
    with pytest.raises(FileNotFoundError) as caught:
        await database.check()
    assert is_away(caught.value)
    with pytest.raises(DatabaseError, match=r"was not ready within 0\.05 s"):
        await database.wait(0.05)
    await database.close()


async def test_a_connection_that_is_cut_is_away_and_comes_back(database: Database):
    async with database.engine.connect() as connection:
        pid = await connection.scalar(text("SELECT pg_backend_pid()"))
        async with database.transaction() as session:
            await session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(text("SELECT 1"))
        assert is_away(caught.value)
    await database.check()


async def test_a_mistake_is_not_away(database: Database):
    with pytest.raises(DBAPIError) as caught:
        async with database.transaction() as session:
            await session.execute(text("SELECT * FROM nowhere"))
    assert not is_away(caught.value)


async def test_a_missing_database_is_not_waited_for(postgres_server: Server):
    url = make_url(postgres_server.postgres.url).set(database="nowhere").render_as_string()
    database = Database(url)
    with pytest.raises(Exception, match="does not exist"):
        await database.wait(30)
    await database.close()
