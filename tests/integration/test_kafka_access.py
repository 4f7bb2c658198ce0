"""A broker with TLS, passwords, certificates, ACLs: who has what it asks for gets all, others hear soon why not."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support import kafka, services
from tests.support.plans import command
from tests.support.stages import PCM, Collected, all_done, blocks, kept, processors, recording, same, stored
from typer.testing import CliRunner

from timeside.cli.__main__ import app
from timeside_core import topics
from timeside_core.bus import BusSettings, KafkaAccess, Partition, Topic
from timeside_core.bus.kafka import KafkaAdmin, KafkaBus
from timeside_core.errors import BusAccessError, BusError
from timeside_core.messages import encode
from timeside_core.settings import from_environment
from timeside_core.store import Store
from timeside_decoder.file import FileDecoder

pytestmark = pytest.mark.integration

SETTINGS = BusSettings(session_s=6, retry_s=0.05)
SOON_S = 10.0
"""Of the 60 s that a start waits for a broker that is away."""


@pytest.fixture(scope="module")
def guarded() -> Iterator[kafka.Guarded]:
    with kafka.running(guarded=True) as broker:
        assert broker.guarded is not None
        yield broker.guarded


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """aiokafka waits for no end of the connection that it asks for brokers; TLS ends with a round trip."""
    yield
    await asyncio.sleep(0.2)


def access(settings: dict[str, str], **other: str) -> KafkaAccess:
    changed = settings | {f"KAFKA_{name.upper()}": value for name, value in other.items()}
    return from_environment(KafkaAccess, variables({name: value for name, value in changed.items() if value}))


def variables(settings: dict[str, str]) -> dict[str, str]:
    return {f"TIMESIDE_{name}": value for name, value in settings.items()}


def timeside(guarded: kafka.Guarded, *words: str) -> None:
    """A command, which must do what it should."""
    address, settings = guarded.by_password
    done = CliRunner().invoke(app, [*words, "--kafka", address], env=variables(settings))
    assert done.exit_code == 0, done.output


def listener(guarded: kafka.Guarded, name: str) -> tuple[str, dict[str, str]]:
    return guarded.by_certificate if name == "certificate" else guarded.by_password


@pytest.mark.parametrize(
    ("name", "mechanism"),
    [
        ("password", "SCRAM-SHA-512"),
        ("password", "SCRAM-SHA-256"),
        ("password", "PLAIN"),
        ("certificate", "SCRAM-SHA-512"),
    ],
)
async def test_who_is_let_in_gets_all(guarded: kafka.Guarded, name: str, mechanism: str) -> None:
    """Topics, a producer, a reader, a group, what it has committed, seen from outside."""
    address, settings = listener(guarded, name)
    let_in = access(settings, mechanism=mechanism)
    topic = Topic(name=f"ts.{name}.{mechanism}", partitions=1)
    partition = Partition(topic.name, 0)
    assert len((await topics.apply(address, [topic], access=let_in)).of("made")) == 1
    async with KafkaBus(address, topics=[topic.name], settings=SETTINGS, access=let_in) as bus:
        await (await bus.send(topic.name, b"\x00" * 512_000, key=b"k"))
        async with bus.reader() as reader:
            await reader.assign({partition: "first"})
            assert len((await reader.getmany(timeout_s=SOON_S))[partition]) == 1
        async with bus.consumer(topic.name, group=topic.name) as consumer:
            (record,) = (await consumer.getmany(timeout_s=SOON_S))[partition]
            await consumer.commit({partition: record.offset + 1})
        assert await bus.committed(topic.name, [partition]) == {partition: 1}
        await bus.trim({partition: 1})
        assert (await bus.bounds([partition]))[partition].first == 1


async def test_topics_of_others_are_closed(guarded: kafka.Guarded) -> None:
    address, settings = guarded.by_password
    with pytest.raises(BusError, match="making 'others': Authorization failed"):
        await topics.apply(address, [Topic(name="others", partitions=1)], access=access(settings))


@pytest.mark.parametrize(
    ("name", "other", "told"),
    [
        ("password", {"password": "guessed"}, "does not accept this username with this password"),
        ("password", {"password": "guessed", "mechanism": "PLAIN"}, "does not accept this username with this password"),
        ("password", {"username": "nobody"}, "does not accept this username with this password"),
        ("password", {"ca": "other.pem"}, "is not trusted: unable to get local issuer certificate"),
        ("password", {"ca": ""}, "is not trusted: unable to get local issuer certificate"),
        ("certificate", {"certificate": "", "key": ""}, "refuses TLS as it is spoken here"),
    ],
    ids=["password", "plain password", "username", "authority", "authority of the system", "no certificate"],
)
async def test_who_is_not_let_in_is_told_soon(
    guarded: kafka.Guarded, name: str, other: dict[str, str], told: str
) -> None:
    address, settings = listener(guarded, name)
    other = {key: str(guarded.folder / value) if value.endswith(".pem") else value for key, value in other.items()}
    shut_out = access(settings, **other)
    began = time.monotonic()
    for open_ in (KafkaBus(address, access=shut_out), KafkaAdmin(address, access=shut_out)):
        with pytest.raises(BusAccessError, match=told) as refusal:
            await open_.__aenter__()
        assert address in str(refusal.value)
        assert settings.get("KAFKA_PASSWORD", "guessed") not in str(refusal.value)
    assert time.monotonic() - began < SOON_S


async def test_a_certificate_is_of_the_name_that_a_broker_is_reached_by(guarded: kafka.Guarded) -> None:
    address, settings = guarded.by_password
    elsewhere = address.replace("127.0.0.1", "localhost")
    with pytest.raises(BusAccessError, match="is not trusted: Hostname mismatch"):
        await KafkaBus(elsewhere, access=access(settings)).start()


async def test_a_service_does_its_work_behind_both(tmp_path: Path, guarded: kafka.Guarded) -> None:
    """Topics by the command line, an analyzer with its password from a file."""
    address, settings = guarded.by_password
    await asyncio.to_thread(timeside, guarded, "topics", "apply", "--max-partitions", "1")
    store = Store((tmp_path / "store").as_uri())
    path = recording(tmp_path / "a.wav")
    (level,) = processors("level")
    (tmp_path / "password").write_text(settings.pop("KAFKA_PASSWORD") + "\n")
    settings["KAFKA_PASSWORD_FILE"] = str(tmp_path / "password")
    asked = command(kept(store, path), [level])
    async with (
        KafkaBus(address, settings=SETTINGS, access=access(settings)) as bus,
        Collected(bus, topics.RESULT) as results,
    ):
        with services.running(tmp_path, address, "analyzer", **settings):
            for block in blocks(asked, path):
                await bus.publish(PCM, encode(block), key=block.run_id.bytes)
            await results.until(all_done([asked]))
    (done,) = results.done(asked.run.run_id)
    same(stored(store, done), (FileDecoder(path) | level).run())
    await asyncio.to_thread(timeside, guarded, "letters", "list")


async def test_the_platform_does_its_work_behind_both(
    tmp_path: Path, guarded: kafka.Guarded, database_url: str
) -> None:
    address, settings = guarded.by_password
    await asyncio.to_thread(timeside, guarded, "topics", "apply", "--max-partitions", "1")
    environ = services.environ(tmp_path, address) | variables(settings | {"DATABASE_URL": database_url})
    platform = services.Service("api", environ, tmp_path / "log", ("--role", "dispatcher,recorder"))
    platform.start()
    await asyncio.to_thread(platform.wait_ready)
    assert await asyncio.to_thread(platform.stop) == 0


def test_a_service_that_is_not_let_in_ends(tmp_path: Path, guarded: kafka.Guarded) -> None:
    address, settings = guarded.by_password
    environ = services.environ(tmp_path, address) | variables(settings | {"KAFKA_PASSWORD": "guessed"})
    service = services.Service("analyzer", environ, tmp_path / "log")
    service.start()
    assert service.wait() == 1
    log = service.log.read_text()
    assert "does not accept this username with this password" in log
    assert "guessed" not in log
    assert "Traceback" not in log
