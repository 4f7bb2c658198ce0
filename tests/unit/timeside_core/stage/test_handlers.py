"""Decoder and analyzer as lists of messages: what they write equals a run in one process, bit by bit."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.support.plans import command

from timeside_analyzer.stage import opener as analyzer_opener
from timeside_core import Mono, Processor, Results, Segment, get_processor, topics
from timeside_core.ids import uuid7
from timeside_core.messages import (
    Block,
    BlockForm,
    BlockKind,
    Closed,
    Decode,
    Derived,
    Done,
    Draw,
    EncodedChunk,
    Facts,
    Failed,
    Opened,
    PartialRows,
    ProcessorValue,
    SampleFormat,
    StoredMedia,
    decode,
    encode,
)
from timeside_core.stage.handler import Outgoing
from timeside_core.stage.settings import StageSettings
from timeside_core.store import Store
from timeside_decoder.file import FileDecoder
from timeside_decoder.stage import Decoding
from timeside_encoder.stage import opener as encoder_opener
from timeside_grapher.stage import draw_opener
from timeside_grapher.stage import opener as grapher_opener

PROCESSORS = ("mean_dc_shift", "level", "waveform_analyzer", "spectral_centroid", "aubio_silence", "onset_strength")


@pytest.fixture
def settings(tmp_path: Path) -> StageSettings:
    return StageSettings(store_url=(tmp_path / "store").as_uri(), scratch=tmp_path / "scratch")


@pytest.fixture
def store(settings: StageSettings) -> Store:
    return Store(settings.store)


def recording(path: Path, *, channels: int = 2, samplerate: int = 44_100, subtype: str = "PCM_16") -> Path:
    samples = np.random.default_rng(440).uniform(-0.5, 0.5, (100_003, channels))
    soundfile.write(path, samples, samplerate, subtype=subtype)
    return path


def processors(*ids: str) -> list[Processor]:
    return [get_processor(each)() for each in ids]


def kept(store: Store, path: Path) -> StoredMedia:
    sha256, size = store.put_media([path.read_bytes()])
    return StoredMedia(sha256=sha256, size=size)


def decoded(store: Store, decode_: Decode) -> list[Outgoing]:
    path = store.media_file(decode_.run.plan.source.sha256, Path("/nowhere"))
    return list(Decoding(path, 1 << 32).handle(decode_))


def blocks(outgoing: list[Outgoing], pool: str = "analyzer") -> list[Block]:
    topic = topics.pcm(pool, "interactive")
    return [decode(topic, encode(each.message)) for each in outgoing if each.topic == topic]


def analyzed(settings: StageSettings, stream: list[Block]) -> list[Outgoing]:
    handler = analyzer_opener(settings.model_dump(mode="json"), lambda *_: None)(stream[0], {})
    made = [outgoing for block in stream for outgoing in handler.handle(block)]
    assert handler.done
    handler.close()
    return made


def results(store: Store, made: list[Outgoing]) -> Iterator[tuple[int, Results]]:
    for each in made:
        if isinstance(each.message, Done):
            done = each.message
            stored = store.result(done.result.prefix, manifest_sha256=done.result.manifest_sha256)
            yield done.processor, stored.results()


def same(results: Results, reference: Results) -> None:
    assert results.ids() == reference.ids()
    for found, expected in zip(results, reference, strict=True):
        np.testing.assert_array_equal(found.values, expected.values, strict=True)
        np.testing.assert_array_equal(found.times, expected.times)
        np.testing.assert_array_equal(found.durations, expected.durations)
        assert found.provenance.digest == expected.provenance.digest
        assert found.provenance.media.sha256 == expected.provenance.media.sha256
        assert found.provenance.media.samples == expected.provenance.media.samples


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_U8", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 2])
def test_equals_a_run_in_one_process(
    tmp_path: Path, settings: StageSettings, store: Store, subtype: str, channels: int
) -> None:
    path = recording(tmp_path / "a.wav", subtype=subtype, channels=channels)
    wanted = [each for each in processors(*PROCESSORS) if each.id != "waveform_analyzer"]
    made = analyzed(settings, blocks(decoded(store, command(kept(store, path), wanted))))
    for index, found in results(store, made):
        same(found, (FileDecoder(path) | wanted[index]).run())
    assert sum(isinstance(each.message, Done) for each in made) == len(wanted)


def test_a_segment_with_an_effect_equals_a_run_in_one_process(
    tmp_path: Path, settings: StageSettings, store: Store
) -> None:
    path = recording(tmp_path / "a.flac")
    gain = get_processor("fx_gain").from_parameters({"gain": 0.5})
    level = get_processor("level")()
    segment = Segment(12_345, 54_321)
    made = analyzed(settings, blocks(decoded(store, command(kept(store, path), [gain, level], segment=segment))))
    reference = (FileDecoder(path, start=12_345 / 44_100, duration=54_321 / 44_100) | gain | level).run()
    ((_, found),) = results(store, made)
    same(found, reference)


def test_blocks_take_the_narrowest_form_of_the_plan(tmp_path: Path, store: Store) -> None:
    wanted = processors("level")
    for subtype, form, expected in (
        ("PCM_16", BlockForm(), (SampleFormat.S16, 2, 65_536)),
        ("PCM_24", BlockForm(), (SampleFormat.F32, 2, 65_536)),
        ("PCM_16", BlockForm(samples_as="f32"), (SampleFormat.F32, 2, 65_536)),
        ("PCM_16", BlockForm(mono=True), (SampleFormat.F32, 1, 65_536)),
        ("PCM_16", BlockForm(block_samples=4096), (SampleFormat.S16, 2, 4096)),
    ):
        media = kept(store, recording(tmp_path / f"{subtype}.wav", subtype=subtype))
        stream = blocks(decoded(store, command(media, wanted, forms={"analyzer": form})))
        assert [each.seq for each in stream] == list(range(len(stream)))
        assert [stream[0].kind, stream[-1].kind] == [BlockKind.START, BlockKind.END]
        assert (stream[1].sample_format, stream[1].channels, stream[1].samples) == expected
        assert sum(each.samples for each in stream) == 100_003


def test_mono_blocks_give_what_stereo_blocks_give(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    path = recording(tmp_path / "a.wav")
    wanted = processors("spectral_centroid")
    assert isinstance(wanted[0].input.source, Mono)
    stream = blocks(decoded(store, command(kept(store, path), wanted, forms={"analyzer": BlockForm(mono=True)})))
    ((_, found),) = results(store, analyzed(settings, stream))
    same(found, (FileDecoder(path) | wanted[0]).run())


def test_partial_rows_are_the_result(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    path = recording(tmp_path / "a.wav")
    wanted = processors("onset_strength")
    stream = blocks(decoded(store, command(kept(store, path), wanted)))
    made = analyzed(settings, stream)
    messages = [each.message for each in made if each.topic == topics.PARTIAL]
    rows = [each for each in messages if isinstance(each, PartialRows)]
    assert isinstance(messages[0], Opened)
    assert isinstance(messages[-1], Closed)
    assert [each.seq for each in rows] == list(range(len(rows)))
    assert messages[-1].messages == len(rows) <= len(stream)
    values = np.concatenate([each.rows.values for each in rows])
    reference = (FileDecoder(path) | wanted[0]).run()[0]
    np.testing.assert_array_equal(values, reference.values)


def test_one_bad_processor_fails_alone(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    path = recording(tmp_path / "a.wav")
    command_ = command(kept(store, path), processors("level", "mean_dc_shift"))
    plan = command_.run.plan
    bad = plan.processors[0].model_copy(update={"version": "0.0"})
    run = command_.run.model_copy(update={"plan": plan.model_copy(update={"processors": (bad, plan.processors[1])})})
    made = analyzed(settings, blocks(decoded(store, command_.model_copy(update={"run": run}))))
    failed = [each.message for each in made if isinstance(each.message, Failed)]
    assert [(each.processor, each.retriable) for each in failed] == [(0, False)]
    assert [index for index, _ in results(store, made)] == [1]


def test_damaged_media_fail_the_run(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF\x00\x00\x00\x00WAVE" + b"\x00" * 100)
    made = decoded(store, command(kept(store, path), processors("level")))
    (failed,) = (each.message for each in made)
    assert isinstance(failed, Failed)
    assert not failed.retriable
    assert str(path.parent) not in failed.reason


def test_a_cancelled_decoding_says_so(tmp_path: Path, store: Store) -> None:
    path = recording(tmp_path / "a.wav")
    decode_ = command(kept(store, path), processors("level"))
    handler = Decoding(path, 1 << 32)
    made: list[Any] = []
    for outgoing in handler.handle(decode_):
        made.append(outgoing)
        handler.cancel()
    assert blocks(made)[-1].kind is BlockKind.CANCELLED
    assert not any(isinstance(each.message, Facts) and each.message.final for each in made)


def made_by(opener: Any, settings: StageSettings, stream: list[Block]) -> list[Outgoing]:
    handler = opener(settings.model_dump(mode="json"), lambda *_: None)(stream[0], {})
    made = [outgoing for block in stream for outgoing in handler.handle(block)]
    handler.close()
    return made


def test_the_encoder_sends_the_file_and_keeps_it(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    path = recording(tmp_path / "a.wav")
    stream = blocks(decoded(store, command(kept(store, path), processors("mp3_encoder"))), "encoder")
    made = made_by(encoder_opener, settings, stream)
    chunks = [each.message for each in made if isinstance(each.message, EncodedChunk)]
    assert [chunks[0].begins, chunks[-1].ends] == [True, True]
    assert [each.seq for each in chunks] == list(range(len(chunks)))
    assert sum(each.samples for each in chunks) == 100_003
    assert b"".join(each.data for each in chunks).startswith((b"ID3", b"\xff"))
    (derived,) = (each.message for each in made if isinstance(each.message, Derived))
    data = store.objects.get(derived.object)
    assert (len(data), hashlib.sha256(data).hexdigest()) == (derived.size, derived.sha256)
    assert not list(settings.scratch_folder.iterdir())


def test_the_grapher_computes_draws_and_draws_again(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    path = recording(tmp_path / "a.wav")
    waveform, picture = processors("waveform_analyzer", "waveform_simple")
    stream = blocks(decoded(store, command(kept(store, path), [waveform, picture])), "grapher")
    made = made_by(grapher_opener, settings, stream)
    ((_, found),) = results(store, made)
    reference = (FileDecoder(path) | waveform).run()
    same(found, reference)
    (derived,) = (each.message for each in made if isinstance(each.message, Derived))
    assert store.objects.get(derived.object) == picture.draw(reference)

    (done,) = (each.message for each in made if isinstance(each.message, Done))
    draw = Draw(
        run_id=uuid7(),
        attempt=1,
        grapher=ProcessorValue(id=picture.id, version=picture.version, parameters=picture.parameters()),
        results=(done.result,),
        width=300,
        height=80,
        start_s=0.5,
        stop_s=1.5,
        object="derived/later.png",
    )
    (later,) = draw_opener(settings.model_dump(mode="json"), lambda *_: None)(draw, {}).handle(draw)
    assert isinstance(later.message, Derived)
    assert store.objects.get("derived/later.png") == picture.draw(
        reference, width=300, height=80, start_s=0.5, stop_s=1.5
    )
    lacking = draw.model_copy(update={"results": (done.result.model_copy(update={"prefix": "results/none"}),)})
    (failed,) = draw_opener(settings.model_dump(mode="json"), lambda *_: None)(lacking, {}).handle(lacking)
    assert isinstance(failed.message, Failed)
