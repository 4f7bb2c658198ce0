"""UUID version 7: its fields, its order."""

import time
from uuid import RFC_4122

from timeside_core import ids


def test_fields_are_those_of_version_7():
    before = time.time_ns() // 1_000_000
    id = ids.uuid7()
    assert id.version == 7
    assert id.variant == RFC_4122
    assert before <= ids.unix_ms(id) <= time.time_ns() // 1_000_000 + 1


def test_ids_rise_even_while_the_clock_stands(monkeypatch):
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_645_557_742_000_000_000)
    made = [ids.uuid7() for _ in range(10_000)]
    assert made == sorted(set(made))
