"""Gaps between frames, by their timestamps."""

from timeside_decoder.reader import Damage
from timeside_decoder.timeline import Timeline

FRAME = 960


def gaps(pts, container="matroska", codec="opus", samples=None, damaged_before=()):
    """What is missing before each frame of 960 samples at 48 kHz, with timestamps in milliseconds; and the damage."""
    damage = Damage()
    timeline = Timeline(container, codec, samplerate=48_000, samples=samples, samples_per_tick=48.0, damage=damage)
    missing = []
    for index, each in enumerate(pts):
        if index in damaged_before:
            timeline.note_damage(lost_bytes=1000, bytes_before=100 * index)
        missing.append(timeline.missing_before(each, FRAME))
    return missing, damage


def test_nothing_is_missing_where_frames_follow_each_other():
    missing, damage = gaps(range(0, 2000, 20))
    assert not any(missing)
    assert not damage


def test_a_gap_is_filled_with_as_many_frames_as_are_lost():
    missing, damage = gaps([0, 20, 540, 560])
    assert missing == [0, 0, 25 * FRAME, 0]
    assert damage.silenced_samples == 25 * FRAME


def test_coarse_timestamps_do_not_blur_the_count_of_frames():
    assert gaps([0, 20, 541])[0][-1] == 25 * FRAME
    assert gaps([0, 20, 539])[0][-1] == 25 * FRAME


def test_clocks_jitter_and_counts_do_not():
    assert not any(gaps([0, 20, 90, 110, 100, 120])[0])
    assert gaps([0, 20, 80], container="ogg")[0][-1] == 2 * FRAME
    assert not any(gaps([0, 20, 80], container="ogg", codec="vorbis")[0])


def test_near_damage_a_single_frame_is_a_gap():
    assert gaps([0, 20, 60], damaged_before=[2])[0][-1] == FRAME
    assert gaps([0, 20, 40, 80], damaged_before=[2])[0][-1] == FRAME
    assert not any(gaps([0, *range(20, 1500, 20), 1520], damaged_before=[1])[0])


def test_frames_without_timestamps_follow_the_last_one():
    assert gaps([0, None, None, 560])[0] == [0, 0, 0, 25 * FRAME]
    assert not any(gaps([None, None, 40, 60])[0])


def test_bytes_tell_where_timestamps_are_counted():
    missing, _ = gaps([0, 20, 40, 60, 80], container="aac", codec="aac", damaged_before=[3])
    assert missing == [0, 0, 0, 10 * FRAME, 0]


def test_a_recording_that_was_joined_is_not_torn_apart():
    missing, damage = gaps([0, 20, 20_000, 20_020], container="mpegts")
    assert not any(missing)
    assert damage.unplaced_jumps == 1
    assert gaps([0, 20, 20_000])[0][-1] > 0


def test_no_gap_reaches_beyond_the_end_that_the_header_tells():
    missing, damage = gaps([0, 20, 9000, 9020], samples=48_000)
    assert not any(missing)
    assert damage.unplaced_jumps == 1


def test_time_that_goes_back_is_counted_on():
    assert not any(gaps([1000, 1020, 0, 20])[0])
