"""The chain of frames of MPEG audio."""

import numpy as np
import pytest
import soundfile
from tests.support.media import decode, ffmpeg, sweeps

from timeside_decoder.local import local_file
from timeside_decoder.mpeg import walk


@pytest.mark.parametrize(
    ("name", "samplerate", "how"),
    [
        ("a.mp3", 44_100, "-b:a 128k"),
        ("v.mp3", 48_000, "-q:a 5"),
        ("half.mp3", 22_050, "-b:a 32k"),
        ("quarter.mp3", 8000, "-b:a 8k -ac 1"),
        ("a.mp2", 48_000, "-b:a 192k"),
        ("half.mp2", 24_000, "-b:a 64k"),
    ],
)
def test_frames_are_followed_to_the_end(tmp_path, name, samplerate, how):
    soundfile.write(tmp_path / "a.wav", sweeps(samplerate, samplerate), samplerate)
    ffmpeg(tmp_path, ["-i", "a.wav"], {name: how})
    chain = walk(local_file(tmp_path / name))
    assert chain.whole
    assert not chain.is_cut
    assert samplerate <= chain.samples <= samplerate + 4 * 1152
    assert (chain.announced_frames is None) == name.endswith("mp2")


@pytest.mark.parametrize("rest", [b"TAG" + bytes(125), b"APETAGEX" + bytes(200), bytes(3000)])
def test_tags_and_zeros_at_the_end_are_no_damage(changed, rest):
    assert walk(local_file(changed("lame.mp3", lambda content: content.extend(rest)))).whole


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("bare.mp3", lambda content: content.insert(9000, 0)),
        ("bare.mp3", lambda content: content.__delitem__(slice(9000, 9500))),
        ("bare.mp3", lambda content: content.__delitem__(slice(-100, None))),
        ("lame.mp3", lambda content: content.__delitem__(slice(-627, None))),
        ("lame.mp3", lambda content: content.extend(b"no frame")),
    ],
    ids=["inserted", "deleted", "cut in a frame", "a frame less than announced", "rubbish"],
)
def test_damage_breaks_the_chain(changed, name, how):
    assert not walk(local_file(changed(name, how))).whole


def test_a_cut_within_a_frame_is_known(changed):
    assert walk(local_file(changed("bare.mp3", lambda content: content.__delitem__(slice(-100, None))))).is_cut
    assert not walk(local_file(changed("bare.mp3", lambda content: content.insert(9000, 0)))).is_cut


def test_variable_bitrate_without_a_header_is_decoded_to_its_end(tmp_path):
    """Its first frames are long: who guesses the length by them guesses too short."""
    signal = sweeps(8 * 44_100, 44_100)
    signal[44_100:] = 0
    signal[-4410:] = 0.25 * np.sin(np.arange(4410) / 10)[:, np.newaxis]
    soundfile.write(tmp_path / "a.wav", signal, 44_100)
    ffmpeg(tmp_path, ["-i", "a.wav"], {"a.mp3": "-q:a 0 -write_xing 0 -id3v2_version 0"})
    decoded = decode(tmp_path / "a.mp3")
    assert len(signal) <= len(decoded.samples) <= len(signal) + 2304
    assert decoded.samples[-4000:].any()


@pytest.mark.parametrize("how", ["-b:a 8k -ar 24000 -ac 1", "-b:a 32k -write_xing 0"])
def test_frames_that_borrow_bits_from_many_before_them_decode_alike_in_any_blocks(tmp_path, how):
    samplerate = 24_000 if "24000" in how else 44_100
    soundfile.write(tmp_path / "a.wav", sweeps(8 * samplerate, samplerate), samplerate)
    ffmpeg(tmp_path, ["-i", "a.wav"], {"a.mp3": how})
    whole = decode(tmp_path / "a.mp3").samples
    at_once = soundfile.read(tmp_path / "a.mp3", dtype="float32", always_2d=True)[0]
    assert np.allclose(whole, at_once, atol=1e-5)
    for start in (0.9, 3.3, 6.1):
        first = round(start * samplerate)
        segment = decode(tmp_path / "a.mp3", start=start, duration=0.5).samples
        assert np.array_equal(segment, whole[first : first + samplerate // 2])
