"""Providers: plug-ins that say what a URL stands for, such as the recordings of a page or a playlist.

A distribution registers a provider by the entry point group `timeside.providers`, whose names are ids; it is
imported on first use. A provider is given the guarded fetcher and nothing else to reach the network with.
"""

import asyncio
import difflib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import getdoc
from pathlib import PurePosixPath
from typing import Annotated, ClassVar

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict

from timeside_core.errors import FetchError, ProviderError, TimesideError, UnknownProviderError
from timeside_core.fetch.fetcher import Fetcher
from timeside_core.fetch.urls import name_of, shown

PROVIDERS = "timeside.providers"
GENERIC = "url"
"""Id of the provider that is asked last, as it accepts every URL."""


def _cut(chars: int) -> AfterValidator:
    """A hostile or careless page must not fill a database, nor hide the other items."""
    return AfterValidator(lambda text: text[:chars])


Line = Annotated[str, _cut(1000)]


class RemoteItem(BaseModel):
    """A recording that can be downloaded, and what is known of it; texts that are too long are cut."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    url: str
    """Where its bytes are."""
    title: Line = ""
    """Title."""
    artist: Line = ""
    """Who is heard."""
    album: Line = ""
    """Release or collection it is part of."""
    description: Annotated[str, _cut(20_000)] = ""
    """Plain text."""
    external_id: Line = ""
    """Its id at the provider."""
    picture_url: str = ""
    """A picture of it."""


class Provider(ABC):
    """Resolves the URLs of one service: `class Archive(Provider, id="archive", name="Internet Archive")`.

    An instance is made without arguments, serves many requests at once, and keeps no state of them.
    """

    id: ClassVar[str]
    """Name of its entry point."""
    name: ClassVar[str]
    """Name for people."""
    description: ClassVar[str]
    """First line of the docstring."""

    def __init_subclass__(cls, *, id: str, name: str) -> None:
        cls.id, cls.name = id, name
        cls.description = (getdoc(cls) or name).partition("\n")[0]

    @abstractmethod
    def accepts(self, url: str) -> bool:
        """Whether a URL is one of the service's; by its text alone."""

    @abstractmethod
    async def resolve(self, url: str, fetcher: Fetcher) -> Iterable[RemoteItem]:
        """What an accepted URL stands for; the network is reached through the fetcher."""


class Url(Provider, id=GENERIC, name="URL"):
    """Any file of the web, by its URL."""

    def accepts(self, url: str) -> bool:
        return True

    async def resolve(self, url: str, fetcher: Fetcher) -> list[RemoteItem]:
        """The URL itself; its title is the file's name without suffix."""
        return [RemoteItem(url=url, title=PurePosixPath(name_of(httpx.URL(url))).stem)]


async def resolve(url: str, fetcher: Fetcher, provider_id: str | None = None) -> list[RemoteItem]:
    """What a URL stands for, by the provider of that id or else the one that accepts it; raises `TimesideError`.

    The URL, and those of the items, are vetted by the fetcher's rules.
    """
    fetcher.check(url)
    provider = provider_of(url) if provider_id is None else get_provider(provider_id)
    label = f"provider {provider.id!r}"
    if not _accepts(provider, url):
        raise ProviderError(f"{label} does not accept {shown(url)}")
    try:
        async with asyncio.timeout(fetcher.settings.resolve_s):
            items = list(await provider.resolve(url, fetcher))
    except TimeoutError:
        raise ProviderError(f"{label} took longer than {fetcher.settings.resolve_s} s for {shown(url)}") from None
    except TimesideError:
        raise
    except Exception as error:
        raise ProviderError(f"{label} failed on {shown(url)}: {type(error).__name__}: {error}") from error
    if len(items) > fetcher.settings.max_items:
        raise ProviderError(
            f"{label} found {len(items)} items at {shown(url)}; {fetcher.settings.max_items} are allowed"
        )
    for item in items:
        _check(item, fetcher, label)
    return items


def provider_of(url: str) -> Provider:
    """The provider that accepts a URL; the generic one where no other does."""
    ids = [id for id in provider_ids() if id != GENERIC]
    providers = (_usable(id) for id in ids)
    return next((each for each in providers if each is not None and _accepts(each, url)), get_provider(GENERIC))


def get_provider(id: str) -> Provider:
    """The provider of that id, imported if need be; raises `UnknownProviderError`."""
    point = _points().get(id)
    if point is None:
        near = difflib.get_close_matches(id, provider_ids(), n=3)
        hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(provider_ids())}"
        raise UnknownProviderError(f"provider {id!r} is unknown; {hint}")
    return _load(point)


def provider_ids() -> tuple[str, ...]:
    """Ids of all providers that are installed, sorted."""
    return tuple(sorted(_points()))


@cache
def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=PROVIDERS)}


@cache
def _load(point: EntryPoint) -> Provider:
    label = f"provider {point.name!r}"
    try:
        provider = point.load()()
    except Exception as error:
        raise ProviderError(
            f"{label} cannot be loaded from {point.value!r}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(provider, Provider) or provider.id != point.name:
        raise ProviderError(f"{label}: {point.value!r} is not a Provider with that id")
    return provider


def _usable(id: str) -> Provider | None:
    try:
        return get_provider(id)
    except ProviderError as error:  # a bad plug-in must not hide the others
        warnings.warn(str(error), RuntimeWarning, stacklevel=2)
        return None


def _accepts(provider: Provider, url: str) -> bool:
    try:
        return provider.accepts(url)
    except Exception as error:
        warnings.warn(f"provider {provider.id!r} failed in accepts: {error}", RuntimeWarning, stacklevel=2)
        return False


def _check(item: RemoteItem, fetcher: Fetcher, label: str) -> None:
    for url in filter(None, (item.url, item.picture_url)):
        try:
            fetcher.check(url)
        except FetchError as error:
            raise ProviderError(f"{label} found a URL that is refused: {error}") from error
