import pickle

import pytest

from timeside_core.errors import ParameterError
from timeside_encoder.flac import FlacEncoder
from timeside_encoder.tags import MOST, Tags


def test_tags_are_a_value():
    one, other = Tags({"title": "T", "artist": "A"}), Tags({"ARTIST": "A", "Title": "T"})

    assert one == other == {"artist": "A", "title": "T"}
    assert hash(one) == hash(other)
    assert list(one) == ["artist", "title"]
    assert pickle.loads(pickle.dumps(one)) == one
    assert FlacEncoder(metadata=one) == FlacEncoder(metadata=dict(other))
    assert hash(FlacEncoder(metadata=one)) == hash(FlacEncoder(metadata=dict(other)))


def test_what_no_format_can_hold_is_left_out():
    given = {
        "": "x",
        "a=b": "x",
        "naïve": "x",
        "line\nbreak": "x",
        "empty": "",
        "nul": "before\0after",
        "half": "\ud800",
        "ok": "♪",
    }

    assert Tags(given) == {"half": "?", "nul": "before", "ok": "♪"}


def test_tags_are_bounded():
    assert len(Tags({"comment": "x" * 1_000_000})["comment"]) == 10_000
    with pytest.raises(ParameterError, match="more than"):
        FlacEncoder(metadata={f"t{n}": "x" for n in range(MOST + 1)})


def test_tags_are_an_object_in_the_schema():
    schema = FlacEncoder.schema()["properties"]["metadata"]

    assert (schema["type"], schema["default"]) == ("object", {})
    assert schema["description"]
