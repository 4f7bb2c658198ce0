"""Damaged files: what follows stays in time where timestamps tell, and nothing is silently lost."""

import struct

import numpy as np
import pytest
import soundfile
from tests.support.media import decode, ffmpeg, sweeps

from timeside_core import Array
from timeside_decoder.file import DamagedMediaWarning, FileDecoder

SAMPLERATE = 44_100
SAMPLES = 8 * SAMPLERATE
LONG = {
    "a.flac": "",
    "a.ogg": "-c:a libvorbis",
    "a.opus": "-c:a libopus -b:a 192k",
    "flac.oga": "-f ogg -c:a flac",
    "lame.mp3": "-b:a 192k",
    "bare.mp3": "-b:a 192k -write_xing 0",
    "aac.m4a": "-c:a aac -b:a 192k",
    "front.m4a": "-c:a aac -b:a 192k -movflags +faststart",
    "alac.m4a": "-c:a alac",
    "a.wv": "",
    "flac.mka": "-c:a flac",
    "opus.webm": "-c:a libopus -b:a 192k",
    "a.ac3": "-b:a 320k",
    "aac.ts": "-c:a aac -b:a 192k",
    "a.wma": "-b:a 192k",
    "mp3.avi": "-c:a libmp3lame",
}


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A folder with eight seconds in several formats: long enough for several pages and clusters."""
    folder = tmp_path_factory.mktemp("long")
    soundfile.write(folder / "long.wav", sweeps(SAMPLES, SAMPLERATE), SAMPLERATE)
    ffmpeg(folder, ["-i", "long.wav"], LONG)
    return folder


def damaged(long, tmp_path, name, how):
    """A damaged copy of one of the files."""
    content = bytearray((long / name).read_bytes())
    how(content)
    path = tmp_path / name
    path.write_bytes(content)
    return path


def zeroed(content: bytearray) -> None:
    """Lose two kilobytes in the first half."""
    start = len(content) * 2 // 5
    content[start : start + 2000] = bytes(2000)


def cut(content: bytearray) -> None:
    """Lose the last third."""
    del content[len(content) * 2 // 3 :]


def shift(found: Array, wanted: Array, at: int, length: int = 6000) -> int:
    """How much later what is found at a place is than it should be, by normalised cross-correlation."""
    pattern, around = found[at : at + length, 0], wanted[at - 12_000 : at + 12_000 + length, 0]
    product = np.correlate(around, pattern, "valid")
    energy = np.convolve(around**2, np.ones(length), "valid")
    return 12_000 - int(np.argmax(product / np.sqrt(energy)))


@pytest.mark.parametrize("name", sorted(LONG.keys() - {"mp3.avi"}))
def test_what_follows_a_lost_stretch_is_in_time(long, tmp_path, name):
    whole = decode(long / name)
    assert not whole.damage
    part = decode(damaged(long, tmp_path, name, zeroed))
    for at in (20_000, SAMPLES * 3 // 4):
        assert shift(part.samples, whole.samples, at) == 0
    assert abs(len(part.samples) - len(whole.samples)) <= 1152  # of MP3, the padding stays
    assert part.damage.silenced_samples > 0
    assert part.warnings == [f"{tmp_path / name}: {part.damage}"]
    assert "missing samples were replaced by silence" in part.warnings[0]


def test_where_timestamps_are_counted_the_loss_is_told_at_the_end(long, tmp_path):
    part = decode(damaged(long, tmp_path, "mp3.avi", zeroed))
    assert part.damage.missing_samples >= 5 * 1152
    assert "samples fewer than the header tells" in part.warnings[0]


def test_silence_stands_exactly_for_the_frame_that_is_lost(long, tmp_path):
    def flip(content):
        for offset in (0, 7, 40):
            content[len(content) // 2 + offset] ^= 0xFF

    whole = decode(long / "a.flac").samples
    part = decode(damaged(long, tmp_path, "a.flac", flip))
    differ = np.flatnonzero((part.samples != whole).any(axis=1))
    frame = 4608
    assert len(part.samples) == len(whole)
    assert part.damage.silenced_samples == frame
    assert differ[0] // frame == differ[-1] // frame
    assert not part.samples[differ].any()


def test_a_segment_of_a_damaged_file_equals_the_same_slice(long, tmp_path):
    for name in ("a.flac", "lame.mp3", "aac.m4a", "a.opus"):
        path = damaged(long, tmp_path, name, zeroed)
        samplerate = 48_000 if name == "a.opus" else SAMPLERATE
        segment = decode(path, start=2.0, duration=4.0).samples
        assert np.array_equal(segment, decode(path).samples[2 * samplerate : 6 * samplerate]), name


@pytest.mark.parametrize(
    "name",
    ["a.flac", "a.ogg", "a.opus", "flac.oga", "lame.mp3", "bare.mp3", "front.m4a", "a.wv", "flac.mka", "opus.webm"],
)
def test_a_file_that_is_cut_short_gives_what_is_there_and_says_so(long, tmp_path, name):
    whole = decode(long / name).samples
    part = decode(damaged(long, tmp_path, name, cut))
    kept = len(part.samples) - 4800  # the last frames may have missed bits
    assert 0.4 < kept / len(whole) < 0.7
    assert np.abs(part.samples[:kept] - whole[:kept]).max() < 1e-4
    assert part.damage.is_cut or part.damage.missing_samples > 0
    assert len(part.warnings) == 1


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", "PCM_16"), ("a.wav", "FLOAT"), ("a.aiff", "PCM_24")])
def test_truncated_pcm_tells_how_much_is_missing(tmp_path, name, subtype):
    signal = sweeps(10_000, 8000)
    path = tmp_path / name
    soundfile.write(path, signal, 8000, subtype=subtype)
    width = {"PCM_16": 4, "PCM_24": 6, "FLOAT": 8}[subtype]
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"data" if name == "a.wav" else b"SSND") + 16 + 4000 * width])
    part = decode(path)
    assert 3990 < len(part.samples) <= 4002
    assert np.allclose(part.samples, signal[: len(part.samples)], atol=1e-6)
    assert part.damage.missing_samples == pytest.approx(10_000 - len(part.samples), abs=2)
    assert part.media.samples == len(part.samples)


def wav_with_length(path, length):
    """One second of mono, 16 bits, whose `data` chunk claims another length."""
    soundfile.write(path, np.full(8000, 0.5), 8000)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 40, length)
    path.write_bytes(content)
    return decode(path)


def test_a_wav_that_claims_four_gigabytes_gives_what_is_there(tmp_path):
    part = wav_with_length(tmp_path / "a.wav", 0xF000_0000)
    assert len(part.samples) == 8000
    assert part.damage.missing_samples == 0xF000_0000 // 2 - 8000


@pytest.mark.parametrize("length", [0xFFFF_FFFF, 0x7FFF_FFFF, 0x8000_0000, 0])
def test_lengths_that_mean_until_the_end(tmp_path, length):
    whole = wav_with_length(tmp_path / "a.wav", length)
    assert (whole.samples == 0.5).all()
    assert len(whole.samples) == 8000
    assert not whole.damage


def test_an_empty_wav_with_tags_stays_empty(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.empty(0), 8000)
    path.write_bytes(path.read_bytes() + b"LIST\x10\0\0\0INFOINAM\x04\0\0\0abc\0")
    empty = decode(path)
    assert len(empty.samples) == 0
    assert empty.media.tags == {"title": "abc"}


def test_the_warning_can_be_caught(long, tmp_path):
    path = damaged(long, tmp_path, "a.flac", zeroed)
    with pytest.warns(DamagedMediaWarning, match=r"a\.flac: "), FileDecoder(path).open() as source:
        list(source)
