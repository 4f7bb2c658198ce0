"""`start` and `duration`: the same samples as in the whole, whatever the format."""

import numpy as np
import pytest
from tests.support.media import AUDIO, VIDEO, decode, silent_ape

from timeside_core.errors import SegmentError
from timeside_decoder.array import ArrayDecoder
from timeside_decoder.file import FileDecoder


@pytest.mark.parametrize("name", [*AUDIO, *VIDEO])
def test_a_segment_equals_the_same_slice_of_the_whole(files, name):
    whole = decode(files / name, hash=False).samples
    samplerate = decode(files / name, duration=0.01, hash=False).media.samplerate
    for start, duration in ((0.7, 0.25), (0.011, 1.2), (1.3, None), (0.0, 0.1)):
        first = round(start * samplerate)
        stop = len(whole) if duration is None else first + round(duration * samplerate)
        segment = decode(files / name, start=start, duration=duration, hash=False)
        assert np.array_equal(segment.samples, whole[first:stop])
        assert not segment.warnings


def test_a_segment_of_monkeys_audio(tmp_path):
    (tmp_path / "a.ape").write_bytes(silent_ape(50_000))
    assert len(decode(tmp_path / "a.ape", start=0.5).samples) == 50_000 - 22_050


def test_the_clock_and_the_segment_say_where_the_samples_lie(files):
    with FileDecoder(files / "s16.wav", start=0.5, duration=0.25).open() as source:
        assert source.stream.start_s == 0.5
        assert (source.segment.first_sample, source.segment.samples) == (22_050, 11_025)
    with FileDecoder(files / "s16.wav").open() as source:
        assert source.segment.whole


def test_the_length_of_the_media_stays_that_of_the_whole(files):
    assert decode(files / "s16.wav", start=0.5, duration=0.25).media.samples == 66_273
    assert decode(files / "s16.wav", start=0.5).media.samples == 66_273


@pytest.mark.parametrize("name", ["s16.wav", "lame.mp3", "flac.flac", "aac.m4a", "opus.opus", "adts.aac", "film.ts"])
@pytest.mark.parametrize("segment", [{"start": 2.5}, {"start": 1.0, "duration": 1.0}, {"duration": 99.0}])
def test_segments_outside_the_media_are_refused_with_its_length(files, name, segment):
    with pytest.raises(SegmentError, match=rf"{name}'s 1\.5") as refused:
        decode(files / name, **segment)
    for parameter, value in segment.items():
        assert f"{parameter}={value:g} s" in str(refused.value)


@pytest.mark.parametrize("name", ["s16.wav", "alac.m4a"])
def test_absurd_segments_are_refused_like_all_others(files, name):
    with pytest.raises(SegmentError, match="start=1e\\+308 s, duration=1e\\+308 s lies outside"):
        decode(files / name, start=1e308, duration=1e308)


def test_a_segment_may_end_with_the_media(files):
    assert len(decode(files / "s16.wav", start=1.0, duration=66_273 / 44_100 - 1).samples) == 22_173


@pytest.mark.parametrize("segment", [{"start": 66_273 / 44_100}, {"duration": 1e-6}])
def test_a_segment_holds_a_sample_at_least(files, segment):
    with pytest.raises(SegmentError):
        decode(files / "s16.wav", **segment)


def test_arrays_follow_the_same_rules():
    with pytest.raises(SegmentError, match=r"the array's 1 s"), ArrayDecoder(np.zeros(8000), 8000, start=1).open():
        pass


def test_blocks_of_an_array_are_fresh():
    audio = np.zeros((100, 2), np.float32)
    with ArrayDecoder(audio).open() as source:
        for block in source:
            block += 1
    assert not audio.any()
