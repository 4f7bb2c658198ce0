"""Fetching what strangers' URLs lead to, and the providers that say what they stand for.

Every URL that leaves the platform goes through a `Fetcher`: media, pictures, webhooks, the requests of providers.
"""

from timeside_core.fetch.body import Body
from timeside_core.fetch.connect import Resolve
from timeside_core.fetch.fetcher import Download, Fetcher
from timeside_core.fetch.providers import Provider, RemoteItem, get_provider, provider_ids, provider_of, resolve
from timeside_core.fetch.settings import LIVE_FETCH, FetchSettings, live_fetch
from timeside_core.fetch.urls import masked, shown

__all__ = [
    "LIVE_FETCH",
    "Body",
    "Download",
    "FetchSettings",
    "Fetcher",
    "Provider",
    "RemoteItem",
    "Resolve",
    "get_provider",
    "live_fetch",
    "masked",
    "provider_ids",
    "provider_of",
    "resolve",
    "shown",
]
