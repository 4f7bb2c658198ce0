"""Which URLs are fetched at all, before any name is looked up; and how URLs are shown without their secrets.

The host that is checked is the very text that is connected to, after all normalisation, so that no two parsers
can read it differently.
"""

import re
from ipaddress import IPv6Address, ip_address
from urllib.parse import unquote

import httpx

from timeside_core.errors import FetchError
from timeside_core.fetch.addresses import Address, address_refusal
from timeside_core.fetch.settings import FetchSettings

DEFAULT_PORTS = {"http": 80, "https": 443}

_LOCAL_DOMAINS = frozenset(
    {"alt", "arpa", "corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "localdomain"}
    | {"localhost", "onion", "private", "test"}
)
"""Last labels of names that no public zone holds (RFC 6761, 6762, 8375, 9476; ICANN's reserved names)."""

_SHAPE = re.compile(r"https?://([^/?#]+)", re.IGNORECASE)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_CREDENTIALS = re.compile(
    r"^(\w[\w+.-]*:)?([/\\]*)"  # scheme and slashes, whatever their number
    r"(?!(\[[^\]@]*\]|[^/?#\\@:\[]*)(:\d*)?([/?#\\]|$))"  # unless a host, a port and an end follow,
    r".*@",  # all up to the last @: a password may hold what ends a host elsewhere
    re.DOTALL,
)
_SHOWN_CHARS = 200


def vetted_url(text: str, settings: FetchSettings) -> httpx.URL:
    """The URL in its normal form, without its fragment; raises `FetchError` where it must not be fetched."""
    if len(text) > settings.max_url_chars:
        raise refused(text, f"has {len(text)} characters; {settings.max_url_chars} are allowed")
    if _UNSAFE.search(text):
        raise refused(text, "holds a control character or a backslash")
    shape = _SHAPE.match(text)
    if shape is None:
        raise refused(text, "must be http:// or https:// and a host")
    if "@" in shape[1]:
        raise refused(text, "must not hold credentials")
    try:
        url = httpx.URL(text).copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError) as error:
        what = str(error).partition(":")[0]  # what follows may be a part of a password
        raise refused(text, f"is not a URL: {what}") from None
    port = DEFAULT_PORTS[url.scheme] if url.port is None else url.port
    reason = port_refusal(port, settings) or host_refusal(url.raw_host.decode("ascii"), settings)
    if reason is not None:
        raise refused(text, reason)
    return url


def port_refusal(port: int, settings: FetchSettings) -> str | None:
    """Why a port must not be connected to; None where it may be."""
    if port in settings.ports:
        return None
    return f"port {port} is not one of {', '.join(map(str, sorted(settings.ports)))}"


def host_refusal(host: str, settings: FetchSettings) -> str | None:
    """Why a host, as it would be connected to, must not even be looked up; None where it may be."""
    if host in settings.allowed_hosts:
        return None
    address = literal(host)
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return f"host {host!r} has a zone"
    if address is not None:
        reason = address_refusal(address, settings)
        return None if reason is None else f"address {host} is {reason}"
    if not _NAME.fullmatch(host):
        return f"host {host!r} is neither a name of letters, digits and inner hyphens nor an address"
    _, _, last = host.rpartition(".")
    if _NUMBER.fullmatch(last):
        return f"host {host!r} is a number: addresses are written as four decimal numbers"
    if last == host or last in _LOCAL_DOMAINS:
        return f"host {host!r} is a name of a local network"
    return None


def literal(host: str) -> Address | None:
    """The address that a host is written as; None where it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def refused(url: str, reason: str) -> FetchError:
    """The error that a URL is refused with."""
    return FetchError(f"{shown(url)}: {reason}")


def shown(url: str) -> str:
    """A URL for messages, quoted: masked, its length bounded."""
    bare = masked(url)
    return repr(bare if len(bare) <= _SHOWN_CHARS else f"{bare[:_SHOWN_CHARS]}…")


def masked(url: str) -> str:
    """A URL without its credentials, the values of its query and its fragment."""
    head, mark, query = _CREDENTIALS.sub(r"\1\2***@", url).partition("#")[0].partition("?")
    return head + mark + "&".join(_masked(part) for part in query.split("&"))


def name_of(url: httpx.URL) -> str:
    """The last segment of a URL's path, decoded: a file's name, as hostile as any."""
    return unquote(url.raw_path.decode("ascii").partition("?")[0].rpartition("/")[2])


def _masked(part: str) -> str:
    name, equals, value = part.partition("=")
    if equals:
        return f"{name}=***" if value else part
    return "***" if part else ""
