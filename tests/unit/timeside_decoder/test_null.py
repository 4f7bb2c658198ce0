"""`null_decoder`, natively and in the pipes of TimeSide 1."""

from timeside import core
from timeside_analyzer.level import Level
from timeside_core import get_processor


def test_it_is_one_sample_of_silence():
    results = (get_processor("null_decoder")() | Level()).run()
    assert results["level.max"].values < -100
    media = results[0].provenance.media
    assert (media.uri, media.samples, media.channels) == ("null:", 1, 1)


def test_it_begins_a_pipe_of_timeside_1():
    analyzer = core.get_processor("level")()
    (core.get_processor("null_decoder")() | analyzer).run()
    assert analyzer.results["level.max"].data[0] < -100
