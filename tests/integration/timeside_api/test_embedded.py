"""The supervisor of our own PostgreSQL: who it runs as, what it leaves alone, how it dies and is started again.

Intentionally not checked: power cuts (PostgreSQL's business) and other systems than Linux.
"""

import asyncio
import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.support.postgres import QUICK

from timeside_api.database import Database, head
from timeside_api.embedded import SOCKET_PATH_BYTES, Binaries, EmbeddedPostgres, Identity, binaries
from timeside_api.errors import DatabaseError

pytestmark = pytest.mark.integration

IDENTITIES = [Identity.renamed, Identity.dropped] if os.geteuid() == 0 else [Identity.own]
PATIENCE_S = 20.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where there is nothing yet; a short path that is closed to others."""
    with tempfile.TemporaryDirectory(prefix="ts-") as name:
        yield Path(name) / "pg"


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """Where a server has been before."""
    with tempfile.TemporaryDirectory(prefix="ts-") as name:
        with server(Path(name) / "pg") as one:
            ask(one, "CREATE TABLE kept (x int)", "INSERT INTO kept VALUES (440)")
        yield Path(name) / "pg"


def server(folder: Path, **options: object) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder, options=QUICK, **options)  # pyright: ignore[reportArgumentType]


def ask(server: EmbeddedPostgres, *statements: str) -> object:
    async def answer() -> object:
        database = Database(server.url)
        async with database.transaction() as session:
            answers = [await session.execute(text(each)) for each in statements]
            value = answers[-1].scalar() if answers[-1].returns_rows else None
        await database.close()
        return value

    return asyncio.run(answer())


def modes(path: Path) -> dict[Path, tuple[int, int]]:
    return {each: (each.stat().st_mode, each.stat().st_uid) for each in [path, *path.parents] if each.exists()}


@pytest.mark.parametrize("identity", IDENTITIES)
def test_it_keeps_its_data_and_touches_no_other_folder(folder: Path, identity: type[Identity]):
    before = modes(folder.parent)
    folder.mkdir(mode=0o700)
    (folder / ".data-half-made").mkdir()
    with server(folder, identity=identity()) as one:  # pyright: ignore[reportCallIssue]
        assert one.alive()
        ask(one, "CREATE TABLE kept (x int)", "INSERT INTO kept VALUES (440)")
        assert [stat.S_IMODE(each.stat().st_mode) for each in (one.folder, one.data, one.run)] == [0o700] * 3
    assert not one.alive()
    with server(folder) as two:
        assert ask(two, "SELECT x FROM kept") == 440
    assert modes(folder.parent) == before


def test_as_somebody_who_is_not_root(folder: Path):
    """Root tries it as nobody; all others are that somebody."""
    script = f"""
import os
from pathlib import Path
from timeside_api.embedded import EmbeddedPostgres
with EmbeddedPostgres(Path({str(folder)!r}), options={QUICK!r}) as server:
    assert os.geteuid() != 0 and server.alive()
    print("well")
"""
    command = [sys.executable, "-c", script]
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder.parent, nobody.pw_uid, nobody.pw_gid)
        command = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("well\n", "")


def test_one_at_a_time_has_a_folder(made: Path):
    with server(made), pytest.raises(DatabaseError, match=f"in use by process {os.getpid()}"):
        server(made).start()


def test_it_dies_with_its_supervisor_and_the_next_one_starts(made: Path):
    script = f"""
import time
from pathlib import Path
from timeside_api.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path({str(made)!r}), options={QUICK!r})
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        supervisor.kill()
    with server(made) as two:
        assert two.alive()
        assert gone(pid)


def test_a_killed_server_is_started_again(made: Path):
    with server(made) as one:
        ask(one, "INSERT INTO kept VALUES (880)")
        pid = one.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE_S
        while one.pid is not None:
            assert time.monotonic() < deadline
        assert not one.alive()
        one.ensure()
        assert one.alive()
        assert one.pid != pid
        one.ensure()  # nothing to do
        assert ask(one, "SELECT max(x) FROM kept") == 880


def test_a_mark_left_behind_does_not_count_whoever_has_its_number_now(made: Path):
    (made / "data" / "postmaster.pid").write_text(f"{os.getppid()}\n{made / 'data'}\n")
    with server(made) as one:
        assert one.alive()


def test_a_long_path_has_its_socket_elsewhere(made: Path):
    long = made.rename(made.parent / ("long" * 25))
    with server(long) as one:
        assert len(os.fsencode(one.run / ".s.PGSQL.5432")) <= SOCKET_PATH_BYTES
        assert ask(one, "SELECT min(x) FROM kept") == 440
    assert not one.run.exists()
    one.run.symlink_to(made)  # by somebody else, where everybody may
    try:
        with pytest.raises(DatabaseError, match="not a folder of ours"):
            server(long).start()
    finally:
        one.run.unlink()
        long.rename(made)


def test_data_of_a_version_that_is_not_installed_are_named(folder: Path):
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "PG_VERSION").write_text("14\n")
    with pytest.raises(DatabaseError, match=r"no PostgreSQL of version 14.* is installed"):
        server(folder).start()


def test_what_it_says_when_it_cannot_start_is_passed_on(made: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("timeside_api.embedded.RETRY_S", 0.0)
    with pytest.raises(DatabaseError, match="no_such_setting"):
        EmbeddedPostgres(made, options={"no_such_setting": "1"}).start()


def test_an_identity_that_does_not_work_is_known():
    assert not Identity(("false",), 0, 0).works()


@pytest.mark.parametrize("found", binaries()[1:], ids=lambda found: str(found.major))
def test_the_tables_can_be_had_in_other_versions_too(folder: Path, found: Binaries):
    async def upgrade(url: str) -> None:
        database = Database(url)
        assert await database.upgrade() == head()
        await database.check()
        await database.close()

    with server(folder, binaries=found) as one:
        assert str(ask(one, "SHOW server_version")).startswith(f"{found.major}.")
        asyncio.run(upgrade(one.url))


def gone(pid: int) -> bool:
    """Whether it has ended, reaped or not."""
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return True
