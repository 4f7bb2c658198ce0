"""No URL, however it is written and wherever it redirects, reaches what the internet does not."""

import ipaddress
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import http

from timeside_core.errors import FetchError
from timeside_core.fetch import Fetcher, FetchSettings
from timeside_core.fetch.addresses import address_refusal
from timeside_core.fetch.connect import GuardedBackend, RefusalError
from timeside_core.fetch.urls import literal, shown, vetted_url

HOSTILE = [
    # schemes
    ("ftp://127.0.0.1:{port}/", "http:// or https://"),
    ("gopher://127.0.0.1:{port}/_GET%20/", "http:// or https://"),
    ("file:///etc/passwd", "http:// or https://"),
    ("file://127.0.0.1:{port}/etc/passwd", "http:// or https://"),
    ("dict://127.0.0.1:{port}/info", "http:// or https://"),
    ("ws://127.0.0.1:{port}/", "http:// or https://"),
    ("jar:http://127.0.0.1:{port}/!/", "http:// or https://"),
    ("data:audio/wav;base64,UklGRg==", "http:// or https://"),
    ("//127.0.0.1:{port}/", "http:// or https://"),
    ("127.0.0.1:{port}/", "http:// or https://"),
    ("http:127.0.0.1:{port}/", "http:// or https://"),
    ("http:/127.0.0.1:{port}/", "http:// or https://"),
    ("http:///127.0.0.1:{port}/", "http:// or https://"),
    (" http://127.0.0.1:{port}/", "http:// or https://"),
    ("url:http://127.0.0.1:{port}/", "http:// or https://"),
    # ports
    ("http://music.org:22/", "port 22"),
    ("http://music.org:6379/", "port 6379"),
    ("http://music.org:0/", "port 0"),
    ("http://music.org:99999/", "port 99999"),
    ("http://music.org:-80/", "port -80"),
    ("http://music.org:80:{port}/", "not a URL"),
    ("http://music.org:+{port}a/", "not a URL"),
    # IPv4 that the internet does not reach
    ("http://127.0.0.1:{port}/", "loopback"),
    ("https://127.0.0.1:{port}/", "loopback"),
    ("http://127.255.255.254:{port}/", "loopback"),
    ("http://0.0.0.0:{port}/", "this network"),
    ("http://0.1.2.3:{port}/", "this network"),
    ("http://10.0.0.1:{port}/", "private"),
    ("http://172.16.0.1:{port}/", "private"),
    ("http://172.31.255.255:{port}/", "private"),
    ("http://192.168.1.1:{port}/", "private"),
    ("http://100.64.0.1:{port}/", "carrier"),
    ("http://100.100.100.200:{port}/latest/meta-data/", "carrier"),
    ("http://169.254.1.1:{port}/", "link-local"),
    ("http://169.254.169.254:{port}/latest/meta-data/", "link-local"),
    ("http://169.254.170.2:{port}/v2/credentials", "link-local"),
    ("http://168.63.129.16:{port}/", "metadata"),
    ("http://192.0.0.192:{port}/", "protocol"),
    ("http://192.0.2.1:{port}/", "documentation"),
    ("http://198.51.100.1:{port}/", "documentation"),
    ("http://203.0.113.1:{port}/", "documentation"),
    ("http://198.18.0.1:{port}/", "benchmarks"),
    ("http://192.88.99.1:{port}/", "6to4"),
    ("http://224.0.0.1:{port}/", "multicast"),
    ("http://240.0.0.1:{port}/", "reserved"),
    ("http://255.255.255.255:{port}/", "broadcast"),
    # other spellings of 127.0.0.1
    ("http://2130706433:{port}/", "is a number"),
    ("http://0x7f000001:{port}/", "is a number"),
    ("http://0x7f.0.0.1:{port}/", "is a number"),
    ("http://0X7F.0x0.0x0.0x1:{port}/", "is a number"),
    ("http://017700000001:{port}/", "is a number"),
    ("http://0177.0.0.1:{port}/", "not a URL"),
    ("http://127.0.0.01:{port}/", "not a URL"),
    ("http://127.1:{port}/", "is a number"),
    ("http://127.0.1:{port}/", "is a number"),
    ("http://127.0.0.1.:{port}/", "neither a name"),
    ("http://127.0.0.0x1:{port}/", "is a number"),
    ("http://256.256.256.256:{port}/", "not a URL"),
    ("http://1.2.3.4.5:{port}/", "is a number"),
    ("http://%31%32%37.0.0.1:{port}/", "neither a name"),
    ("http://127。0。0。1:{port}/", "loopback"),
    ("http://127．0．0．1:{port}/", "loopback"),
    ("http://１２７.0.0.1:{port}/", "not a URL"),
    ("http://①②⑦.⓪.⓪.①:{port}/", "not a URL"),
    # IPv6
    ("http://[::1]:{port}/", "loopback"),
    ("http://[0:0:0:0:0:0:0:1]:{port}/", "loopback"),
    ("http://[::]:{port}/", "unspecified"),
    ("http://[::ffff:127.0.0.1]:{port}/", "IPv4-mapped"),
    ("http://[::ffff:7f00:1]:{port}/", "IPv4-mapped"),
    ("http://[::ffff:8.8.8.8]:{port}/", "IPv4-mapped"),
    ("http://[::127.0.0.1]:{port}/", "IPv4-compatible"),
    ("http://[::ffff:0:127.0.0.1]:{port}/", "IPv4-translated"),
    ("http://[64:ff9b::7f00:1]:{port}/", "NAT64"),
    ("http://[64:ff9b:1::7f00:1]:{port}/", "NAT64"),
    ("http://[2002:7f00:1::]:{port}/", "6to4"),
    ("http://[2001:0:53aa:64c:0:0:80ff:fffe]:{port}/", "Teredo"),
    ("http://[2001:10::1]:{port}/", "protocol"),
    ("http://[2001:db8::1]:{port}/", "documentation"),
    ("http://[3fff::1]:{port}/", "documentation"),
    ("http://[100::1]:{port}/", "outside 2000::/3"),
    ("http://[fc00::1]:{port}/", "private"),
    ("http://[fd00:ec2::254]:{port}/latest/meta-data/", "private"),
    ("http://[fe80::1]:{port}/", "link-local"),
    ("http://[fec0::1]:{port}/", "site-local"),
    ("http://[ff02::1]:{port}/", "multicast"),
    ("http://[::1%25lo]:{port}/", "zone"),
    ("http://[::1%lo]:{port}/", "zone"),
    ("http://[fe80::1%25eth0]:{port}/", "zone"),
    ("http://[v1.::1]:{port}/", "not a URL"),
    ("http://[::1:{port}/", "not a URL"),
    ("http://::1:{port}/", "not a URL"),
    # names
    ("http://localhost:{port}/", "local network"),
    ("http://LOCALHOST:{port}/", "local network"),
    ("http://a.localhost:{port}/", "local network"),
    ("http://localhost.localdomain:{port}/", "local network"),
    ("http://localhost.:{port}/", "neither a name"),
    ("http://ⓛocalhost:{port}/", "not a URL"),
    ("http://loc\u200balhost:{port}/", "not a URL"),
    ("http://loc\u00adalhost:{port}/", "not a URL"),
    ("http://printer.local:{port}/", "local network"),
    ("http://metadata.google.internal:{port}/", "local network"),
    ("http://router.home.arpa:{port}/", "local network"),
    ("http://postgres:{port}/", "local network"),
    ("http://api.default.svc.cluster.local:{port}/", "local network"),
    ("http://127.0.0.1.nip.io:{port}/", "loopback"),
    ("http://music.org.:{port}/", "neither a name"),
    ("http://music..org:{port}/", "neither a name"),
    ("http://.music.org:{port}/", "neither a name"),
    ("http://-music.org:{port}/", "neither a name"),
    ("http://music_%2eorg:{port}/", "neither a name"),
    ("http://music*.org:{port}/", "neither a name"),
    ("http://mu sic.org:{port}/", "neither a name"),
    ("http://" + "a" * 64 + ".org:{port}/", "neither a name"),
    ("http://" + "a." * 130 + "org:{port}/", "neither a name"),
    ("http://:{port}/", "neither a name"),
    ("http://?@127.0.0.1:{port}/", "http:// or https://"),
    ("http://#@127.0.0.1:{port}/", "http:// or https://"),
    # credentials, and what passes for them
    ("http://user:secret@127.0.0.1:{port}/", "credentials"),
    ("http://music.org@127.0.0.1:{port}/", "credentials"),
    ("http://music.org:80@127.0.0.1:{port}/", "credentials"),
    ("http://@127.0.0.1:{port}/", "credentials"),
    ("http://music.org%2f@127.0.0.1:{port}/", "credentials"),
    ("http://a@music.org@127.0.0.1:{port}/", "credentials"),
    ("http://127.0.0.1:{port}#@music.org/", "loopback"),
    ("http://127.0.0.1:{port}?@music.org/", "loopback"),
    ("http://127.0.0.1:{port}/@music.org/", "loopback"),
    # backslashes, controls, lengths
    ("http://127.0.0.1:{port}\\@music.org/", "backslash"),
    ("http:\\\\127.0.0.1:{port}\\", "backslash"),
    ("http://music.org\\.127.0.0.1:{port}/", "backslash"),
    ("http://127.0.0.1:{port}/\r\nHost: music.org", "control character"),
    ("http://music.org:{port}/ HTTP/1.1\r\nX: y", "control character"),
    ("http://127.0.0.1\t:{port}/", "control character"),
    ("http://127.0.0.1\x00.music.org:{port}/", "control character"),
    ("ht\ntp://127.0.0.1:{port}/", "control character"),
    ("http://127.0.0.1:{port}/\x85", "control character"),
    ("http://music.org:{port}/\ud800", "not a URL"),
    ("http://127.0.0.1:{port}/" + "a" * 8000, "8000 are allowed"),
    ("", "http:// or https://"),
    # names whose address is not what they seem (the resolver answers all of them with loopback)
    ("http://music.org:{port}/", "loopback"),
    ("https://music.org:{port}/", "loopback"),
    ("http://xn--mnchen-3ya.de:{port}/", "loopback"),
    ("http://münchen.de:{port}/", "loopback"),
    ("http://m\N{CYRILLIC SMALL LETTER U}sic.org:{port}/", "loopback"),
]
"""URLs, and the rule that refuses each; `{port}` is that of a listener, which the settings allow."""

LITERALS = {template.split("//")[-1].split(":{port}")[0].strip("[]") for template, _ in HOSTILE}
UNREACHABLE = [*sorted(host for host in LITERALS if literal(host) is not None), "fe80::1%2"]


async def anything_is_loopback(host: str) -> list[str]:
    """The most hostile resolver."""
    return ["127.0.0.1", "::1"]


async def test_no_hostile_url_reaches_a_listener():
    assert len(HOSTILE) >= 60
    async with AsyncExitStack() as stack:
        listener = await stack.enter_async_context(http.serving(http.body(b"reached"), "127.0.0.1", "::1"))
        settings = FetchSettings(ports=frozenset({80, 443, listener.port}))
        fetcher = await stack.enter_async_context(Fetcher(settings, resolve=anything_is_loopback))
        for template, rule in HOSTILE:
            with pytest.raises(FetchError) as caught:
                await fetcher.read(template.replace("{port}", str(listener.port)))
            assert (caught.value.kind, rule in str(caught.value)) == ("refused", True), (template, str(caught.value))
        assert listener.connections == 0

        open_settings = FetchSettings(ports=settings.ports, allowed_networks=("127.0.0.1/32", "::1/128"))
        allowed = await stack.enter_async_context(Fetcher(open_settings, resolve=anything_is_loopback))
        for host in ("127.0.0.1", "[::1]", "music.org"):
            assert await allowed.read(listener.url(host=host)) == b"reached"
        assert listener.connections == 3


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.0.0.1", "localhost", "2130706433", "music.org"])
async def test_connections_are_vetted_whoever_asks_for_them(host):
    async with http.serving(http.body(b"reached")) as listener:
        backend = GuardedBackend(FetchSettings(ports=frozenset({listener.port})), anything_is_loopback)
        with pytest.raises(RefusalError):
            await backend.connect_tcp(host, listener.port)
        with pytest.raises(RefusalError, match="port 22"):
            await backend.connect_tcp("8.8.8.8", 22)
    assert listener.connections == 0


@pytest.mark.parametrize("address", UNREACHABLE)
async def test_a_name_of_an_unreachable_address_is_refused(address):
    async def resolve(host):
        return [address]

    async with Fetcher(FetchSettings(), resolve=resolve) as fetcher:
        with pytest.raises(FetchError, match=r"host 'music\.org' has an address that is") as caught:
            await fetcher.read("https://music.org/")
    assert caught.value.kind == "refused"


async def test_a_refusal_does_not_tell_an_inner_address():
    async def resolve(host):
        return ["10.1.2.3"]

    async with Fetcher(FetchSettings(), resolve=resolve) as fetcher:
        with pytest.raises(FetchError, match="private") as caught:
            await fetcher.read("https://music.org/")
    assert "10.1.2.3" not in str(caught.value)


async def test_a_name_that_has_no_address_is_unreachable():
    async def resolve(host):
        raise OSError("no such name")

    async with Fetcher(FetchSettings(), resolve=resolve) as fetcher:
        with pytest.raises(FetchError, match="no such name") as caught:
            await fetcher.read("https://music.org/")
    assert caught.value.kind == "unreachable"


async def test_a_name_is_looked_up_once_for_each_connection_and_vetted_each_time():
    """Rebinding: of what the name answers first nothing is reached but that, and its second answer is refused."""
    answers = [["127.0.0.2"], ["127.0.0.1"]]

    async def resolve(host):
        return answers.pop(0)

    async with (
        http.serving(http.redirect(lambda path: "/again"), "127.0.0.2") as public,
        http.serving(http.body(b"inner"), "127.0.0.1", port=public.port) as inner,
    ):
        settings = FetchSettings(ports=frozenset({public.port}), allowed_networks=("127.0.0.2/32",))
        async with Fetcher(settings, resolve=resolve) as fetcher:
            with pytest.raises(FetchError, match="loopback") as caught:
                await fetcher.read(public.url(host="rebind.org"))
    assert caught.value.kind == "refused"
    assert (public.connections, inner.connections, answers) == (1, 0, [])


async def test_of_several_addresses_only_vetted_ones_are_connected_to():
    async def resolve(host):
        return ["127.0.0.1", "10.0.0.1", "127.0.0.2"]

    async with (
        http.serving(http.body(b"public"), "127.0.0.2") as public,
        http.serving(http.body(b"inner"), "127.0.0.1", port=public.port) as inner,
    ):
        settings = FetchSettings(ports=frozenset({public.port}), allowed_networks=("127.0.0.2/32",))
        async with Fetcher(settings, resolve=resolve) as fetcher:
            assert await fetcher.read(public.url(host="mixed.org")) == b"public"
    assert (public.connections, inner.connections) == (1, 0)


@pytest.mark.parametrize(
    ("location", "rule"),
    [
        ("http://127.0.0.1:{port}/", "loopback"),
        ("//127.0.0.1:{port}/", "loopback"),
        ("http://169.254.169.254:{port}/latest/meta-data/", "link-local"),
        ("http://localhost:{port}/", "local network"),
        ("http://[::ffff:127.0.0.1]:{port}/", "IPv4-mapped"),
        ("http://2130706433:{port}/", "is a number"),
        ("http://inner.org:{port}/", "loopback"),
        ("http://user:secret@127.0.0.1:{port}/", "credentials"),
        ("http://127.0.0.2:22/", "port 22"),
        ("file:///etc/passwd", "http:// or https://"),
        ("gopher://127.0.0.1:{port}/", "http:// or https://"),
        ("http://[::1", "not a URL"),
        ("http:\\\\127.0.0.1:{port}\\", "backslash"),
    ],
)
async def test_redirects_are_vetted(location, rule):
    port = 0

    def where(path: str) -> str:
        return location.replace("{port}", str(port))

    async with (
        http.serving(http.redirect(where), "127.0.0.2") as public,
        http.serving(http.body(b"inner"), "127.0.0.1", port=public.port) as inner,
    ):
        port = public.port
        settings = FetchSettings(ports=frozenset({port}), allowed_networks=("127.0.0.2/32",))
        async with Fetcher(settings, resolve=anything_is_loopback) as fetcher:
            with pytest.raises(FetchError) as caught:
                await fetcher.read(public.url(host="127.0.0.2"))
    assert caught.value.kind == "refused"
    assert rule in str(caught.value)
    assert "secret" not in str(caught.value)
    assert (public.connections, inner.connections) == (1, 0)


async def test_no_proxy_is_asked(monkeypatch):
    async with http.serving(http.body(b"direct")) as server, http.serving(http.body(b"proxy")) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        settings = FetchSettings(ports=frozenset({server.port}), allowed_networks=("127.0.0.1/32",))
        async with Fetcher(settings) as fetcher:
            assert await fetcher.read(server.url()) == b"direct"
    assert proxy.connections == 0


async def test_allowed_hosts_may_have_any_address_and_name():
    async with http.serving(http.body(b"inner")) as server:
        settings = FetchSettings(ports=frozenset({server.port}), allowed_hosts=frozenset({"Media"}))
        async with Fetcher(settings, resolve=anything_is_loopback) as fetcher:
            assert await fetcher.read(server.url(host="media")) == b"inner"
            with pytest.raises(FetchError, match="local network"):
                await fetcher.read(server.url(host="other"))


def test_networks_may_be_denied():
    settings = FetchSettings(denied_networks="8.8.8.0/24, 2606:4700::/32")
    for host in ("8.8.8.8", "[2606:4700::1111]"):
        with pytest.raises(FetchError, match="settings deny"):
            vetted_url(f"https://{host}/", settings)
    vetted_url("https://8.8.4.4/", settings)


@given(st.ip_addresses())
def test_an_address_that_is_not_global_is_refused(address):
    if address_refusal(address, FetchSettings()) is None:
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "93.184.215.14", "223.255.255.255", "2606:4700::1111"])
def test_addresses_of_the_internet_are_allowed(address):
    assert address_refusal(ipaddress.ip_address(address), FetchSettings()) is None


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("HTTP://Music.ORG", "http://music.org"),
        ("https://music.org:443/a.mp3#t=10", "https://music.org/a.mp3"),
        ("http://music.org:/été à/x.mp3?q=ü", "http://music.org/%C3%A9t%C3%A9%20%C3%A0/x.mp3?q=%C3%BC"),
        ("http://music.org/a/../../b%2F", "http://music.org/b%2F"),
        ("http://münchen.de/", "http://xn--mnchen-3ya.de/"),
        ("http://my_files.3com.com/", "http://my_files.3com.com/"),
        ("http://8.8.8.8/?u=http://a@b/", "http://8.8.8.8/?u=http://a@b/"),
        ("http://[2606:4700:0::1111]/", "http://[2606:4700:0::1111]/"),
    ],
)
def test_sound_urls_are_accepted_in_their_normal_form(text, normal):
    assert str(vetted_url(text, FetchSettings())) == normal


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://u:pw@h/a?token=pw&x=&pw#pw", "'https://***@h/a?token=***&x=&***'"),
        ("https:\\\\u:pw@h/", "'https:\\\\\\\\***@h/'"),
        ("u:pw@h/", "'u:***@h/'"),
        ("http://u:p/w?@x#y@h/?a=b", "'http://***@h/?a=***'"),
        ("http://h:80/@name", "'http://h:80/@name'"),
        ("http://[::1]:80/@name?a@b", "'http://[::1]:80/@name?***'"),
        ("http:/u:p@w@h/", "'http:/***@h/'"),
        ("http://h/a\r\nLog: line", "'http://h/a\\r\\nLog: line'"),
        ("http://h/" + "a" * 500, f"'http://h/{'a' * 191}…'"),
    ],
)
def test_urls_are_shown_without_their_secrets(url, expected):
    assert shown(url) == expected
