"""The SHA-256 of the bytes, computed beside the decoding."""

import hashlib
import os

import pytest
from tests.support.media import decode

from timeside_core.errors import MediaError
from timeside_decoder.file import FileDecoder
from timeside_decoder.media import describe


@pytest.mark.parametrize("segment", [{}, {"start": 0.5, "duration": 0.1}])
@pytest.mark.parametrize("name", ["s16.wav", "aac.m4a"])
def test_the_hash_is_that_of_the_whole_file(files, name, segment):
    wanted = hashlib.sha256((files / name).read_bytes()).hexdigest()
    assert decode(files / name, **segment).media.sha256 == wanted
    assert describe(files / name, hash=True).sha256 == wanted


def test_the_time_of_hashing_is_told_apart(files):
    with FileDecoder(files / "s16.wav").open() as source:
        assert source.media.sha256 is None
        assert source.hash_time_s == 0
        list(source)
        assert source.hash_time_s > 0


def test_without_hash_there_is_none(files):
    assert decode(files / "s16.wav", hash=False).media.sha256 is None


def test_a_source_may_be_left_in_the_middle(files):
    with FileDecoder(files / "s16.wav").open() as source:
        next(iter(source))


def test_a_file_that_changes_meanwhile_is_refused(files, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes((files / "s16.wav").read_bytes())
    with FileDecoder(path).open() as source:
        blocks = iter(source)
        next(blocks)
        os.utime(path, (0, 0))
        with pytest.raises(MediaError, match=r"a\.wav: the file changed"):
            list(blocks)


def test_where_to_read_and_how_much_is_no_parameter_of_a_result(files):
    decoder = FileDecoder(files / "s16.wav", max_samples=10**6, hash=False, start=0.25)
    assert decoder.parameters() == {"start": 0.25, "duration": None}
