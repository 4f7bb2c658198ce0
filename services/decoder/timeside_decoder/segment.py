"""The part of a media that a decoder was asked for, in samples."""

from timeside_core import Decoder, Segment
from timeside_core.errors import SegmentError


def segment_of(decoder: Decoder, name: str, samplerate: int, samples: int | None) -> Segment:
    """The segment of a media; `samples` is its length, or None where that is not known well enough to judge."""
    first = round(decoder.start * samplerate)
    length = None if decoder.duration is None else round(decoder.duration * samplerate)
    segment = Segment(first, length)
    if length == 0:
        raise SegmentError(f"{name}: duration={decoder.duration:g} s is less than a sample at {samplerate} Hz")
    if samples is not None:
        check_inside(segment, decoder, name, samplerate, samples)
    return segment


def check_inside(segment: Segment, decoder: Decoder, name: str, samplerate: int, samples: int) -> None:
    """Raise `SegmentError` where the segment does not lie inside a media of that many samples."""
    stop = segment.first_sample + (segment.samples or 0)
    begins_behind_the_end = segment.first_sample >= samples and not segment.whole
    if begins_behind_the_end or stop > samples:
        length = "" if decoder.duration is None else f", duration={decoder.duration:g} s"
        raise SegmentError(
            f"segment start={decoder.start:g} s{length} lies outside {name}'s {samples / samplerate:g} s"
        )
