"""`downmix_to_mono` and `frames_adapter`: the framing of TimeSide 1, whatever the cut of the signal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timeside.core.preprocessors import downmix_to_mono, frames_adapter


class Listener:
    def __init__(self, blocksize, stepsize, id="listener"):
        self.input_blocksize, self.input_stepsize, self._id = blocksize, stepsize, id
        self.frames, self.ends = [], []

    def id(self):
        return self._id

    @downmix_to_mono
    @frames_adapter
    def process(self, frames, eod=False):
        self.frames.append(frames.tolist())
        self.ends.append(eod)


def heard(listener, audio, cuts=()):
    pieces = np.split(audio, sorted(cuts))
    for index, piece in enumerate(pieces):
        listener.process(piece, index == len(pieces) - 1)
    return listener.frames


def test_frames_overlap_and_the_last_is_filled_up():
    assert heard(Listener(4, 3), np.arange(14.0)) == [
        [0, 1, 2, 3],
        [3, 4, 5, 6],
        [6, 7, 8, 9],
        [9, 10, 11, 12],
        [12, 13, 0, 0],
    ]


def test_a_frame_of_zeros_comes_last_where_the_length_fits():
    assert heard(Listener(2, 2), np.arange(1.0, 5)) == [[1, 2], [3, 4], [0, 0]]
    assert heard(Listener(4, 2), np.arange(1.0, 5)) == [[1, 2, 3, 4], [3, 4, 0, 0]]


def test_the_end_comes_with_the_last_frame_only():
    listener = Listener(2, 2)
    heard(listener, np.arange(4.0))
    assert listener.ends == [False, False, True]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    length=st.integers(0, 60),
    blocksize=st.integers(1, 9),
    stepsize=st.integers(1, 12),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_frames_do_not_depend_on_cuts_and_are_as_many_as_said(length, blocksize, stepsize, cuts):
    audio = np.arange(float(length))
    whole = heard(Listener(blocksize, stepsize), audio)
    assert len(whole) == max(0, (length - blocksize + stepsize) // stepsize) + 1
    assert heard(Listener(blocksize, stepsize), audio, [min(cut, length) for cut in cuts]) == whole
    padded = np.concatenate([audio, np.zeros(blocksize + stepsize * len(whole))])
    assert whole == [padded[n * stepsize :][:blocksize].tolist() for n in range(len(whole))]


def test_channels_are_averaged_and_what_is_returned_is_not_touched():
    listener = Listener(2, 2)
    stereo = np.array([[1.0, 3.0], [5.0, 7.0]])
    frames, eod = listener.process(stereo, False)
    assert frames is stereo
    assert eod is False
    assert listener.frames == [[2, 6]]


def test_a_new_run_begins_anew():
    listener = Listener(4, 4)
    heard(listener, np.ones(3))
    assert heard(listener, np.zeros(3))[1] == [0, 0, 0, 0]


@pytest.mark.parametrize("id", ["aubio_mfcc", "aubio_pitch"])
def test_aubio_is_given_what_is_new(id):
    assert heard(Listener(4, 2, id), np.arange(1.0, 6)) == [[1, 2], [3, 4], [5, 0]]
