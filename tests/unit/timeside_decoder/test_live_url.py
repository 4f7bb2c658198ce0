"""Live sources from URLs, through the guarded fetcher, from a server on loopback that breaks off, stalls and lies."""

import asyncio
import threading
import time
from functools import partial
from typing import Any

import numpy as np
import pytest
from tests.support.media import decode, ffmpeg
from tests.support.streams import Answer, Station, head, refuse, send, send_and_stall, station

from timeside_core import Array, get_processor
from timeside_core.errors import CancelledError, MediaError
from timeside_decoder.live import Discontinuity, LiveDecoder, LiveSession, LiveSourceWarning

pytestmark = pytest.mark.usefixtures("nothing_is_left")


def listening(server: Station, **parameters: Any) -> LiveDecoder:
    """A decoder of the server's stream that does not wait long."""
    soon = {"timeout_s": 5.0, "pause_s": 0.02, "max_pause_s": 0.1, "max_gap_s": 1.0}
    return LiveDecoder(server.url, **{"open_bytes": server.open_bytes} | soon | parameters)


def heard(session: LiveSession) -> tuple[Array, list[tuple[int, Discontinuity]]]:
    """All samples; and the breaks, each with the sample that was next when it was first told."""
    samples, told = [np.empty((0, session.stream.channels), np.float32)], []
    position = 0
    for block in session:
        told += [(position, each) for each in list(session.discontinuities)[len(told) :]]
        samples.append(block)
        position += len(block)
    return np.concatenate(samples), told


def whole(content: bytes) -> Answer:
    """Send it with its length."""
    return send(content, ("Content-Length", str(len(content))))


@pytest.mark.parametrize("name", ["lame.mp3", "vorbis.ogg", "opus.opus", "adts.aac", "flac.oga"])
def test_an_answer_of_known_length_is_whole(files, name):
    content = (files / name).read_bytes()
    with station(whole(content)) as server, listening(server).open() as session:
        samples, told = heard(session)
    expected = decode(files / name)
    assert (session.media.codec, session.media.container) == (expected.media.codec, expected.media.container)
    assert abs(len(samples) - len(expected.samples)) <= 4096
    assert not told
    assert len(server.requests) == 1


def test_a_server_that_breaks_off_twice(files, reference):
    """The stream is ahead of the clock, so that nothing is missing: three times the signal, whole."""
    content = (files / "flac.oga").read_bytes()
    with station(send(content), send(content), send_and_stall(content)) as server:
        session = listening(server, duration=4.0).open()
        with session, pytest.warns(LiveSourceWarning, match=r"2 breaks, bridged by 0\.0 s of silence"):
            samples, told = heard(session)
    assert np.array_equal(samples, np.concatenate([reference] * 3)[: 4 * 44_100])
    length = len(reference)
    reason = "the server ended the stream"
    assert told == [(length, Discontinuity(length, 0, reason)), (2 * length, Discontinuity(2 * length, 0, reason))]
    assert len(server.requests) == 3


def test_time_goes_on_while_the_source_is_away():
    """What comes after a break lies where the clock on the wall says, as read around the first bytes."""
    tone = np.full(4410, 0.5, "<f4").tobytes()
    first_byte_s: list[tuple[float, float]] = []

    def answer(request: Any) -> None:
        is_last = len(first_byte_s) == 1
        head(request, *([("Content-Length", str(len(tone)))] if is_last else []))
        before_s = time.monotonic()
        request.wfile.write(tone)
        first_byte_s.append((before_s, time.monotonic()))

    form = {"sample_format": "f32le", "samplerate": 44_100, "channels": 1}
    with station(answer) as server:
        with listening(server, pause_s=0.3, **form).open() as session, pytest.warns(LiveSourceWarning, match="1 break"):
            samples, ((told_at, gap),) = heard(session)
        heard_s = time.monotonic()
    assert told_at == gap.first_sample == 4410
    after = gap.first_sample + gap.samples
    assert np.array_equal(np.flatnonzero(samples[:, 0] == 0), np.arange(4410, after))
    assert len(samples) == after + 4410
    assert 0.3 * 44_100 <= after <= (heard_s - first_byte_s[0][0]) * 44_100


def test_a_server_that_stalls(files):
    content = (files / "bare.mp3").read_bytes()
    with station(send_and_stall(content), whole(content)) as server:
        session = listening(server, timeout_s=0.3).open()
        with session, pytest.warns(LiveSourceWarning):
            samples, ((_, gap),) = heard(session)
    assert gap.reason == "nothing came for 0.3 s"
    assert len(samples) > 2 * 60_000


def test_a_break_that_lasts_ends_the_source(files):
    content = (files / "bare.mp3").read_bytes()
    with station(send(content), refuse(404)) as server:
        session = listening(server, max_gap_s=0.3).open()
        with (
            session,
            pytest.warns(LiveSourceWarning, match=r"because the server ended .* not to be had again for 0\.3 s"),
        ):
            samples, told = heard(session)
        assert len(server.requests) >= 3
    assert len(samples) > 60_000
    assert not told
    assert session.media.samples == len(samples)


def test_pauses_grow_and_are_bounded(files):
    """With waits of 20, 40, 80, 80, … ms, half a second holds no more than eight attempts."""
    content = (files / "bare.mp3").read_bytes()
    with station(send(content), refuse(503)) as server:
        with listening(server, max_gap_s=0.5, max_pause_s=0.08).open() as session, pytest.warns(LiveSourceWarning):
            heard(session)
        assert 3 <= len(server.requests) <= 1 + 2 + (500 - 60) // 80 + 2


def test_without_reconnecting_the_first_break_is_the_end(files):
    content = (files / "bare.mp3").read_bytes()
    with station(send(content)) as server:
        session = listening(server, reconnect=False).open()
        with session, pytest.warns(LiveSourceWarning, match="it ended because the server ended the stream"):
            heard(session)
        assert len(server.requests) == 1


def test_an_answer_of_unknown_length_that_may_end(files):
    content = (files / "bare.mp3").read_bytes()
    with station(send(content)) as server:
        open_bytes = partial(server.open_bytes, may_end=True)
        with listening(server, open_bytes=open_bytes).open() as session:
            samples, told = heard(session)
        assert len(server.requests) == 1
    assert len(samples) > 60_000
    assert not told


def test_what_is_no_audio_any_more_is_a_break(files):
    """After a break the server sends a page, then the stream again."""
    content = (files / "bare.mp3").read_bytes()
    page = send(b"<html>be back soon</html>" * 100)
    with station(send(content), page, whole(content)) as server:
        session = listening(server).open()
        with session, pytest.warns(LiveSourceWarning):
            samples, told = heard(session)
    assert len(told) == 1
    assert len(samples) > 2 * 60_000


def test_another_samplerate_after_a_break(files, tmp_path):
    ffmpeg(tmp_path, ["-i", str(files / "reference.wav")], {"other.opus": "-ac 1 -c:a libopus -b:a 96k"})
    other = (tmp_path / "other.opus").read_bytes()
    with station(send((files / "bare.mp3").read_bytes()), whole(other)) as server:
        session = listening(server).open()
        with session, pytest.warns(LiveSourceWarning):
            samples, ((_, gap),) = heard(session)
    assert (session.stream.samplerate, session.stream.channels) == (44_100, 2)
    assert abs(len(samples) - gap.first_sample - gap.samples - 66_273) < 700
    assert np.sqrt(np.mean(samples[-40_000:-4000] ** 2)) > 0.1


def test_a_server_that_is_not_there():
    with station(refuse(200)) as server:
        decoder = listening(server)
    with pytest.raises(MediaError, match="cannot be reached"):
        decoder.open()


@pytest.mark.parametrize("status", [404, 500])
def test_a_stream_that_is_not_there(status):
    with station(refuse(status)) as server, pytest.raises(MediaError, match=f"answered {status}"):
        listening(server).open()


def test_the_guard_is_on_by_default():
    with station(send(b"")) as server:
        with pytest.raises(MediaError, match=r"port \d+ is not one of 80, 443, 8000"):
            LiveDecoder(server.url).open()
        with pytest.raises(MediaError, match="loopback"):
            LiveDecoder("http://127.0.0.1/stream").open()
        assert server.requests == []


def test_messages_show_no_secrets():
    with station(refuse(404)) as server:
        with pytest.raises(MediaError) as caught:
            LiveDecoder(f"{server.url}?key=s3cret", open_bytes=server.open_bytes).open()
        with pytest.raises(MediaError) as refused:
            LiveDecoder(server.url.replace("//", "//ann:s3cret@"), open_bytes=server.open_bytes).open()
    assert "s3cret" not in f"{caught.value} {refused.value}"


def test_playlists_are_not_followed(files):
    def playlist(request: Any) -> None:
        target = request.server.url.replace("stream", "elsewhere")
        send(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n".encode())(request)

    with station(playlist) as server:
        with pytest.raises(MediaError, match="is not audio or video"):
            listening(server).open()
        assert server.requests == ["/stream"]


@pytest.mark.parametrize("when", ["while it opens", "while it decodes", "while it waits to connect again"])
def test_cancel(files, when):
    content = (files / "bare.mp3").read_bytes()
    cancel = threading.Event()
    answers = {
        "while it opens": [send_and_stall(b"")],
        "while it decodes": [send_and_stall(content)],
        "while it waits to connect again": [send(content), refuse(404)],
    }
    with station(*answers[when]) as server:
        pipeline = listening(server, timeout_s=60.0, max_gap_s=60.0) | get_processor("level")()
        later = threading.Timer(0.2, cancel.set)
        later.start()
        with pytest.raises(CancelledError):
            pipeline.run(cancel=cancel)
        later.join()


async def test_rows_come_in_a_notebook(files):
    """Notebooks run their cells on an event loop."""
    assert asyncio.get_running_loop().is_running()
    content = (files / "bare.mp3").read_bytes()
    with station(send_and_stall(content)) as server:
        pipeline = listening(server, duration=1.0) | get_processor("level")() | get_processor("rms")()
        steps = {step.id for step, _ in pipeline.stream()}
    assert steps == {"level", "rms"}
    assert pipeline.results["rms"].provenance.media.uri.startswith("live:")


def test_a_slow_reader_holds_the_server_back(files):
    """What is not decoded yet is not held beyond a bound, however much the server sends."""
    sent = [0]

    def flood(request: Any) -> None:
        head(request)
        while not request.server.ended.is_set():
            request.wfile.write(bytes(1 << 16))
            sent[0] += 1 << 16

    with station(flood) as server:
        with listening(server, sample_format="s16le").open() as session:
            next(iter(session))
            before = -1
            while sent[0] != before:  # until the server cannot send any more
                before = sent[0]
                time.sleep(0.3)
        assert before < 16 << 20
