"""Live sources from pipes, and whatever the source: what a block is, how a session ends, what is left behind.

Intentionally not checked: real microphones, and PulseAudio, which PyAV's wheels are built without.
"""

import io
import os
import re
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import soundfile
from tests.support.media import AUDIO, SAMPLERATE, SAMPLES, decode, ffmpeg
from tests.support.streams import cut, fifo

from timeside_core import Array, get_processor
from timeside_core.errors import CancelledError, MediaError, SegmentError, TimesideError
from timeside_core.pipeline import Source
from timeside_core.segmenting import by_segment
from timeside_decoder.connection import MAX_HEAD_BYTES
from timeside_decoder.live import BLOCK_SAMPLES, LiveDecoder, LiveSourceWarning

pytestmark = pytest.mark.usefixtures("nothing_is_left")

NEED_SEEKING = {"alac.caf", "aac.m4a", "alac.m4a", "opus.mp4", "flac.mp4", "pcm.mov"}
"""Their index lies at the end."""
LOSSLESS = {
    *("s16.wav", "s24.wav", "f32.wav", "rf64.wav", "pcm.w64", "be.aiff", "le.aif", "pcm.caf", "pcm.au", "pcm.mka"),
    *("pcm.avi", "flac.flac", "flac24.flac", "flac.oga", "flac.mka", "wavpack.wv"),
}
FORMS = {"u8": "u1", "s16le": "<i2", "s16be": ">i2", "s32le": "<i4", "f32le": "<f4", "f64le": "<f8"}


def heard(source: Source) -> Array:
    """All samples, checking what every block must be."""
    blocks = list(source)
    assert all(block.dtype == np.float32 and block.flags.writeable for block in blocks)
    assert all(len(block) == BLOCK_SAMPLES for block in blocks[1:-1])  # the first may have been cut at `start`
    return np.concatenate(blocks) if blocks else np.empty((0, source.stream.channels), np.float32)


def listen(path: Path, chunks: list[bytes], **parameters: object) -> tuple[Array, Source]:
    """What a decoder makes of chunks in a FIFO."""
    with fifo(path, chunks) as source, LiveDecoder(source, **parameters).open() as session:
        return heard(session), session


@pytest.mark.parametrize("name", sorted(AUDIO.keys() - NEED_SEEKING))
def test_containers_through_a_fifo(files, tmp_path, name):
    content = (files / name).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LiveSourceWarning)
        samples, session = listen(tmp_path / "fifo", cut(content))
    expected = decode(files / name)
    assert session.media.codec == expected.media.codec
    assert session.media.container == expected.media.container
    assert session.media.bit_depth == expected.media.bit_depth
    assert session.media.samples == len(samples)
    assert session.media.sha256 is None
    if name in LOSSLESS:
        assert np.array_equal(samples, expected.samples)
    else:  # without seeking, padding is cut in fewer formats
        assert abs(len(samples) - SAMPLES * session.media.samplerate // SAMPLERATE) <= 4096


@pytest.mark.parametrize("name", sorted(NEED_SEEKING))
def test_what_needs_seeking_is_refused(files, tmp_path, name):
    with pytest.raises(MediaError):
        listen(tmp_path / "fifo", cut((files / name).read_bytes()))


@pytest.mark.parametrize("form", FORMS)
def test_bare_samples(reference, tmp_path, form):
    dtype = np.dtype(FORMS[form])
    scale = 1.0 if dtype.kind == "f" else -float(np.iinfo(dtype).min) if dtype.kind == "i" else 128
    audio = reference[:10_001]
    raw = np.rint(audio * scale) + 128 if dtype.kind == "u" else audio * scale
    samples, session = listen(
        tmp_path / "fifo", cut(raw.astype(dtype).tobytes(), 777), sample_format=form, samplerate=22_050, channels=2
    )
    assert (session.stream.samplerate, session.stream.channels) == (22_050, 2)
    assert samples.shape == audio.shape
    assert np.allclose(samples, audio, atol=2**-7 if dtype.kind == "u" else 2**-15)


def test_standard_input_stays_open(reference, monkeypatch, tmp_path):
    (tmp_path / "raw").write_bytes(reference.tobytes())
    kept = os.dup(0)
    try:
        with open(tmp_path / "raw", "rb") as raw:
            os.dup2(raw.fileno(), 0)
        with LiveDecoder("-", sample_format="f32le").open() as session:
            assert np.array_equal(heard(session), reference)
        assert os.read(0, 1) == b""
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_a_session_has_an_id_of_its_own(reference, tmp_path):
    raw = cut(reference.tobytes())
    first = listen(tmp_path / "1", raw, sample_format="f32le")[1].media.uri
    second = listen(tmp_path / "2", raw, sample_format="f32le")[1].media.uri
    assert first.startswith("live:")
    assert UUID(first[5:]) != UUID(second[5:])
    known = UUID(int=440)
    assert listen(tmp_path / "3", raw, sample_format="f32le", session=known)[1].media.uri == f"live:{known}"


def test_a_part_is_a_slice_of_the_whole(reference, tmp_path):
    raw = cut(reference.tobytes())
    samples, session = listen(tmp_path / "fifo", raw, sample_format="f32le", start=0.25, duration=0.5)
    assert np.array_equal(samples, reference[11_025 : 11_025 + 22_050])
    assert session.stream.start_s == 0.25
    assert session.segment.first_sample == 11_025


def test_samples_that_are_no_numbers_are_silence(tmp_path):
    audio = np.full((5000, 1), 0.5, np.float32)
    audio[100], audio[4500] = np.nan, np.inf
    with pytest.warns(LiveSourceWarning, match="2 samples were not finite"):
        samples, _ = listen(tmp_path / "fifo", cut(audio.tobytes()), sample_format="f32le", channels=1)
    assert np.isfinite(samples).all()
    assert samples[100] == samples[4500] == 0


def test_stop_ends_as_the_source_would(tmp_path):
    endless = iter(lambda: bytes(4096), None)
    with fifo(tmp_path / "fifo", endless) as source, LiveDecoder(source, sample_format="s16le").open() as session:
        blocks = iter(session)
        next(blocks)
        later = threading.Timer(0.05, session.stop)
        later.start()
        rest = sum(len(block) for block in blocks)
        later.join()
    assert session.media.samples == BLOCK_SAMPLES + rest


def test_rows_come_while_the_source_sends(tmp_path):
    go_on = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield np.full(100_000, 0.5, "<f4").tobytes()
        assert go_on.wait(10)  # what follows is sent only once rows of what came before were seen
        yield np.full(30_000, 0.25, "<f4").tobytes()

    with fifo(tmp_path / "fifo", chunks()) as source:
        pipeline = LiveDecoder(source, sample_format="f32le", channels=1) | get_processor("rms")()
        rows = 0
        for _, emission in pipeline.stream():
            rows += len(emission.rows)
            go_on.set()
    assert rows == len(pipeline.results["rms"]) == 1 + 130_000 // 512
    assert pipeline.results["rms"].provenance.media.samples == 130_000


def test_results_of_an_endless_stream(tmp_path):
    """Segment by segment, until nobody wants any more."""
    tone = (0.5 * np.sin(np.arange(8000) * 2 * np.pi * 440 / 8000)).astype("<f4").tobytes()
    with fifo(tmp_path / "fifo", iter(lambda: tone, None)) as source:
        decoder = LiveDecoder(source, sample_format="f32le", samplerate=8000, channels=1)
        segments = by_segment(decoder | get_processor("level")() | get_processor("rms")(), segment_s=2.0)
        results = [next(segments) for _ in range(5)]
        segments.close()
    assert [each["rms"].provenance.segment.first_sample for each in results] == [0, 16_000, 32_000, 48_000, 64_000]
    assert {each["rms"].provenance.media.uri for each in results} == {results[0]["rms"].provenance.media.uri}
    times = np.concatenate([each["rms"].times for each in results])
    assert np.allclose(times, np.arange(len(times)) * 512 / 8000)
    assert all(each["level.rms"].values == pytest.approx(-9.03, abs=0.01) for each in results)


@pytest.mark.parametrize("sent", [b"", bytes(400_000)], ids=["while it opens", "while it decodes"])
def test_cancel_ends_a_silent_source(tmp_path, sent):
    cancel, silent = threading.Event(), threading.Event()

    def chunks() -> Iterator[bytes]:
        yield sent
        cancel.set()
        silent.wait(10)

    with fifo(tmp_path / "fifo", chunks()) as source:
        pipeline = LiveDecoder(source, sample_format="s16le", timeout_s=60) | get_processor("level")()
        with pytest.raises(CancelledError):
            pipeline.run(cancel=cancel)
        silent.set()


def test_a_pipe_that_falls_silent_has_ended(tmp_path):
    silent = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield bytes(40_000)
        silent.wait(10)

    with fifo(tmp_path / "fifo", chunks()) as source:
        session = LiveDecoder(source, sample_format="s16le", timeout_s=0.2).open()
        with session, pytest.warns(LiveSourceWarning, match=r"it ended because nothing came for 0\.2 s"):
            assert len(heard(session)) == 10_000
        silent.set()


def test_a_pipe_that_nobody_writes_to(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(MediaError, match=r"fifo: nothing came for 0\.2 s"):
        LiveDecoder(f"pipe:{tmp_path / 'fifo'}", timeout_s=0.2).open()


@pytest.mark.parametrize(
    "source", ["nowhere", "", "file:///etc/passwd", "rtmp://127.0.0.1/a", "concat:a|b", "lavfi:sine"]
)
def test_other_sources_are_refused(source):
    with pytest.raises(MediaError, match="is no live source"):
        LiveDecoder(source).open()


def test_a_pipe_that_is_not_there(tmp_path):
    with pytest.raises(MediaError, match=r"no_fifo': cannot be opened: No such file"):
        LiveDecoder(f"pipe:{tmp_path / 'no_fifo'}").open()


def test_a_device_that_is_not_there(capfd):
    with pytest.raises(MediaError, match=r"alsa:no_such_card: cannot be opened"):
        LiveDecoder("alsa:no_such_card").open()


def test_a_kind_of_device_that_ffmpeg_lacks():
    with pytest.raises(MediaError, match="this build of FFmpeg has no pulse"):
        LiveDecoder("pulse:default").open()


def test_a_device(tmp_path, monkeypatch):
    """ALSA's own device that records nothing, as there is no microphone."""
    (tmp_path / "alsa.conf").write_text("pcm.nothing { type null }\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "alsa.conf"))
    with LiveDecoder("alsa:nothing", samplerate=8000, channels=1, duration=0.25).open() as session:
        assert (session.media.samplerate, session.media.channels, session.media.codec) == (8000, 1, "pcm_s16le")
        assert sum(len(block) for block in session) == 2000


def wav_header(samplerate: int) -> bytes:
    """Of a WAV of 16 bits, mono, without an end."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, samplerate, 0, 2, 16)
    return b"RIFF\xff\xff\xff\xffWAVE" + form + b"data\xff\xff\xff\xff"


HOSTILE = {
    "nothing": b"",
    "one byte": b"\0",
    "noise": np.random.default_rng(440).bytes(1 << 18),
    "zeros": bytes(1 << 18),
    "text": b"<html>503 Service Unavailable</html>" * 1000,
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.wav\n#EXT-X-ENDLIST\n",
    "script": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "session description": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    "header of a WAV, no more": wav_header(44_100),
    "absurd samplerate": wav_header(0x7FFF_FFFF) + bytes(1 << 18),
    "no samplerate": wav_header(0) + bytes(1 << 18),
    "a tag without an end": b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(1 << 16),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_refused(tmp_path, name):
    with pytest.raises(MediaError):
        listen(tmp_path / "fifo", cut(HOSTILE[name], 4096))


class Bytes:
    """A source that gives one read after another what a function returns or raises."""

    def __init__(self, give: Callable[[int, int], bytes | None]) -> None:
        self.give, self.position, self.closed = give, 0, 0

    def read(self, size: int) -> bytes | None:
        given = self.give(self.position, size)
        self.position += len(given or b"")
        return given

    def close(self) -> None:
        self.closed += 1


def test_a_head_without_an_end_is_given_up():
    """An ID3 tag that says it takes 256 MiB: not a tenth of that is read."""
    tag = b"ID3\4\0\0\x7f\x7f\x7f\x7f"
    source = Bytes(lambda position, size: bytes(size) if position else tag)
    with pytest.raises(MediaError, match="there is no audio in its first 16777216 bytes"):
        LiveDecoder("test:", open_bytes=lambda _: source).open()
    assert source.position < MAX_HEAD_BYTES + (1 << 16)
    assert source.closed == 1


@pytest.mark.parametrize("at", [0, 20_000], ids=["while it opens", "while it decodes"])
def test_an_interrupt_from_the_keyboard(at):
    """FFmpeg's callbacks cannot pass it on: it must not be lost there."""

    def give(position: int, size: int) -> bytes:
        if position >= at:
            raise KeyboardInterrupt
        return bytes(size)

    source = Bytes(give)
    pipeline = LiveDecoder("test:", sample_format="s16le", open_bytes=lambda _: source) | get_processor("level")()
    with pytest.raises(KeyboardInterrupt):
        pipeline.run()
    assert source.closed == 1


def test_more_bytes_than_asked_for_are_refused():
    source = Bytes(lambda _, size: bytes(size + 1))
    with pytest.raises(ValueError, match=r"gave \d+ bytes where \d+ were asked for"):
        LiveDecoder("test:", sample_format="s16le", open_bytes=lambda _: source).open()


def test_a_session_that_cannot_begin_is_hung_up():
    source = Bytes(lambda _, size: bytes(size))
    with pytest.raises(SegmentError):
        LiveDecoder("test:", sample_format="s16le", duration=1e-9, open_bytes=lambda _: source).open()
    assert source.closed == 1


@pytest.mark.parametrize(
    "name", ["lame.mp3", "vorbis.ogg", "opus.opus", "adts.aac", "flac.flac", "aac.ts", "opus.webm"]
)
def test_damage_does_not_stop_and_does_not_leak(files, tmp_path, name):
    """Whatever is heard or raised, it is finite, bounded, and of our own."""
    rng = np.random.default_rng(440)
    for attempt in range(8):
        content = bytearray((files / name).read_bytes())
        for position in rng.integers(0, len(content), 3 * (attempt + 1)):
            content[position] = rng.integers(256)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LiveSourceWarning)
            try:
                samples, session = listen(tmp_path / f"{attempt}", cut(bytes(content)))
            except TimesideError:
                continue
        assert np.isfinite(samples).all()
        assert len(samples) < 30 * session.stream.samplerate


def test_the_samplerate_stays_that_of_the_beginning(files, tmp_path):
    """A station that goes on in mono and at another samplerate."""
    ffmpeg(tmp_path, ["-i", str(files / "reference.wav")], {"other.mp3": "-ar 32000 -ac 1 -b:a 96k"})
    both = (files / "bare.mp3").read_bytes() + (tmp_path / "other.mp3").read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LiveSourceWarning)
        samples, session = listen(tmp_path / "fifo", cut(both))
    assert (session.stream.samplerate, session.stream.channels) == (SAMPLERATE, 2)
    assert abs(len(samples) - 2 * SAMPLES) < 5000
    loud = np.sqrt(np.mean(samples[SAMPLES + 8000 : 2 * SAMPLES - 8000] ** 2, axis=0))
    assert (loud > 0.1).all()


def test_the_listings_of_the_documentation(reference, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parents[3] / "docs" / "live.md"
    sound = io.BytesIO()
    soundfile.write(sound, np.tile(reference, (8, 1)), SAMPLERATE, format="WAV", subtype="PCM_16")
    printed = []
    for listing in re.findall("```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        with fifo(tmp_path / "radio.fifo", cut(sound.getvalue())):
            exec(listing, {})
        (tmp_path / "radio.fifo").unlink()
        printed.append(capsys.readouterr().out.splitlines())
    rows, segments = printed
    assert rows[-1].startswith("rms ")
    assert [line.split()[0] for line in segments] == ["0", str(10 * SAMPLERATE)]
    assert sum(int(line.split()[-1]) for line in segments) == 1 + 8 * SAMPLES // 512
