"""Bounds and times of what is fetched over the network, each with its unit and its reason."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, FilePath, ValidationError, field_validator

from timeside_core.errors import ParameterError
from timeside_core.settings import Seconds

Network: TypeAlias = IPv4Network | IPv6Network
Port = Annotated[int, Field(ge=1, le=65_535)]


class FetchSettings(BaseModel):
    """What may be fetched, how much of it, and how long it may take. Collections may be given parted by commas."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    ports: frozenset[Port] = frozenset({80, 443})
    """Ports that are connected to: those of the web, so that a URL cannot speak to a mail server or a database."""
    allowed_hosts: frozenset[str] = frozenset()
    """Names that may have any address: servers of an intranet. Strangers' URLs then reach all that these serve."""
    allowed_networks: tuple[Network, ...] = ()
    """Networks that may be connected to although the internet does not reach them; the same holds of them."""
    denied_networks: tuple[Network, ...] = ()
    """Networks that the internet reaches but a URL must not: public addresses of one's own platform."""
    ca_file: FilePath | None = None
    """Certificates (PEM) of authorities trusted besides the public ones: that of an intranet."""
    user_agent: str = "TimeSide/2"
    """What servers see; some ask for a way to reach the operator."""

    max_connections: Annotated[int, Field(ge=1, le=1024)] = 16
    """Fetches at a time: each holds a socket, and a thread while its name is looked up."""
    max_redirects: Annotated[int, Field(ge=0, le=20)] = 5
    """Redirects that are followed: real ones are one to three."""
    max_url_chars: Annotated[int, Field(ge=64, le=65_536)] = 8000
    """Longest URL: what RFC 9110 asks of servers; signed URLs have some 2,000."""
    max_header_bytes: Annotated[int, Field(ge=1024, le=100 << 10)] = 32 << 10
    """Names and values of an answer's headers; real ones have 1 to 8 KiB. Beyond 100 KiB none is read."""
    max_bytes: Annotated[int, Field(gt=0, le=1 << 40)] | None = 4 << 30
    """Bytes of one body: two hours of stereo, 24 bits, 96 kHz, are 4.1 GB. None for live sources only."""
    max_items: Annotated[int, Field(ge=1)] = 1000
    """Items that one URL may stand for: a long playlist."""

    wait_s: Seconds = 60.0
    """How long a fetch waits until others have ended; its own time begins then."""
    connect_s: Seconds = 10.0
    """Limit of one connection attempt, TLS apart; a name may have several addresses."""
    head_s: Seconds = 30.0
    """From looking up the name to the end of the answer's headers, of each redirect."""
    read_s: Seconds = 30.0
    """A server silent for so long is gone."""
    total_s: Seconds | None = 3600.0
    """From the first request to the last byte. None for live sources only."""
    least_bytes_per_s: Annotated[int, Field(ge=0)] = 1024
    """Slowest mean rate of a body: below live speech (1 kB/s), above a server that holds connections on purpose."""
    least_after_s: Seconds = 30.0
    """Time spent waiting for bytes after which that rate is asked for."""
    resolve_s: Seconds = 60.0
    """How long a provider may take to say what a URL stands for."""

    @field_validator("ports", "allowed_hosts", "allowed_networks", "denied_networks", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_hosts")
    @classmethod
    def _lower(cls, hosts: frozenset[str]) -> frozenset[str]:
        return frozenset(host.lower() for host in hosts)


LIVE_FETCH = FetchSettings(ports=frozenset({80, 443, 8000}), max_bytes=None, total_s=None)
"""A stream has neither length nor end; 8000 is the port of Icecast."""


def live_fetch(ports: str, networks: str) -> FetchSettings:
    """The same with other ports and networks, parted by commas, where they are given; raises `ParameterError`."""
    given = {"ports": ports, "allowed_networks": networks}
    try:
        known = FetchSettings.model_validate({name: value for name, value in given.items() if value})
    except ValidationError as error:
        raise ParameterError(f"TIMESIDE_LIVE_PORTS, TIMESIDE_LIVE_NETWORKS: {error.errors()[0]['msg']}") from None
    return LIVE_FETCH.model_copy(update={name: getattr(known, name) for name, value in given.items() if value})
