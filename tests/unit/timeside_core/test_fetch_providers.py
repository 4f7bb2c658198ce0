"""Providers are found by entry points, kept to the fetcher's rules, and cannot hide each other."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import http

from timeside_core.errors import FetchError, ProviderError, UnknownProviderError
from timeside_core.fetch import (
    Fetcher,
    FetchSettings,
    RemoteItem,
    get_provider,
    provider_ids,
    provider_of,
    providers,
    resolve,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "write-a-provider.md"
HEAD = "import asyncio\nfrom timeside_core.fetch import Provider, RemoteItem\n"
PLAYLIST = """
class Playlist(Provider, id="playlist", name="Playlists"):
    '''Lists of URLs, a line each.

    More.
    '''

    def accepts(self, url):
        return url.endswith(".list")

    async def resolve(self, url, fetcher):
        lines = (await fetcher.read(url)).decode().splitlines()
        return (RemoteItem(url=line, title="a" * 1001) for line in lines)
"""


def settings(**changes) -> FetchSettings:
    """Those of tests: loopback is allowed."""
    return FetchSettings(**{"ports": range(1024, 65_536), "allowed_networks": ("127.0.0.1/32",)} | changes)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution of one module, whose classes are providers under the ids given."""

    def install_(source: str, **points: str) -> None:
        (tmp_path / "some_providers.py").write_text(HEAD + source)
        (tmp_path / "some-1.0.dist-info").mkdir()
        (tmp_path / "some-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: some\nVersion: 1.0\n")
        lines = [f"{id} = some_providers:{name}" for id, name in points.items()]
        (tmp_path / "some-1.0.dist-info" / "entry_points.txt").write_text("\n".join(["[timeside.providers]", *lines]))
        monkeypatch.syspath_prepend(tmp_path)
        forget()

    def forget() -> None:
        sys.modules.pop("some_providers", None)
        providers._points.cache_clear()
        providers._load.cache_clear()

    yield install_
    monkeypatch.undo()
    forget()


async def resolved(url: str, provider_id: str | None = None, **changes) -> list[RemoteItem]:
    """What a URL stands for, by settings."""
    async with Fetcher(settings(**changes)) as fetcher:
        return await resolve(url, fetcher, provider_id)


async def test_any_url_stands_for_itself():
    url = "https://music.org/a/Chants%20d'%C3%A9t%C3%A9.tar.flac?b=/c#d"
    assert provider_of(url).id == "url"
    assert await resolved("https://music.org:8080/") == [RemoteItem(url="https://music.org:8080/")]
    assert await resolved(url, "url", ports=(443,)) == [RemoteItem(url=url, title="Chants d'été.tar")]


async def test_urls_that_are_refused_are_not_resolved():
    with pytest.raises(FetchError, match="loopback"):
        await resolved("http://127.0.0.2:8080/a.list")


async def test_a_third_partys_provider_is_found_and_asked_first(install: Callable[..., None]):
    install(PLAYLIST, playlist="Playlist")
    assert provider_ids() == ("playlist", "url")
    found = get_provider("playlist")
    assert (found.id, found.name, found.description) == ("playlist", "Playlists", "Lists of URLs, a line each.")
    assert found is get_provider("playlist")
    async with http.serving(http.body(b"http://8.8.8.8:8080/a\nhttp://8.8.8.8:8080/b")) as server:
        items = await resolved(server.url("/a.list"))
        assert [item.url for item in items] == ["http://8.8.8.8:8080/a", "http://8.8.8.8:8080/b"]
        assert [len(item.title) for item in items] == [1000, 1000]
        assert [item.url for item in await resolved(server.url("/a.list"), "url")] == [server.url("/a.list")]
        with pytest.raises(ProviderError, match="does not accept"):
            await resolved(server.url("/a.wav"), "playlist")
        with pytest.raises(ProviderError, match=r"found 2 items .* 1 are allowed"):
            await resolved(server.url("/a.list"), max_items=1)
    async with http.serving(http.body(b"http://169.254.169.254:8080/")) as server:
        with pytest.raises(ProviderError, match=r"URL that is refused.*link-local"):
            await resolved(server.url("/a.list"))
    async with http.serving(http.raw(http.head(404, content_length="0"))) as server:
        with pytest.raises(FetchError, match="404"):
            await resolved(server.url("/a.list"))


def test_an_unknown_provider_is_named_with_those_that_are_near(install: Callable[..., None]):
    install(PLAYLIST, playlist="Playlist")
    with pytest.raises(UnknownProviderError, match="'playlists' is unknown; did you mean playlist"):
        get_provider("playlists")
    with pytest.raises(UnknownProviderError, match="'xyz' is unknown; there are playlist, url"):
        get_provider("xyz")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise RuntimeError('oh')", "cannot be loaded from 'some_providers:Bad': RuntimeError: oh"),
        ("", "AttributeError"),
        ("Bad = dict", "is not a Provider with that id"),
        ("class Bad(Provider, id='other', name='Other'): accepts = resolve = None", "is not a Provider with that id"),
        ("class Bad(Provider, id='bad', name='Bad'): pass", "TypeError"),
        ("class Bad: accepts = 1", "is not a Provider"),
    ],
)
def test_a_provider_that_cannot_be_loaded_does_not_hide_others(install: Callable[..., None], source, message):
    install(source, bad="Bad")
    with pytest.raises(ProviderError, match="provider 'bad'") as caught:
        get_provider("bad")
    assert message in str(caught.value)
    with pytest.warns(RuntimeWarning, match="provider 'bad'"):
        assert provider_of("https://music.org/").id == "url"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1 / 0", "failed on 'http://8.8.8.8:8080/?a=***': ZeroDivisionError: division by zero"),
        ("return None", "TypeError"),
        ("return [RemoteItem(url='http://8.8.8.8:8080/', picture_url='file:///etc/passwd')]", "URL that is refused"),
        ("await asyncio.sleep(60)", "took longer than 0.1 s for 'http://8.8.8.8:8080/?a=***'"),
    ],
)
async def test_a_provider_that_fails_is_named(install: Callable[..., None], body, message):
    install(
        f"""
class Bad(Provider, id="bad", name="Bad"):
    def accepts(self, url):
        return True

    async def resolve(self, url, fetcher):
        {body}
""",
        bad="Bad",
    )
    with pytest.raises(ProviderError, match="provider 'bad'") as caught:
        await resolved("http://8.8.8.8:8080/?a=secret", resolve_s=0.1)
    assert message in str(caught.value)


async def test_a_provider_that_cannot_tell_accepts_nothing(install: Callable[..., None]):
    install(PLAYLIST.replace("return url", "return 1 / 0 or url"), playlist="Playlist")
    with pytest.warns(RuntimeWarning, match="'playlist' failed in accepts"):
        assert await resolved("http://8.8.8.8:8080/") == [RemoteItem(url="http://8.8.8.8:8080/")]


async def test_the_documented_provider_works():
    source = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[0]
    names: dict = {}
    exec(source, names)
    metadata = {
        "metadata": {"title": "Live"},
        "files": [{"name": "d1 t01.flac", "title": "Tuning", "creator": "Band"}, {"name": "a.txt"}, {"name": "b.wav"}],
    }
    async with http.serving(http.body(json.dumps(metadata).encode())) as server:
        provider = names["InternetArchive"]()
        assert provider.accepts("https://archive.org/details/show1")
        assert not provider.accepts("https://archive.org.example.com/details/show1")
        type(provider).site = site = server.url("")
        async with Fetcher(settings()) as fetcher:
            items = await provider.resolve(f"{site}/details/show1/more", fetcher)
    assert server.requests[0].startswith("GET /metadata/show1 ")
    assert items == [
        RemoteItem(
            url=f"{site}/download/show1/d1%20t01.flac",
            title="Tuning",
            artist="Band",
            album="Live",
            external_id="show1/d1 t01.flac",
        ),
        RemoteItem(url=f"{site}/download/show1/b.wav", title="b.wav", album="Live", external_id="show1/b.wav"),
    ]
