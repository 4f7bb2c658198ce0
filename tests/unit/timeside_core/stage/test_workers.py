"""Decoder and analyzer as workers with children, over the memory bus."""

from pathlib import Path

import pytest
from tests.support.stages import (
    Collected,
    all_done,
    kept,
    memory_bus,
    processors,
    recording,
    same,
    send,
    stored,
    working,
)

from timeside.conveyor import command
from timeside_analyzer.stage import STAGE as ANALYZER
from timeside_core import topics
from timeside_core.stage.settings import StageSettings
from timeside_core.store import Store
from timeside_decoder.file import FileDecoder
from timeside_decoder.stage import STAGE as DECODER


@pytest.fixture
def settings(tmp_path: Path) -> StageSettings:
    return StageSettings(store_url=(tmp_path / "store").as_uri(), scratch=tmp_path, children=1, drain_s=5)


async def test_interleaved_runs_equal_runs_in_one_process(tmp_path: Path, settings: StageSettings) -> None:
    store = Store(settings.store)
    wanted = processors("level", "spectral_centroid")
    paths = [recording(tmp_path / f"{seed}.wav", seed=seed) for seed in range(4)]
    commands = [command(kept(store, path), wanted) for path in paths]
    async with (
        memory_bus() as bus,
        Collected(bus, topics.RESULT) as results,
        working(bus, [DECODER, ANALYZER], settings),
    ):
        for each in commands:
            await send(bus, each)
        await results.until(all_done(commands))
    for path, each in zip(paths, commands, strict=True):
        for processor, done in zip(wanted, results.done(each.run.run_id), strict=True):
            same(stored(store, done), (FileDecoder(path) | processor).run())
