"""Which addresses a URL may lead to: those that the internet reaches, and those that the settings name.

The tables are the IANA IPv4 and IPv6 Special-Purpose Address Registries, the multicast ranges and the metadata
services of clouds. They are our own because what `ipaddress` calls global differs between releases of Python.
"""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

from timeside_core.fetch.settings import FetchSettings, Network

Address: TypeAlias = IPv4Address | IPv6Address

_IPV4: Mapping[str, str] = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared by a carrier's customers",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "a cloud's metadata service",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "for protocol assignments",
    "192.0.2.0/24": "for documentation",
    "192.88.99.0/24": "a 6to4 relay",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "for benchmarks",
    "198.51.100.0/24": "for documentation",
    "203.0.113.0/24": "for documentation",
    "224.0.0.0/4": "multicast",
    "255.255.255.255/32": "broadcast",
    "240.0.0.0/4": "reserved",
}
_IPV6: Mapping[str, str] = {
    "::/128": "unspecified",
    "::1/128": "loopback",
    "::/96": "IPv4-compatible",
    "::ffff:0:0/96": "IPv4-mapped",
    "::ffff:0:0:0/96": "IPv4-translated",
    "64:ff9b::/96": "IPv4 behind NAT64",
    "64:ff9b:1::/48": "IPv4 behind NAT64",
    "2001::/32": "IPv4 behind Teredo",
    "2001::/23": "for protocol assignments",
    "2001:db8::/32": "for documentation",
    "2002::/16": "IPv4 behind 6to4",
    "3fff::/20": "for documentation",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
_REFUSED_IPV4 = {IPv4Network(network): what for network, what in _IPV4.items()}
_REFUSED_IPV6 = {IPv6Network(network): what for network, what in _IPV6.items()}
_GLOBAL_UNICAST = IPv6Network("2000::/3")


def address_refusal(address: Address, settings: FetchSettings) -> str | None:
    """Why an address must not be connected to; None where it may be."""
    if _is_in(address, settings.allowed_networks):
        return None
    if _is_in(address, settings.denied_networks):
        return "of a network that the settings deny"
    if isinstance(address, IPv4Address):
        what = next((f"{what} ({network})" for network, what in _REFUSED_IPV4.items() if address in network), None)
    else:
        what = next((f"{what} ({network})" for network, what in _REFUSED_IPV6.items() if address in network), None)
        if what is None and address not in _GLOBAL_UNICAST:
            what = f"outside {_GLOBAL_UNICAST}, the global unicast addresses"
    if what is None and not address.is_global:  # a range that was set apart after the tables above were written
        what = "not globally reachable"
    return what


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
