"""What is asked of a media: each result once, with its key and its pool."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeside_analyzer.gain import FxGain
from timeside_analyzer.level import Level
from timeside_analyzer.librosa_pyin import LibrosaPYIN
from timeside_analyzer.mfcc import MFCC
from timeside_analyzer.waveform import Waveform
from timeside_api.plans import MAX_PROCESSORS, asked, pool_of
from timeside_core import Analyzer, Frames, Processor, Segment
from timeside_core.errors import ParameterError
from timeside_core.key import digest
from timeside_core.registry import get_processor, processor_ids
from timeside_core.topics import pools
from timeside_encoder.flac import FlacEncoder
from timeside_grapher.waveform import WaveformSimple


class Noted(Analyzer):
    """Takes any text; has no id, so nobody else meets it."""

    note: str = ""


def test_a_result_has_the_key_that_workers_compute():
    gain, segment = FxGain(gain=0.5), Segment(100, 44_100)
    plain, louder = asked([MFCC(n_mels=40), gain, MFCC(n_mels=40)], segment)
    assert (plain.processor, plain.version) == ("mfcc", MFCC.version)
    assert plain.digest == digest(MFCC(n_mels=40), segment=segment)
    assert louder.digest == digest(MFCC(n_mels=40), effects=[gain], segment=segment)
    assert MFCC.from_parameters(plain.parameters) == MFCC(n_mels=40)
    assert [each["id"] for each in louder.effects] == ["fx_gain"]


def test_each_result_is_asked_for_once():
    assert len(asked([Level(), MFCC(), Level()])) == 2


def test_a_picture_brings_what_it_shows():
    assert [each.processor for each in asked([WaveformSimple()])] == ["waveform_analyzer", "waveform_simple"]


@pytest.mark.parametrize(
    ("processor", "pool"),
    [
        (Level(), "analyzer"),
        (LibrosaPYIN(), "analyzer-librosa"),
        (Waveform(), "grapher"),
        (WaveformSimple(), "grapher"),
        (FlacEncoder(), "encoder"),
    ],
)
def test_pools(processor: Processor, pool: str):
    assert pool_of(processor) == pool


def test_every_pool_that_a_processor_names_has_topics():
    classes = [get_processor(id) for id in processor_ids()]
    assert {cls.runs_in for cls in classes if getattr(cls, "runs_in", "")} <= pools().keys()


@pytest.mark.parametrize(
    ("processors", "rule"),
    [
        ([], "0 results"),
        ([FxGain()], "0 results"),
        ([Frames()], "makes no result"),
        ([MFCC(n_mels=n) for n in range(21, 22 + MAX_PROCESSORS)], f"1 to {MAX_PROCESSORS}"),
        ([Noted(note="a\0b")], "NUL"),
    ],
)
def test_what_cannot_be_asked(processors: list[Processor], rule: str):
    with pytest.raises(ParameterError, match=rule):
        asked(processors)


@given(st.lists(st.sampled_from([Level(), MFCC(), Waveform(), FxGain(gain=2.0)]), max_size=6))
def test_keys_are_unique(processors: list[Processor]):
    if any(not isinstance(each, FxGain) for each in processors):
        keys = [each.key for each in asked(processors)]
        assert len(set(keys)) == len(keys)
