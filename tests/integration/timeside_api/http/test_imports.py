"""Imports: URLs through the guarded fetcher, manifests, folders; rows that fail, wait, join, and outlive processes."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from tests.support import http
from tests.support.api import Api, Person, noise, serving, wav

from timeside.sample import write as write_sample
from timeside_api.database import Database
from timeside_api.http.imports.work import Importer
from timeside_api.identity import Role
from timeside_core.fetch import Fetcher

pytestmark = pytest.mark.integration

REFUSED = [
    "http://127.0.0.1/a.wav",
    "http://[::1]/a.wav",
    "http://169.254.169.254/latest/meta-data/",
    "http://2130706433/a.wav",
    "http://0x7f.1/a.wav",
    "http://localhost/a.wav",
    "http://10.0.0.1/a.wav",
    "http://[::ffff:127.0.0.1]/a.wav",
    "http://example.org:22/a.wav",
    "http://user:secret@example.org/a.wav",
    "file:///etc/passwd",
    "ftp://example.org/a.wav",
    "gopher://example.org/",
    "http://example.org\\@127.0.0.1/",
    "//example.org/a.wav",
]


@asynccontextmanager
async def importing(
    database: Database, folder: Path, server: http.Server | None = None, **settings: Any
) -> AsyncIterator[Api]:
    """The app, whose imports may reach a server on loopback."""
    if server is not None:
        settings |= {"import_ports": str(server.port), "import_networks": "127.0.0.1/32"}
    fast = {"import_poll_s": 0.1, "import_pause_s": 0.05}
    async with serving(database, folder, **fast | settings) as api:
        yield api


def answering(files: dict[str, bytes]) -> http.Answer:
    """Files by path; 404 for others."""

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        content = files.get(path.partition("?")[0])
        status = 404 if content is None else 200
        writer.write(http.head(status, content_length=str(len(content or b""))) + (content or b""))

    return answer


async def ask(api: Api, who: Person, **what: Any) -> httpx.Response:
    return await api.client.post("/v1/imports", json=what, headers=who.headers)


async def ask_csv(api: Api, who: Person, manifest: str, **query: str) -> httpx.Response:
    headers = who.headers | {"Content-Type": "text/csv"}
    return await api.client.post("/v1/imports:csv", content=manifest.encode(), params=query, headers=headers)


async def ended(api: Api, who: Person, answer: httpx.Response) -> dict[str, Any]:
    """The import, once it has ended."""
    assert answer.status_code == 202, answer.text
    async with asyncio.timeout(60):
        while True:
            found = (await api.client.get(answer.headers["Location"], headers=who.headers)).json()
            if found["state"] != "running":
                return found
            await asyncio.sleep(0.05)


async def rows_of(api: Api, who: Person, answer: httpx.Response, **query: str) -> list[dict[str, Any]]:
    path = f"{answer.headers['Location']}/rows"
    return (await api.client.get(path, params=query, headers=who.headers)).json()["items"]


async def item(api: Api, who: Person, row: dict[str, Any]) -> dict[str, Any]:
    return (await api.client.get(f"/v1/items/{row['item_id']}", headers=who.headers)).json()


async def test_a_url_becomes_an_item_with_its_tags(database: Database, tmp_path: Path):
    write_sample(tmp_path / "sample.flac")
    content = (tmp_path / "sample.flac").read_bytes()
    async with (
        http.serving(answering({"/a/take%201.flac": content})) as server,
        importing(database, tmp_path, server) as api,
    ):
        ada = await api.person("ada")
        answer = await ask(api, ada, kind="url", url=server.url("/a/take%201.flac?key=secret"))
        found = await ended(api, ada, answer)
        assert (found["state"], found["rows"]["done"]) == ("done", 1)
        (row,) = await rows_of(api, ada, answer)
        assert "secret" not in answer.text + str(row)
        made = await item(api, ada, row)
        assert (made["title"], made["media"]["sha256"]) == ("Sample recording", hashlib.sha256(content).hexdigest())


async def test_a_manifest_says_what_items_are(database: Database, tmp_path: Path):
    one, two = wav(noise(0.5)), wav(noise(0.6))
    async with (
        http.serving(answering({"/1.wav": one, "/2.wav": two, "/again.wav": one, "/text": b"no audio"})) as server,
        importing(database, tmp_path, server) as api,
    ):
        ada = await api.person("ada")
        names = ("/1.wav", "/2.wav", "/again.wav", "/text", "/missing")
        lines = [f'{server.url(name)},"Take ""{number}""",1977' for number, name in enumerate(names)]
        answer = await ask_csv(api, ada, "\ufeffurl,title,Year\r\n" + "\r\n".join([*lines, ",Nothing,", ""]))
        assert (await ended(api, ada, answer))["state"] == "partial"
        rows = await rows_of(api, ada, answer)
        assert [row["place"] for row in rows] == [0, 1, 2, 3, 4, 5]
        assert [row["state"] for row in rows] == ["done", "done", "done", "failed", "failed", "failed"]
        assert [row["reason"] for row in rows[:3]] == ["", "", ""]
        assert "cannot be decoded" in rows[3]["reason"]
        assert "answered 404" in rows[4]["reason"]
        assert "either a url or a path" in rows[5]["reason"]
        joined = {row["is_joined"] for row in (rows[0], rows[2])}
        assert (joined, rows[0]["item_id"]) == ({True, False}, rows[2]["item_id"])
        made = await item(api, ada, rows[1])
        assert (made["title"], made["details"]) == ('Take "1"', {"year": "1977"})
        assert len(await rows_of(api, ada, answer, state="failed", limit="2")) == 2
        again = await ended(api, ada, await ask_csv(api, ada, f"url\n{server.url('/2.wav')}\n"))
        assert again["rows"]["done"] == 1
        listed = (await api.client.get("/v1/items", headers=ada.headers)).json()["items"]
        assert len(listed) == 2


async def test_urls_that_lead_inside_are_refused(api: Api, ada: Person):
    for url in REFUSED:
        answer = await ask(api, ada, kind="url", url=url)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/url"), url
        assert "secret" not in answer.text


async def test_urls_of_manifests_and_redirects_that_lead_inside_reach_nothing(database: Database, tmp_path: Path):
    async with (
        http.serving(http.body(wav(noise(0.1)))) as inner,
        http.serving(http.redirect(lambda path: f"http://127.0.0.1:{inner.port}/")) as outer,
        importing(database, tmp_path, outer) as api,
    ):
        ada = await api.person("ada")
        urls = [*REFUSED, inner.url(), outer.url()]
        answer = await ask_csv(api, ada, "url\n" + "".join(f'"{url}"\n' for url in urls))
        found = await ended(api, ada, answer)
        assert (found["state"], found["rows"]["failed"]) == ("failed", len(urls))
        assert all(row["reason"] for row in await rows_of(api, ada, answer))
        assert inner.connections == 0


async def test_what_may_go_better_next_time_is_tried_again(database: Database, tmp_path: Path):
    calls, content = list[str](), wav(noise(0.2))

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        calls.append(path)
        if path == "/never" or len(calls) < 3:
            writer.write(http.head(503, content_length="0"))
        else:
            writer.write(http.head(200, content_length=str(len(content))) + content)

    async with http.serving(answer) as server, importing(database, tmp_path, server) as api:
        ada = await api.person("ada")
        asked = await ask(api, ada, kind="url", url=server.url("/later.wav"))
        assert (await ended(api, ada, asked))["state"] == "done"
        assert (await rows_of(api, ada, asked))[0]["attempt"] == 3
        asked = await ask(api, ada, kind="url", url=server.url("/never"))
        assert (await ended(api, ada, asked))["state"] == "failed"
        (row,) = await rows_of(api, ada, asked)
        assert (row["attempt"], "answered 503" in row["reason"]) == (3, True)


async def test_an_import_that_is_cancelled_ends_also_what_is_under_way(database: Database, tmp_path: Path):
    begun = asyncio.Event()

    async def endless(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(http.head(200, content_length="100000000"))
        begun.set()
        while True:
            writer.write(bytes(10_000))
            await writer.drain()
            await asyncio.sleep(0.01)

    async with (
        http.serving(endless) as server,
        importing(database, tmp_path, server, import_lease_s=0.6, importers=1) as api,
    ):
        ada = await api.person("ada")
        answer = await ask_csv(api, ada, "url\n" + f"{server.url('/a')}\n{server.url('/b')}\n")
        await begun.wait()
        cancelled = await api.client.post(f"{answer.headers['Location']}:cancel", headers=ada.headers)
        assert (cancelled.json()["state"], cancelled.json()["rows"]["cancelled"]) == ("cancelled", 2)
        for _ in range(400):
            half = [name for name in os.listdir(tmp_path / "store") if name.startswith(".upload-")]
            if not half:
                break
            await asyncio.sleep(0.05)
        assert not half
        assert (await api.client.get("/v1/items", headers=ada.headers)).json()["items"] == []


async def test_an_import_goes_on_after_a_restart(database: Database, tmp_path: Path):
    files = {f"/{number}.wav": wav(noise(0.1 + number / 10)) for number in range(6)}
    slow = asyncio.Event()

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/3.wav" and not slow.is_set():
            slow.set()
            await asyncio.sleep(60)
        await answering(files)(path, writer)

    async with http.serving(answer) as server:
        async with importing(database, tmp_path, server, importers=1) as api:
            ada = await api.person("ada")
            asked = await ask_csv(api, ada, "url\n" + "".join(f"{server.url(name)}\n" for name in files))
            await slow.wait()
        async with database.transaction() as session:  # the row was handed back
            states = (await session.execute(text("SELECT state, attempt FROM import_row ORDER BY place"))).all()
        assert [tuple(each) for each in states] == [("done", 1)] * 3 + [("queued", 0)] * 3
        async with importing(database, tmp_path, server, importers=1) as api:
            assert (await ended(api, ada, asked))["rows"]["done"] == 6
            listed = await api.client.get("/v1/items", headers=ada.headers)
            assert len(listed.json()["items"]) == 6


async def test_rows_of_an_importer_that_died_are_taken_again_and_given_up_in_the_end(
    database: Database, tmp_path: Path
):
    async with (
        http.serving(answering({"/a.wav": wav(noise(0.1))})) as server,
        importing(database, tmp_path, server, importers=0) as api,
    ):
        ada = await api.person("ada")
        answer = await ask_csv(api, ada, "url\n" + f"{server.url('/a.wav')}\n" * 2)
        async with database.transaction() as session:
            died = "UPDATE import_row SET state = 'running', lease_until = now() - interval '1 s', attempt = 3 - place"
            await session.execute(text(died))
        async with Fetcher(api.app.state.platform.settings.import_fetch) as fetcher:
            importer = Importer(api.app.state.platform, fetcher)
            assert [await importer.take(), await importer.take()] == [True, False]
        assert (await ended(api, ada, answer))["state"] == "partial"
        given_up, done = await rows_of(api, ada, answer)
        assert (given_up["state"], "3 times" in given_up["reason"]) == ("failed", True)
        assert (done["state"], done["attempt"]) == ("done", 3)


async def test_two_importers_make_one_item_of_the_same_bytes(database: Database, tmp_path: Path):
    async with (
        http.serving(answering({"/a.wav": wav(noise(0.1))})) as server,
        importing(database, tmp_path, server, importers=4) as api,
    ):
        ada = await api.person("ada")
        answers = [await ask_csv(api, ada, "url\n" + f"{server.url('/a.wav')}\n" * 3) for _ in range(3)]
        for answer in answers:
            assert (await ended(api, ada, answer))["rows"]["done"] == 3
        assert len((await api.client.get("/v1/items", headers=ada.headers)).json()["items"]) == 1


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder of the server."""
    folder = tmp_path / "music"
    (folder / "1977").mkdir(parents=True)
    (folder / "1977" / "b.wav").write_bytes(wav(noise(0.2)))
    (folder / "a.WAV").write_bytes(wav(noise(0.1)))
    (folder / ".hidden.wav").write_bytes(b"")
    (folder / "cover.jpg").write_bytes(b"")
    (tmp_path / "secret.wav").write_bytes(wav(noise(0.3)))
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "out").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.wav")
    return folder


@pytest.mark.parametrize("mode", ["copy", "in_place"])
async def test_a_folder_of_the_server(database: Database, tmp_path: Path, music: Path, mode: str):
    async with importing(database, tmp_path, import_roots=str(music)) as api:
        root = await api.person("root", Role.ADMIN)
        answer = await ask(api, root, kind="folder", folder=str(music), mode=mode)
        found = await ended(api, root, answer)
        assert (found["state"], found["rows"]["done"], found["rows"]["expanded"]) == ("done", 2, 1)
        folder, *rows = await rows_of(api, root, answer)
        assert folder["state"] == "expanded"
        assert sorted(Path(row["source"]).name for row in rows) == ["a.WAV", "b.wav"]
        made = await item(api, root, rows[0])
        media = f"/v1/media/{made['media']['sha256']}"
        path = Path(rows[0]["source"])
        assert made["title"] == path.stem
        got = await api.client.get(media, headers=root.headers)
        assert hashlib.sha256(got.content).hexdigest() == made["media"]["sha256"]
        os.truncate(path, 100)
        answer = await api.client.get(media, headers=root.headers)
        assert answer.status_code == (200 if mode == "copy" else 409)
        assert mode == "copy" or answer.json()["code"] == "changed"


async def test_folders_are_for_administrators_and_below_roots_only(database: Database, tmp_path: Path, music: Path):
    async with importing(database, tmp_path, import_roots=str(music)) as api:
        ada, root = await api.person("ada"), await api.person("root", Role.ADMIN)
        assert (await ask(api, ada, kind="folder", folder=str(music))).status_code == 403
        assert (await ask_csv(api, ada, f"path\n{music}/a.WAV\n")).status_code == 403
        for folder in ("/etc", str(tmp_path), f"{music}/..", f"{music}/out", f"{music}/nothing", "/", f"{music}/a.WAV"):
            answer = await ask(api, root, kind="folder", folder=folder)
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/folder"), folder
        paths = [f"{music}/link.wav", f"{music}/pipe.wav", f"{music}/out/secret.wav", "/etc/passwd", "music/a.WAV"]
        answer = await ask_csv(
            api, root, "path,title\n" + "".join(f"{path},x\n" for path in [*paths, f"{music}/a.WAV"])
        )
        await ended(api, root, answer)
        states = {row["source"]: row["state"] for row in await rows_of(api, root, answer)}
        assert [states[path] for path in [*paths[:4], f"{music}/a.WAV"]] == ["failed"] * 4 + ["done"]
    async with importing(database, tmp_path) as api:
        answer = await ask(api, root, kind="folder", folder=str(music))
        assert answer.status_code == 422


NO_MANIFESTS = {
    "": "name the columns",
    "title\nx\n": "name the columns",
    "url\n": "no line",
    "url,url\nx,y\n": "name of its own",
    'url\n"x': "line 2",
    "url\nx\0\n": "NUL",
    "url\n" + "x\n" * 11: "10 lines",
}


async def test_what_is_no_manifest_is_refused(database: Database, tmp_path: Path):
    async with importing(database, tmp_path, max_import_rows=10) as api:
        ada = await api.person("ada")
        for manifest, rule in NO_MANIFESTS.items():
            answer = await ask_csv(api, ada, manifest)
            assert (answer.status_code, rule in answer.text) == (422, True), answer.text


async def test_imports_are_bounded_and_ones_own(database: Database, tmp_path: Path):
    async with importing(database, tmp_path, importers=0, open_imports=1, max_manifest_bytes=2000) as api:
        ada, other = await api.person("ada"), await api.person("other")
        answer = await ask_csv(api, ada, "url\nhttps://example.org/a.wav\n")
        assert (await ask_csv(api, ada, "url\nhttps://example.org/a.wav\n")).status_code == 429
        assert (await ask_csv(api, ada, "url\n" + "x" * 2000)).status_code == 413
        for path in ("", "/rows"):
            assert (await api.client.get(answer.headers["Location"] + path, headers=other.headers)).status_code == 404
        assert (await api.client.post(answer.headers["Location"] + ":cancel", headers=other.headers)).status_code == 404
        assert (
            await ask(api, other, kind="provider", provider="nobody", url="https://example.org/")
        ).status_code == 422
        assert (await api.client.get("/v1/imports", headers=other.headers)).json()["items"] == []
        (listed,) = (await api.client.get("/v1/imports", headers=ada.headers)).json()["items"]
        assert (listed["kind"], listed["rows"]["queued"]) == ("csv", 1)
