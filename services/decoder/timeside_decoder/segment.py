"""The part of a media that a decoder was asked for, in samples."""

from timeside_core import Decoder, Segment
from timeside_core.errors import SegmentError

_MOST_SAMPLES = 1 << 53
"""Far beyond any media, and exact as a float."""


def segment_of(decoder: Decoder, samplerate: int) -> Segment:
    """The segment that a decoder was asked for; raises `SegmentError` where it is shorter than a sample."""
    length = None if decoder.duration is None else _samples(decoder.duration, samplerate)
    if length == 0:
        raise SegmentError(f"duration={decoder.duration:g} s is less than one sample at {samplerate} Hz")
    return Segment(_samples(decoder.start, samplerate), length)


def _samples(seconds: float, samplerate: int) -> int:
    return round(min(seconds * samplerate, _MOST_SAMPLES))


def check_inside(decoder: Decoder, name: str, samplerate: int, samples: int, tolerance_samples: int = 0) -> None:
    """Raise `SegmentError` where the segment does not lie inside a media of that many samples."""
    segment = segment_of(decoder, samplerate)
    stop = segment.first_sample + (0 if segment.whole else segment.samples or 1)
    if stop > samples + tolerance_samples:
        length = "" if decoder.duration is None else f", duration={decoder.duration:g} s"
        raise SegmentError(
            f"segment start={decoder.start:g} s{length} lies outside {name}'s {samples / samplerate:g} s"
        )
