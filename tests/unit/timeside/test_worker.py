"""The fused worker: all of a plan in one process tree, and nothing but commands and results outside."""

from pathlib import Path

from tests.support.plans import command
from tests.support.stages import Collected, kept, memory_bus, processors, recording, same, send, stored, working

from timeside.worker import STAGES, WorkerSettings, fused
from timeside_core import topics
from timeside_core.bus import Partition
from timeside_core.messages import Derived
from timeside_core.store import Store
from timeside_decoder.file import FileDecoder


async def test_one_worker_does_all_of_a_run(tmp_path: Path) -> None:
    settings = WorkerSettings(store_url=(tmp_path / "store").as_uri(), scratch=tmp_path, children=1)
    store, path = Store(settings.store), recording(tmp_path / "a.wav")
    analyzers = processors("level", "spectral_centroid", "waveform_analyzer")
    others = processors("waveform_simple", "flac_encoder")
    decode = command(kept(store, path), [*analyzers, *others], lane="bulk", is_fused=True)
    async with memory_bus() as outer, Collected(outer, topics.RESULT) as results:
        bus = fused(outer, settings)
        async with working(bus, STAGES, settings):
            await send(bus, decode)
            messages = await results.until(lambda all: sum(each.kind in ("done", "derived") for each in all) == 5)
        pcm = [Partition(topics.pcm(pool, "bulk"), 0) for pool in topics.pools()]
        assert all(bounds.next == 0 for bounds in (await outer.bounds(pcm)).values())
    for processor, done in zip(analyzers, results.done(decode.run.run_id), strict=True):
        same(stored(store, done), (FileDecoder(path) | processor).run())
    derived = {each.mime_type: each.object for each in messages if isinstance(each, Derived)}
    assert store.objects.get(derived["image/png"]).startswith(b"\x89PNG")
    flac = tmp_path / "back.flac"
    flac.write_bytes(store.objects.get(derived["audio/flac"]))
    (level,) = processors("level")
    decoded, original = ((FileDecoder(each) | level).run() for each in (flac, path))
    assert [each.values for each in decoded] == [each.values for each in original]
