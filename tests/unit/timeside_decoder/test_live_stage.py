"""Live sources through the decoder service: what the pools are sent, from the first block to the last."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from tests.support.plans import live_command
from tests.support.streams import Station, refuse, send, send_and_stall, station

from timeside_core import get_processor
from timeside_core.messages import Block, BlockKind, Decode, Discontinuity, End, Facts, Failed, Start, decode, encode
from timeside_core.stage.handler import Outgoing
from timeside_decoder.live_stage import LiveDecoding
from timeside_decoder.relay import Relay

SAMPLERATE = 8000


def noise(samples: int, seed: int = 440) -> Any:
    """Of 16 bits, shape `(samples, 2)`."""
    integers = np.random.default_rng(seed).integers(-(2**14), 2**14, (samples, 2))
    return (integers / 2**15).astype(np.float32)


def wav(path: Path, audio: Any) -> bytes:
    soundfile.write(path, audio, SAMPLERATE, subtype="PCM_16")
    return path.read_bytes()


def whole(content: bytes) -> Any:
    """An answer that ends by itself."""
    return send(content, ("Content-Length", str(len(content))))


@contextmanager
def relayed(folder: Path, server: Station) -> Generator[LiveDecoding]:
    relay = Relay(folder / "relay", lambda: server.open_bytes(server.url))
    try:
        yield LiveDecoding(folder / "relay")
    finally:
        relay.close()
    assert not (folder / "relay").exists()


def command(server: Station, samples: int | None = None) -> Decode:
    return live_command(server.url, [get_processor("level")()], samples=samples)


def blocks(made: list[Outgoing | None]) -> list[Block]:
    found = [decode(each.topic, encode(each.message)) for each in made if each is not None]
    return [each for each in found if isinstance(each, Block)]


def heard(sent: list[Block]) -> Any:
    data = [each for each in sent if each.kind is BlockKind.DATA]
    assert [each.first_sample for each in data] == [0, *np.cumsum([each.samples for each in data])[:-1]]
    return np.concatenate([each.audio() for each in data])


def test_a_source_that_ends_is_sent_as_a_whole(tmp_path: Path) -> None:
    audio = noise(100_000)
    with station(whole(wav(tmp_path / "a.wav", audio))) as server, relayed(tmp_path, server) as handler:
        made = list(handler.handle(command(server)))
    sent = blocks(made)
    np.testing.assert_array_equal(heard(sent), audio)
    assert all(each.samples <= 4096 for each in sent)
    assert sent[-1].kind is BlockKind.END
    again = [each for each in sent[1:] if each.kind is BlockKind.START]
    assert [each.first_sample for each in again] == [40_960, 81_920]
    for each in again:
        following = sent[sent.index(each) + 1]
        assert isinstance(each.body, Start)
        assert (each.body.next_seq, each.first_sample) == (following.seq, following.first_sample)
    facts = [each.message for each in made if each is not None and isinstance(each.message, Facts)]
    assert [(each.final, each.facts.samples) for each in facts] == [(False, None), (True, 100_000)]


def test_a_break_is_a_discontinuity_where_it_lies(tmp_path: Path) -> None:
    before, after = noise(20_000), noise(30_000, seed=1)
    answers = [send(wav(tmp_path / "a.wav", before)), whole(wav(tmp_path / "b.wav", after))]
    with station(*answers) as server, relayed(tmp_path, server) as handler:
        sent = blocks(list(handler.handle(command(server))))
    (broken,) = (each for each in sent if each.kind is BlockKind.DISCONTINUITY)
    assert broken.first_sample == 20_000
    assert isinstance(broken.body, Discontinuity)
    assert broken.body.reason == "the server ended the stream"
    silence = np.zeros((broken.body.missing_samples or 0, 2), np.float32)
    np.testing.assert_array_equal(heard(sent), np.concatenate([before, silence, after]))
    assert [each.seq for each in sent if each.kind is not BlockKind.START] == list(range(1, sent[-1].seq + 1))
    assert isinstance(sent[-1].body, End)
    assert "1 break" in sent[-1].body.warnings[0]


def test_it_ends_where_the_plan_does(tmp_path: Path) -> None:
    audio = noise(50_000)
    answer = send_and_stall(wav(tmp_path / "a.wav", audio))
    with station(answer) as server, relayed(tmp_path, server) as handler:
        sent = blocks(list(handler.handle(command(server, samples=30_001))))
    np.testing.assert_array_equal(heard(sent), audio[:30_001])
    assert sent[-1].kind is BlockKind.END


def test_a_cancel_is_seen_while_nothing_comes(tmp_path: Path) -> None:
    with (
        station(send_and_stall(wav(tmp_path / "a.wav", noise(50_000)))) as server,
        relayed(tmp_path, server) as handler,
    ):
        made: list[Outgoing | None] = []
        for each in handler.handle(command(server)):
            made.append(each)
            if each is None and len(blocks(made)) > 5:
                handler.cancel()
    assert blocks(made)[-1].kind is BlockKind.CANCELLED
    assert handler.done


def test_a_source_that_cannot_be_had_fails_the_run(tmp_path: Path) -> None:
    with station(refuse(404)) as server, relayed(tmp_path, server) as handler:
        (failed,) = (each.message for each in handler.handle(command(server)) if each is not None)
    assert isinstance(failed, Failed)
    assert failed.code == "media"
    assert "404" in failed.reason
