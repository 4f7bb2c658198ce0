"""The judge of the chaos sees what it must."""

import random
from hashlib import sha256
from uuid import uuid4

import pytest
from tests.chaos import check
from tests.chaos.cases import Case
from tests.chaos.check import Asked, Row
from tests.chaos.media import hostile, recording

from timeside_api.models import ResultState, TaskState
from timeside_core.store import Store

NAME = "derived/ab/cd/flac_encoder/1.0/ef/01.flac"


@pytest.fixture
def store(tmp_path):
    return Store((tmp_path / "store").as_uri())


@pytest.fixture
def case(store):
    data = recording(random.Random(440)).data
    media, _ = store.put_media([data])
    return Case(0, "plain", (uuid4(),), "bulk", (("flac_encoder", {}),), "s16.wav", media)


@pytest.fixture
def file(store, case):
    data = check._reference(store, case, [], *case.processors())
    store.objects.put(NAME, data)
    return data


def row(data: bytes, state=ResultState.DONE, **more) -> Row:
    facts = {"object_name": NAME, "object_sha256": sha256(data).hexdigest(), "code": "", "reason": ""}
    return Row(id=uuid4(), processor="flac_encoder", state=state, **(facts | more))


def fates(store, case, *rows, state=TaskState.DONE):
    _, findings = check._compared((store.objects.url, Asked(case, state, rows)))
    return [finding.fate for finding in findings]


def test_what_is_as_in_one_process_is_right(store, case, file):
    assert fates(store, case, row(file)) == []


def test_other_bytes_than_those_of_one_process_are_wrong(store, case, file):
    other = file[:-1] + bytes([file[-1] ^ 1])
    store.objects.put(NAME, other)
    assert fates(store, case, row(other)) == ["wrong"]


def test_what_is_damaged_or_missing_is_half(store, case, file):
    store.objects.put(NAME, file[:-1])
    assert fates(store, case, row(file)) == ["half"]
    store.objects.delete(NAME)
    assert fates(store, case, row(file)) == ["half"]


def test_what_has_failed_or_was_cancelled_for_no_reason_is_lost(store, case, file):
    failed = row(file, ResultState.FAILED, code="attempts", reason="it ended badly")
    assert fates(store, case, failed) == ["lost"]
    assert fates(store, case, row(file, ResultState.FAILED)) == ["unexplained", "lost"]
    assert fates(store, case, row(file, ResultState.CANCELLED)) == ["lost"]
    assert fates(store, case) == ["lost"]


def test_a_task_that_runs_for_ever_is_stuck(store, case, file):
    assert fates(store, case, row(file), state=TaskState.RUNNING) == ["stuck"]


def test_a_result_of_what_cannot_be_decoded_is_wrong(store, case, file):
    case.sha256, _ = store.put_media([hostile(random.Random(440)).data])
    assert fates(store, case, row(file)) == ["wrong"]
    assert fates(store, case, row(file, ResultState.FAILED, code="media", reason="it is no audio")) == []


def test_two_results_where_there_should_be_one_are_told(case, file):
    assert not list(check._unshared(case, [[one := row(file)], [one]]))
    assert list(check._unshared(case, [[row(file)], [row(file)]]))
