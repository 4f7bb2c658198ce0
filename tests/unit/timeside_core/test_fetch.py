"""What is fetched comes whole and in bounds, or not at all."""

import asyncio
import gzip
import hashlib
import pickle
import socket
import ssl
from pathlib import Path

import pytest
import trustme
from tests.support import http

from timeside_core.errors import FetchError, ParameterError, TimesideError
from timeside_core.fetch import LIVE_FETCH, Download, Fetcher, FetchSettings, live_fetch
from timeside_core.fetch.connect import Resolver

CONTENT = bytes(range(256)) * 8192  # 2 MiB: several pieces to write
CHUNKED = http.head(transfer_encoding="chunked")


def settings(**changes) -> FetchSettings:
    """Those of tests: loopback is allowed."""
    return FetchSettings(**{"ports": range(1024, 65_536), "allowed_networks": ("127.0.0.1/32",)} | changes)


async def failure(answer: http.Answer, path: Path | None = None, **changes) -> FetchError:
    """The error of fetching an answer; nothing is left in the folder of `path`."""
    async with http.serving(answer) as server, Fetcher(settings(**changes)) as fetcher:
        with pytest.raises(FetchError) as caught:
            await (fetcher.read(server.url()) if path is None else fetcher.fetch_to(server.url(), path))
    assert repr(server.url()) in str(caught.value)
    return caught.value


async def endless(path: str, writer: asyncio.StreamWriter) -> None:
    """Bytes without end."""
    writer.write(http.head())
    while True:
        writer.write(bytes(65_536))
        await writer.drain()


async def trickle(path: str, writer: asyncio.StreamWriter) -> None:
    """A byte now and then."""
    writer.write(http.head(content_length="99999"))
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.02)


async def silent(path: str, writer: asyncio.StreamWriter) -> None:
    """Half a body, then nothing."""
    writer.write(http.head(content_length="10") + b"12345")
    await writer.drain()
    await asyncio.sleep(5)


async def headless(path: str, writer: asyncio.StreamWriter) -> None:
    """Headers that never end."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-A: b\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def test_a_download_is_whole_hashed_and_described(tmp_path):
    name = "attachment; filename=plain.wav; filename*=UTF-8''Chants%20d%27%C3%A9t%C3%A9.wav"
    answer = http.body(CONTENT, content_type="Audio/WAV; rate=44100", content_disposition=name)
    async with http.serving(answer) as server, Fetcher(settings()) as fetcher:
        url = server.url("/a?b=c")
        (tmp_path / "media").write_bytes(b"replaced")
        got = await fetcher.fetch_to(url, tmp_path / "media")
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert got == Download(tmp_path / "media", url, sha256, len(CONTENT), "audio/wav", "Chants d'été.wav")
    assert [each.read_bytes() == CONTENT for each in tmp_path.iterdir()] == [True]
    request = server.requests[0].splitlines()
    assert request[0] == "GET /a?b=c HTTP/1.1"
    assert {f"Host: 127.0.0.1:{server.port}", "Accept-Encoding: identity", "Connection: close"} <= set(request)


async def test_a_body_streams_in_bounded_chunks():
    async with (
        http.serving(http.body(CONTENT)) as server,
        Fetcher(settings()) as fetcher,
        fetcher.open(server.url("/a%20b.mp3?x")) as body,
    ):
        assert (body.status, body.length, body.content_type, body.filename) == (200, len(CONTENT), None, "a b.mp3")
        chunks = [chunk async for chunk in body]
    assert b"".join(chunks) == CONTENT
    assert max(map(len, chunks)) <= 65_536


async def test_bodies_end_by_chunks_and_by_closing_too():
    for answer in (
        http.raw(CHUNKED, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"),
        http.raw(http.head(), b"abc", b"de"),
        http.raw(http.head(transfer_encoding="chunked", content_length="99"), b"5\r\nabcde\r\n0\r\n\r\n"),
        http.raw(http.head(content_length="5"), b"abcdefgh"),
    ):
        async with http.serving(answer) as server, Fetcher(settings()) as fetcher:
            assert await fetcher.read(server.url()) == b"abcde"


@pytest.mark.parametrize(
    ("disposition", "path", "filename"),
    [
        ('attachment; filename="../../etc/passwd"', "/", "passwd"),
        ('attachment; filename="C:\\\\x\\\\a.wav"', "/", "a.wav"),
        ('attachment; filename="Été.wav"', "/", "Été.wav"),
        ("attachment; filename*=UTF-8''..%2F..%2Fa%00b%0A.wav", "/", "ab.wav"),
        ("attachment; filename*=UTF-8''%ff.wav", "/", "\ufffd.wav"),
        ('attachment; filename=".."', "/b.wav", "b.wav"),
        ("attachment", "/c/b.wav?d=/e.wav", "b.wav"),
        ("inline; " + "a;" * 5000, "/b.wav", "b.wav"),
        ("nonsense ;;=\"'", "/..%2fb.wav", "b.wav"),
        ("inline", "/", ""),
        (f"attachment; filename={'a' * 500}.wav", "/", "a" * 196 + ".wav"),
    ],
)
async def test_names_of_files_have_no_folders(disposition, path, filename):
    answer = http.body(b"", content_disposition=disposition)
    async with http.serving(answer) as server, Fetcher(settings()) as fetcher, fetcher.open(server.url(path)) as body:
        assert body.filename == filename


async def test_redirects_are_followed_without_cookies_and_with_headers_to_one_origin_only():
    async with http.serving(http.body(b"end")) as other:

        async def answer(path: str, writer: asyncio.StreamWriter) -> None:
            await http.redirect({"/": lambda _: "two?x", "/two?x": lambda _: other.url("/three#f")}[path], 307)(
                path, writer
            )

        async with (
            http.serving(answer) as first,
            Fetcher(settings()) as fetcher,
            fetcher.open(first.url(), headers={"Authorization": "Bearer s"}) as body,
        ):
            assert (await body.read(), body.url) == (b"end", other.url("/three"))
    assert ["Authorization: Bearer s" in each for each in first.requests + other.requests] == [True, True, False]
    assert not any("cookie" in each.lower() for each in first.requests + other.requests)


@pytest.mark.parametrize("most", [0, 5])
async def test_redirects_end(most):
    answer = http.redirect(lambda path: path + "a")
    async with http.serving(answer) as server, Fetcher(settings(max_redirects=most)) as fetcher:
        with pytest.raises(FetchError, match=f"more than {most} redirects") as caught:
            await fetcher.read(server.url())
    assert (caught.value.kind, server.connections) == ("redirects", most + 1)


async def test_a_post_is_sent_once_and_not_redirected():
    async with http.serving(http.redirect(lambda path: "/b")) as server, Fetcher(settings()) as fetcher:
        with pytest.raises(FetchError) as caught:
            await fetcher.read(server.url(), method="POST", content=b"{}", headers={"Content-Type": "application/json"})
    assert (caught.value.kind, caught.value.status, server.connections) == ("status", 302, 1)
    assert "POST / HTTP/1.1" in server.requests[0]
    assert "Content-Length: 2" in server.requests[0]


@pytest.mark.parametrize("headers", [{"X": "a\r\nHost: b"}, {"X\r\nY": "a"}, {"": "a"}, {"X": "\ud800"}])
async def test_headers_cannot_be_injected(headers):
    async with http.serving(http.body(b"")) as server, Fetcher(settings()) as fetcher:
        with pytest.raises(FetchError) as caught:
            await fetcher.read(server.url(), headers=headers)
    assert (caught.value.kind, server.requests) == ("refused", [])


@pytest.mark.parametrize("status", [204, 300, 304, 401, 404, 429, 500, 503])
async def test_other_statuses_than_2xx_are_errors(status):
    answer = http.raw(http.head(status, content_length="0"))
    if status == 204:
        async with http.serving(answer) as server, Fetcher(settings()) as fetcher:
            assert await fetcher.read(server.url()) == b""
        return
    error = await failure(answer)
    assert (error.kind, error.status) == ("status", status)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (endless, "large"),
        (http.raw(http.head(content_length="100001")), "large"),
        (http.raw(http.head(content_length="99999999999999999999")), "large"),
        (http.raw(CHUNKED, b"fffffff\r\n", bytes(200_000)), "large"),
        (http.raw(http.head(x_a="b" * 40_000, content_length="0")), "large"),
        (http.raw(http.head(x_a="b" * 200_000, content_length="0")), "broken"),
        (http.raw(b"HTTP/1.1 200 OK\r\n", *[b"X-A: b\r\n" * 1000] * 30), "broken"),
        (http.raw(http.head(content_length="10"), b"12345"), "broken"),
        (http.raw(http.head(content_length="9" * 5000), b"12345"), "broken"),
        (http.raw(http.head(content_length="-1"), b"12345"), "broken"),
        (http.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12"), "broken"),
        (http.raw(CHUNKED, b"5\r\nabcde\r\n"), "broken"),
        (http.raw(CHUNKED, b"zz\r\nabcde\r\n"), "broken"),
        (http.raw(http.head(transfer_encoding="gzip, chunked")), "broken"),
        (http.raw(b""), "broken"),
        (http.raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "broken"),
        (http.raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "broken"),
        (http.body(gzip.compress(bytes(10_000_000)), content_encoding="gzip"), "broken"),
        (silent, "slow"),
        (trickle, "slow"),
        (headless, "slow"),
    ],
)
async def test_answers_out_of_bounds_leave_nothing(answer, kind, tmp_path):
    times = {"read_s": 0.2, "head_s": 0.4, "total_s": 0.6, "least_bytes_per_s": 0} if kind == "slow" else {}
    assert (await failure(answer, tmp_path / "media", max_bytes=100_000, **times)).kind == kind
    assert list(tmp_path.iterdir()) == []


async def test_a_mean_rate_is_asked_for():
    error = await failure(trickle, least_after_s=0.1, least_bytes_per_s=10_000)
    assert (error.kind, "10000 bytes per second" in str(error)) == ("slow", True)


async def test_time_that_the_reader_takes_is_not_the_servers():
    async with (
        http.serving(http.body(CONTENT)) as server,
        Fetcher(settings(least_after_s=1, least_bytes_per_s=1 << 40)) as fetcher,
        fetcher.open(server.url()) as body,
    ):
        async for _ in body:
            await asyncio.sleep(0.05)


async def test_the_limit_of_one_fetch_is_the_lower_one():
    async with http.serving(http.body(b"12345")) as server, Fetcher(settings(max_bytes=4)) as fetcher:
        for most, limit in ((3, 3), (9, 4)):
            with pytest.raises(FetchError, match=f"more than {limit} bytes"):
                await fetcher.read(server.url(), max_bytes=most)
    async with http.serving(http.body(b"12345")) as server, Fetcher(settings(max_bytes=None, total_s=None)) as fetcher:
        assert await fetcher.read(server.url(), max_bytes=5) == b"12345"


async def test_nobody_listens():
    async with http.serving(http.body(b"")) as server:
        pass
    async with Fetcher(settings()) as fetcher:
        with pytest.raises(FetchError) as caught:
            await fetcher.read(server.url())
    assert caught.value.kind == "unreachable"


async def test_an_address_that_does_not_answer_is_passed_over():
    async def resolve(host):
        return ["127.0.0.3", "127.0.0.1"]

    allowed = settings(allowed_networks=("127.0.0.0/8",))
    async with http.serving(http.body(b"second")) as server, Fetcher(allowed, resolve=resolve) as fetcher:
        assert await fetcher.read(server.url(host="music.org")) == b"second"


async def test_a_name_that_is_looked_up_too_long_is_slow():
    async def resolve(host):
        await asyncio.sleep(5)
        return []

    async with Fetcher(settings(head_s=0.1), resolve=resolve) as fetcher:
        with pytest.raises(FetchError) as caught:
            await fetcher.read("http://music.org:8080/")
    assert caught.value.kind == "slow"


async def test_the_systems_resolver_is_asked():
    allowed = settings(allowed_hosts=("localhost",))
    async with http.serving(http.body(b"here")) as server, Fetcher(allowed) as fetcher:
        assert await fetcher.read(server.url(host="localhost")) == b"here"


async def test_names_are_looked_up_without_the_systems_search_domains(monkeypatch):
    asked = []

    def getaddrinfo(name, port, **_):
        asked.append(name)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolve = Resolver(settings(allowed_hosts=("media",)))
    assert [await resolve("music.org"), await resolve("media")] == [["127.0.0.1"], ["127.0.0.1"]]
    assert asked == ["music.org.", "media"]
    resolve.close()


async def test_a_cancelled_fetch_leaves_no_file_and_frees_its_connection(tmp_path):
    underway = asyncio.Event()

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(http.head() + CONTENT * 16)  # more than sockets hold
        await writer.drain()
        underway.set()
        await asyncio.sleep(60)

    async with http.serving(answer) as server, Fetcher(settings(max_connections=1)) as fetcher:
        for _ in range(3):
            fetching = asyncio.create_task(fetcher.fetch_to(server.url(), tmp_path / "media"))
            await underway.wait()
            assert len(list(tmp_path.iterdir())) == 1
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching
            assert list(tmp_path.iterdir()) == []
            underway.clear()
    assert server.connections == 3


async def test_connections_are_bounded_and_freed_by_errors():
    one = settings(max_connections=1, wait_s=0.1)
    async with http.serving(http.body(b"12345")) as server, Fetcher(one) as fetcher:
        async with fetcher.open(server.url()):
            with pytest.raises(FetchError, match="all 1 connections are in use") as caught:
                await fetcher.read(server.url())
        assert (caught.value.kind, server.connections) == ("busy", 1)
        for _ in range(3):
            with pytest.raises(FetchError, match="more than 1 bytes"):
                await fetcher.read(server.url(), max_bytes=1)
            with pytest.raises(ZeroDivisionError):
                async with fetcher.open(server.url()):
                    raise ZeroDivisionError
        assert await fetcher.read(server.url()) == b"12345"


async def test_a_file_that_cannot_be_written_is_an_error_of_the_system(tmp_path):
    async with http.serving(http.body(b"12345")) as server, Fetcher(settings()) as fetcher:
        with pytest.raises(FileNotFoundError):
            await fetcher.fetch_to(server.url(), tmp_path / "none" / "media")
        (tmp_path / "media").mkdir()
        with pytest.raises(IsADirectoryError):
            await fetcher.fetch_to(server.url(), tmp_path / "media")
    assert [each.name for each in tmp_path.iterdir()] == ["media"]


async def test_errors_are_ours_and_survive_a_queue():
    error = await failure(http.raw(http.head(404, content_length="0")))
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, TimesideError)
    assert (str(copy), copy.kind, copy.status) == (str(error), "status", 404)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Signs certificates that nobody else trusts."""
    return trustme.CA()


async def test_certificates_are_verified_and_servers_told_the_name(authority, tmp_path):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    names: list[str | None] = []

    def named(*hosts: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*hosts).configure_cert(context)
        context.sni_callback = lambda _, name, __: names.append(name)
        return context

    async def resolve(host):
        return ["127.0.0.1"]

    async def fetch(server: http.Server, **changes) -> bytes:
        async with Fetcher(settings(**changes), resolve=resolve) as fetcher:
            return await fetcher.read(f"https://music.org:{server.port}/")

    trusting = {"ca_file": tmp_path / "ca.pem"}
    async with http.serving(http.body(b"secure"), tls=named("music.org")) as server:
        assert await fetch(server, **trusting) == b"secure"
        with pytest.raises(FetchError, match="certificate verify failed") as caught:
            await fetch(server)
        assert (caught.value.kind, names) == ("unreachable", ["music.org", "music.org"])
    async with http.serving(http.body(b"secure"), tls=named("other.org", "127.0.0.1")) as server:
        with pytest.raises(FetchError, match=r"[Hh]ostname mismatch"):
            await fetch(server, **trusting)


def test_settings_say_what_live_sources_may_be() -> None:
    assert live_fetch("", "") == LIVE_FETCH
    known = live_fetch("8443", "10.1.0.0/16,10.2.0.0/16")
    assert (known.ports, len(known.allowed_networks), known.max_bytes) == ({8443}, 2, None)
    with pytest.raises(ParameterError, match="TIMESIDE_LIVE_PORTS"):
        live_fetch("http", "")
