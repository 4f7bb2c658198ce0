"""Rows of a stream: each once, whatever comes twice, late or not at all; and what is kept of a sign-in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeside.cli import remote
from timeside.client import ClientError
from timeside.client.errors import ApiError
from timeside.client.rows import Had, ResultRows, times_of

TOTAL = 50
SPANS = st.lists(st.tuples(st.integers(0, TOTAL), st.integers(0, TOTAL)).map(sorted), max_size=20)


def rows(start: int, stop: int) -> ResultRows:
    numbers = np.arange(start, stop)
    return ResultRows(result_id="r", output="result", first_row=start, values=numbers, times=numbers / 10)


@given(SPANS)
def test_each_row_is_had_once_and_what_is_missing_is_known(spans: list[list[int]]):
    had, seen = Had(), []
    for start, stop in spans:
        new = had.take(rows(start, stop))
        if new is not None:
            np.testing.assert_array_equal(new.values, np.arange(new.first_row, new.stop_row))
            np.testing.assert_array_equal(new.times, new.values / 10)
            seen += new.values.tolist()
    rest = [row for start, stop in had.missing(TOTAL) for row in range(start, stop)]
    assert sorted(seen + rest) == list(range(TOTAL))


def test_times_are_centres_on_the_clock():
    clock = {"samplerate": 1000, "hop_length": 10, "start_s": 0.5}
    np.testing.assert_allclose(times_of(clock, 2, 3), [0.52, 0.53, 0.54])


@pytest.mark.parametrize("answer", [None, "text", {}, {"code": "x", "detail": "no"}])
def test_an_answer_that_is_an_error_has_words(answer: object):
    error = ApiError.of(500, answer)
    assert isinstance(error, ClientError)
    assert str(error) in ("no", "the server answered with status 500")


def test_what_is_kept_is_for_its_owner_only(tmp_path, monkeypatch: pytest.MonkeyPatch):
    for name in ("TIMESIDE_URL", "TIMESIDE_TOKEN", "TIMESIDE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with pytest.raises(remote.LoginError, match="timeside login"):
        remote.known()
    for token in ("first", "second"):
        file = remote.keep("http://a.example", token)
        assert file == tmp_path / "config/timeside/client.json"
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert remote.known() == ("http://a.example", token)
    monkeypatch.setenv("TIMESIDE_TOKEN", "other")
    assert remote.known() == (remote.DEFAULT_URL, "other")
    monkeypatch.setenv("TIMESIDE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TIMESIDE_TOKEN")
    assert remote.keep("http://b.example", "t").parent == tmp_path / "home"
    (tmp_path / "home/client.json").write_text("{}")
    with pytest.raises(remote.LoginError, match="cannot be read"):
        remote.known()
