"""How far a client is: no row twice, none missing without a word, however what comes is cut, repeated or dropped."""

from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeside_api.http.stream.cursor import Cursor
from timeside_core.ids import uuid7
from timeside_core.messages import Closed, PartialRows
from timeside_core.outputs import Rows

RUN = uuid7()


def rows(first: int, count: int, *, seq: int = 0, run_id: UUID = RUN, attempt: int = 1) -> PartialRows:
    values = np.arange(first, first + count, dtype=np.float32)
    return PartialRows(
        run_id=run_id, attempt=attempt, seq=seq, processor=0, output=0, first_row=first, rows=Rows(values)
    )


def following(attempt: int = 1) -> Cursor:
    cursor = Cursor()
    cursor.follow(RUN, attempt)
    return cursor


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)), max_size=30), st.integers(0, 30))
def test_rows_and_gaps_together_are_all_rows_once(pieces: list[tuple[int, int]], reconnect_at: int):
    cursor, told = following(), list[int]()
    for number, (first, count) in enumerate(pieces):
        if number == reconnect_at:
            cursor = Cursor.of(cursor.token())
        gap, new = cursor.take(rows(first, count, seq=number))
        if gap is not None:
            told += range(gap.first_row, gap.first_row + gap.rows)
        if new is not None:
            np.testing.assert_array_equal(new.rows.values, np.arange(new.first_row, new.first_row + len(new.rows)))
            told += new.rows.values.astype(int).tolist()
    assert told == list(range(max((first + count for first, count in pieces), default=0)))


def test_times_are_cut_with_the_rows():
    cursor = following()
    cursor.take(rows(0, 3))
    message = rows(1, 4)
    times = np.arange(1.0, 5.0)
    timed = PartialRows(
        run_id=RUN,
        attempt=1,
        seq=1,
        processor=0,
        output=0,
        first_row=1,
        rows=Rows(message.rows.values, times, times / 10),
    )
    _, new = cursor.take(timed)
    assert new is not None
    assert (new.first_row, new.rows.times.tolist(), len(new.rows.durations)) == (3, [3.0, 4.0], 2)


def test_a_new_attempt_begins_with_row_0():
    cursor = following()
    cursor.take(rows(0, 5))
    cursor.follow(RUN, 2)
    assert cursor.is_past(RUN, 1)
    assert not cursor.counts(RUN, 1)
    gap, new = cursor.take(rows(0, 2, attempt=2))
    assert gap is None
    assert new is not None
    cursor.follow(RUN, 1)
    assert cursor.counts(RUN, 2)


def test_a_lost_end_is_noticed():
    cursor = following()
    cursor.take(rows(0, 5, seq=0))
    assert not cursor.close(Closed(run_id=RUN, attempt=1, processor=0, messages=1))
    assert cursor.close(Closed(run_id=RUN, attempt=1, processor=0, messages=2))
    assert cursor.is_closed(RUN, 0)


@pytest.mark.parametrize("token", ["x", "bnVsbA==", "WzFd", "eyJhIjogMX0=", "é" * 10])
def test_what_is_no_token_is_refused(token: str):
    with pytest.raises(ValueError, match="none that we gave"):
        Cursor.of(token)
