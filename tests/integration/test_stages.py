"""Services as processes over a real broker: equality with a run in one process, through kills, hangs and outages."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import buckets, conveyor, kafka, services
from tests.support.plans import command
from tests.support.stages import PCM, Collected, all_done, blocks, kept, processors, recording, same, send, stored

from timeside_core import topics
from timeside_core.bus import Bus, BusSettings
from timeside_core.bus.kafka import KafkaBus
from timeside_core.messages import Block, Decode, Facts, Failed, Lane, Progress, encode
from timeside_core.store import Store
from timeside_decoder.file import FileDecoder

pytestmark = pytest.mark.integration

SETTINGS = BusSettings(session_s=6, retry_s=0.05)
AWAY_S = 60.0
"""How long a broker is away: ten sessions."""


@pytest.fixture(scope="module")
def broker(kafka_broker: kafka.Broker) -> kafka.Broker:
    asyncio.run(_apply(kafka_broker.bootstrap))
    return kafka_broker


async def _apply(bootstrap: str) -> None:
    await topics.apply(bootstrap, topics.declared(max_partitions=2))


@pytest.fixture
async def bus(broker: kafka.Broker) -> AsyncIterator[Bus]:
    async with KafkaBus(broker.bootstrap, settings=SETTINGS) as bus:
        yield bus


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store((tmp_path / "store").as_uri())


@pytest.mark.parametrize("where", ["folder", "bucket"])
@pytest.mark.parametrize("lane", ["interactive", "bulk"])
async def test_what_is_asked_of_the_platform_equals_a_run_in_one_process(
    tmp_path: Path, broker: kafka.Broker, lane: Lane, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through dispatcher, four services (or one worker), recorder and PostgreSQL; media and results in either store."""
    path = recording(tmp_path / "a.wav")
    with buckets.serving() if where == "bucket" else contextlib.nullcontext() as config:
        for name, value in buckets.environ(config).items() if config else ():
            monkeypatch.setenv(name, value)
        url = f"s3://{buckets.NAME}/timeside" if config else ""
        found, _ = await conveyor.compared(path, tmp_path, broker.bootstrap, lane, url)
    assert not found


async def test_runs_survive_the_kill_of_an_analyzer(
    tmp_path: Path, broker: kafka.Broker, bus: Bus, store: Store
) -> None:
    """Runs interleaved in one partition; the analyzer is killed in the middle of all of them."""
    wanted = processors("level", "spectral_centroid")
    paths = [recording(tmp_path / f"{seed}.wav", seed=seed) for seed in range(3)]
    commands = [command(kept(store, path), wanted) for path in paths]
    interleaved = list(zip(*map(blocks, commands, paths), strict=True))
    async with Collected(bus, topics.RESULT, topics.PROGRESS) as results:
        with services.running(tmp_path, broker.bootstrap, "analyzer") as running:
            for block in [block for turn in interleaved[:3] for block in turn]:
                await _publish(bus, block)
            await results.until(_progress_of("analyzer"))
            running["analyzer"].kill()
            for block in [block for turn in interleaved[3:] for block in turn]:
                await _publish(bus, block)
            running["analyzer"].start()
            running["analyzer"].wait_ready()
            await results.until(all_done(commands))
    for path, each in zip(paths, commands, strict=True):
        for processor, done in zip(wanted, results.done(each.run.run_id), strict=True):
            same(stored(store, done), (FileDecoder(path) | processor).run())


async def test_analyzers_come_and_go_in_the_middle_of_runs(
    tmp_path: Path, broker: kafka.Broker, bus: Bus, store: Store
) -> None:
    """Runs on two partitions that are dealt out anew: one stays with its state, the other is replayed elsewhere."""
    (level,) = processors("level")
    paths = [recording(tmp_path / f"{seed}.wav", seed=seed) for seed in range(2)]
    commands = [command(kept(store, path), [level]) for path in paths]
    streams = list(map(blocks, commands, paths))
    async with Collected(bus, topics.RESULT, topics.PROGRESS) as results:
        with services.running(tmp_path, broker.bootstrap, "analyzer"):
            for number, stream in enumerate(streams):
                for block in stream[:3]:
                    await _publish(bus, block, partition=number)
            await results.until(lambda all: len({each.run_id for each in all if isinstance(each, Progress)}) == 2)
            with services.running(
                tmp_path, broker.bootstrap, "analyzer", logs=_folder(tmp_path / "second"), drain_s="1"
            ):
                await asyncio.sleep(2)  # for the group to settle; wherever it stands, nothing may be lost
                for number, stream in enumerate(streams):
                    for block in stream[3:-1]:
                        await _publish(bus, block, partition=number)
            for number, stream in enumerate(streams):
                await _publish(bus, stream[-1], partition=number)
            await results.until(all_done(commands))
    for path, each in zip(paths, commands, strict=True):
        same(stored(store, results.done(each.run.run_id)[0]), (FileDecoder(path) | level).run())


async def test_killed_children_cost_one_attempt(tmp_path: Path, broker: kafka.Broker, bus: Bus, store: Store) -> None:
    path = recording(tmp_path / "a.wav", samples=6_000_000)
    (level,) = processors("level")
    decode = command(kept(store, path), [level])
    async with Collected(bus, topics.RESULT, topics.PROGRESS) as results:
        with services.running(tmp_path, broker.bootstrap, "decoder", "analyzer") as running:
            for attempt, service in enumerate(("decoder", "analyzer"), start=1):
                await send(bus, _attempt(decode, attempt))
                await results.until(_progress_of(service, attempt))
                for pid in running[service].children():
                    os.kill(pid, signal.SIGKILL)
                messages = await results.until(_failures(attempt))
                (failed, *_) = (each for each in messages if isinstance(each, Failed) and each.attempt == attempt)
                assert (failed.stage, failed.code, failed.retriable) == (service, "crashed", True)
            await send(bus, _attempt(decode, 3))
            await results.until(all_done([decode]))
            assert {name: each.get("/livez")[0] for name, each in running.items()} == dict.fromkeys(running, 200)
    same(stored(store, results.done(decode.run.run_id)[0]), (FileDecoder(path) | level).run())


async def test_a_killed_decoder_is_followed_by_another(
    tmp_path: Path, broker: kafka.Broker, bus: Bus, store: Store
) -> None:
    path = recording(tmp_path / "a.wav", samples=6_000_000)
    (level,) = processors("level")
    decode = command(kept(store, path), [level])
    async with Collected(bus, topics.RESULT, topics.PROGRESS) as results:
        with services.running(tmp_path, broker.bootstrap, "decoder", "analyzer") as running:
            await send(bus, decode)
            await results.until(_progress_of("decoder"))
            running["decoder"].kill()
            running["decoder"].start()
            running["decoder"].wait_ready()
            assert not any(isinstance(each, Facts) and each.final for each in results.messages)
            await send(bus, _attempt(decode, 2))  # what the dispatcher does when the lease has run out
            await results.until(all_done([decode]))
    (done,) = results.done(decode.run.run_id)
    assert done.attempt == 2
    same(stored(store, done), (FileDecoder(path) | level).run())


async def test_a_broker_that_is_away_is_waited_for(
    tmp_path: Path, broker: kafka.Broker, bus: Bus, store: Store
) -> None:
    path = recording(tmp_path / "a.wav", samples=4_000_000)
    (level,) = processors("level")
    decode = command(kept(store, path), [level])
    async with Collected(bus, topics.RESULT, topics.PROGRESS) as results:
        with services.running(tmp_path, broker.bootstrap, "decoder", "analyzer"):
            await send(bus, decode)
            await results.until(_progress_of("decoder"))
            await asyncio.to_thread(broker.kill)
            await asyncio.sleep(AWAY_S)
            await asyncio.to_thread(broker.start)
            await results.until(all_done([decode]), within_s=180)
    same(stored(store, results.done(decode.run.run_id)[0]), (FileDecoder(path) | level).run())


async def test_a_full_disk_fails_the_attempt(tmp_path: Path, broker: kafka.Broker, bus: Bus, small_disk: Path) -> None:
    store = Store((small_disk / "store").as_uri())
    path = recording(tmp_path / "a.wav", samples=400_000)
    decode = command(kept(store, path), processors("spectral_centroid"))
    fill = small_disk / "fill"
    async with Collected(bus, topics.RESULT) as results:
        with services.running(small_disk, broker.bootstrap, "decoder", "analyzer", logs=tmp_path):
            _fill(fill)
            await send(bus, decode)
            messages = await results.until(lambda all: any(isinstance(each, Failed) for each in all))
            (failed,) = (each for each in messages if isinstance(each, Failed))
            assert (failed.processor, failed.code, failed.retriable) == (0, "store", True)
            fill.unlink()
            await send(bus, _attempt(decode, 2))
            await results.until(all_done([decode]))


def test_a_missing_topic_ends_the_service_with_its_name(tmp_path: Path, broker: kafka.Broker) -> None:
    environ = services.environ(tmp_path, broker.bootstrap) | {"TIMESIDE_POOL": "nobody"}
    service = services.Service("analyzer", environ, tmp_path / "log")
    service.start()
    assert service.process is not None
    assert service.process.wait(60) == 1
    assert "ts.pcm.nobody.interactive" in service.log.read_text()
    assert "Traceback" not in service.log.read_text()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode and os.geteuid():
        pytest.skip(f"mount(2) asks for CAP_SYS_ADMIN, which root has: {mounted.stderr.strip()}")
    assert not mounted.returncode, mounted.stderr
    yield folder
    subprocess.run(["umount", folder], check=True)


async def _publish(bus: Bus, block: Block, *, partition: int = 0) -> None:
    await bus.publish(PCM, encode(block), key=block.run_id.bytes, partition=partition)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def _attempt(decode: Decode, attempt: int) -> Decode:
    return Decode(run=decode.run.model_copy(update={"attempt": attempt}))


def _progress_of(stage: str, attempt: int = 1) -> Callable[[list[Any]], bool]:
    return lambda messages: any(
        isinstance(each, Progress) and each.stage == stage and each.attempt == attempt and each.samples_done > 0
        for each in messages
    )


def _failures(attempt: int) -> Callable[[list[Any]], bool]:
    return lambda messages: any(isinstance(each, Failed) and each.attempt == attempt for each in messages)
