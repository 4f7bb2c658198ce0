"""Lengths that MP4 files tell in several ways."""

import numpy as np
import pytest
from mutagen.mp4 import MP4, MP4FreeForm
from tests.support.media import SAMPLES, decode, ffmpeg

DELAY = 1024  # of FFmpeg's AAC encoder


@pytest.fixture
def without_edit_list(files, tmp_path):
    """AAC in a file that tells neither delay nor padding."""
    ffmpeg(tmp_path, ["-i", str(files / "reference.wav")], {"a.m4a": "-c:a aac -b:a 192k -use_editlist 0"})
    return tmp_path / "a.m4a"


def tagged(path, samples):
    """Add iTunes' tag of gapless playback."""
    audio = MP4(path)
    value = f" 00000000 {DELAY:08X} 00000000 {samples:016X}" + " 00000000" * 8
    audio["----:com.apple.iTunes:iTunSMPB"] = MP4FreeForm(value.encode())
    audio.save()
    return path


def test_itunes_tag_tells_delay_and_length(files, without_edit_list):
    assert len(decode(without_edit_list).samples) == SAMPLES + DELAY
    decoded = decode(tagged(without_edit_list, SAMPLES))
    assert len(decoded.samples) == SAMPLES
    assert np.abs(decoded.samples - decode(files / "aac.m4a").samples)[2048:].max() < 1e-3
    assert not decoded.warnings


def test_a_stale_tag_cuts_nothing_but_the_last_frame(without_edit_list):
    for samples in (1000, 10 * SAMPLES):
        decoded = decode(tagged(without_edit_list, samples))
        assert SAMPLES - 1024 < len(decoded.samples) <= SAMPLES + 1024
        assert not decoded.warnings


def test_the_edit_list_tells_to_a_millisecond_where_the_sample_table_does_not(files, tmp_path):
    ffmpeg(tmp_path, ["-i", str(files / "reference.wav")], {"a.mp4": "-c:a libmp3lame -b:a 192k"})
    assert SAMPLES - 45 <= len(decode(tmp_path / "a.mp4").samples) <= SAMPLES + 45


def test_time_begins_with_the_first_sample_where_sound_begins_later_than_the_picture(files, tmp_path):
    inputs = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=3", "-itsoffset", "1", "-i", str(files / "reference.wav")]
    ffmpeg(tmp_path, inputs, {"late.mkv": "-c:v mpeg4 -c:a flac", "late.mp4": "-c:v mpeg4 -c:a alac"})
    for name in ("late.mkv", "late.mp4"):
        decoded = decode(tmp_path / name)
        assert np.array_equal(decoded.samples, decode(files / "reference.wav").samples), name
        assert not decoded.warnings
        assert len(decode(tmp_path / name, start=1.0).samples) == SAMPLES - 44_100
