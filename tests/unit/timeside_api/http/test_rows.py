"""Rows as answers: what is no number."""

import json

import numpy as np
import pytest

from timeside_api.http.results.rows import Slice, encoded
from timeside_core import get_processor
from timeside_core.outputs import Rows
from timeside_core.store import ResultKey, Store
from timeside_decoder.array import ArrayDecoder


def test_what_is_no_number_is_null(tmp_path):
    made = (ArrayDecoder(np.zeros((100, 1), np.float32), samplerate=8000) | get_processor("rms")()).run()[0]
    store = Store(tmp_path.as_uri())
    writer = store.writer(ResultKey("ab" * 32, "rms", "1.0", "cd" * 32), {"": made.output})
    writer.append("", Rows(np.float32([1.5, np.nan, np.inf, -np.inf])))
    stored = store.result(writer.finish(made.provenance, made.stream, {}).prefix)
    body, _ = encoded(stored, Slice(output="", level=0, start=0, stop=None, format="json"), 1 << 20)
    assert json.loads(body, parse_constant=pytest.fail)["values"] == [1.5, None, None, None]
