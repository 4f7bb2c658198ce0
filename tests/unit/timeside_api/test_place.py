"""Where runs are handed out: within credits, evenly, and with no company for those that must have none."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from timeside_api.dispatcher import place
from timeside_api.queue import Load, Placed, Waiting
from timeside_core.ids import uuid7

ALONE = 2
OWNER = uuid7()


def waiting(*, partition: int | None = None, strikes: int = 0) -> Waiting:
    return Waiting(uuid7(), OWNER, partition, strikes, 0.0, 1.0)


def placed(queue: list[Waiting], loads: dict[int, Load], partitions: int = 4, credits: int = 3) -> list[Placed]:
    return place(queue, loads, partitions, credits=credits, alone_from_strikes=ALONE)


def numbers(queue: list[Waiting], loads: dict[int, Load]) -> list[int]:
    return [each.partition for each in placed(queue, loads)]


def test_the_partition_with_the_fewest_runs_comes_first():
    assert numbers([waiting() for _ in range(4)], {0: Load(2, False), 1: Load(1, False)}) == [2, 3, 1, 2]


def test_a_run_stays_on_its_partition_and_waits_for_room_there():
    full = {1: Load(3, False)}
    assert numbers([waiting(partition=1), waiting(partition=2), waiting()], full) == [2, 0]


def test_who_must_be_alone_waits_for_the_others_to_end_and_keeps_newcomers_out():
    queue = [waiting(partition=0, strikes=ALONE), waiting(partition=0), waiting()]
    assert numbers(queue, {0: Load(1, False)}) == [1]
    assert numbers(queue, {}) == [0, 1]


def test_who_is_alone_gets_no_company():
    loads = {number: Load(1, True) for number in range(4)}
    assert numbers([waiting(), waiting(partition=2), waiting(strikes=ALONE)], loads) == []


def test_a_partition_that_is_no_more_still_has_its_runs():
    assert numbers([waiting(partition=9)], {}) == [9]


runs = st.builds(waiting, partition=st.none() | st.integers(0, 3), strikes=st.sampled_from([0, 0, 0, 1, ALONE]))


@given(
    st.lists(runs, max_size=40),
    st.dictionaries(st.integers(0, 3), st.builds(Load, st.integers(1, 3), st.booleans()), max_size=4),
)
def test_what_always_holds(queue: list[Waiting], loads: dict[int, Load]):
    result = placed(queue, loads)
    held = Counter({number: load.runs for number, load in loads.items()})
    held.update(each.partition for each in result)
    assert all(held[each.partition] <= 3 for each in result)
    assert [each.waiting for each in result] == [each for each in queue if each in {one.waiting for one in result}]
    for each in result:
        assert each.waiting.partition in (None, each.partition)
        assert each.partition not in loads or not loads[each.partition].alone
        if each.waiting.strikes >= ALONE:
            assert held[each.partition] == 1
