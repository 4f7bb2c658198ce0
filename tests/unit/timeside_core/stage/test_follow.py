"""Which blocks count, and what may be committed: whatever the order in which decoders wake."""

from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from timeside_core.messages import Block, BlockKind, LiveSource, MediaFacts, Plan, PlannedProcessor, Run, SampleFormat
from timeside_core.messages import Start as StartOfStream
from timeside_core.stage.follow import Followed, Follower

RUN = UUID(int=1)


def block(kind: BlockKind, seq: int, *, run: int = 1, attempt: int = 1, stream: int = 1) -> Block:
    is_data = kind is BlockKind.DATA
    return Block(
        kind=kind,
        run_id=UUID(int=run),
        attempt=attempt,
        stream_id=stream,
        seq=seq,
        first_sample=0,
        samplerate=44_100,
        channels=1,
        sample_format=SampleFormat.F32,
        samples=int(is_data),
        payload=bytes(4) if is_data else b"",
    )


def decoding(length: int, **ids: int) -> list[Block]:
    kinds = [BlockKind.START, *[BlockKind.DATA] * length, BlockKind.END]
    return [block(kind, seq, **ids) for seq, kind in enumerate(kinds)]


def taken(blocks: list[Block]) -> tuple[Follower, list[str], dict[Followed, list[int]]]:
    """Verdicts on blocks, and what was fed of each decoding."""
    follower, verdicts, fed = Follower(0), list[str](), dict[Followed, list[int]]()
    for offset, each in enumerate(blocks):
        verdict = follower.take(offset, each)
        verdicts.append(verdict.action)
        if verdict.action in ("begin", "feed") and verdict.followed is not None:
            fed.setdefault(verdict.followed, []).append(each.seq)
    return follower, verdicts, fed


def test_the_watermark_is_the_oldest_start_that_is_not_settled() -> None:
    first, second = decoding(2, run=1), decoding(2, run=2)
    follower, _, fed = taken([first[0], second[0], *first[1:], *second[1:]])
    assert follower.watermark == 0
    one, two = fed
    follower.settle(one)
    assert follower.watermark == 1
    follower.settle(two)
    assert follower.watermark == follower.position == 8


def test_a_lower_attempt_never_comes_back() -> None:
    old, new = decoding(3, attempt=1), decoding(3, attempt=2, stream=2)
    _, verdicts, fed = taken([*old[:2], *new, *old])
    assert verdicts == ["begin", "feed", *["begin", *["feed"] * 4], *["drop"] * 5]
    assert list(fed.values())[1] == [0, 1, 2, 3, 4]


def test_a_missing_block_ends_the_run() -> None:
    blocks = decoding(4)
    _, verdicts, _ = taken([*blocks[:2], *blocks[3:]])
    assert verdicts == ["begin", "feed", "gap", "drop", "drop"]


def test_blocks_seen_before_are_dropped() -> None:
    blocks = decoding(3)
    _, verdicts, _ = taken([*blocks[:3], *blocks[1:]])
    assert verdicts == ["begin", "feed", "feed", "drop", "drop", "feed", "feed"]


@given(st.data())
def test_what_is_fed_of_a_decoding_is_its_beginning_in_order(data: st.DataObject) -> None:
    """Several decoders of one run, each in order, their blocks mixed at will: none is ever mixed with another."""
    attempts = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    waiting = [decoding(3, attempt=attempt, stream=stream) for stream, attempt in enumerate(attempts)]
    mixed: list[Block] = []
    while left := [each for each in waiting if each]:
        mixed.append(data.draw(st.sampled_from(left)).pop(0))
    follower, verdicts, fed = taken(mixed)
    assert "gap" not in verdicts
    assert all(seqs == list(range(len(seqs))) for seqs in fed.values())
    begun = [each.attempt for each in fed]
    assert begun == sorted(begun)
    for followed in fed:
        follower.settle(followed)
    assert follower.watermark == len(mixed)


def endless(length: int, every: int, *, attempt: int = 1, stream: int = 1) -> list[Block]:
    """Blocks of one sample; the start is said again each so many of them."""
    plan = Plan(source=LiveSource(session=RUN, url="https://radio.example/a"), processors=(LEVEL,), sinks=())
    run = Run(run_id=RUN, attempt=attempt, lane="interactive", plan=plan)
    made = [block(BlockKind.START, 0, attempt=attempt, stream=stream)]
    for seq in range(1, length + 1):
        data = replace(block(BlockKind.DATA, seq, attempt=attempt, stream=stream), first_sample=seq - 1)
        made.append(data)
        if seq % every == 0:
            start = StartOfStream(run=run, facts=MediaFacts(samplerate=44_100, channels=1), next_seq=seq + 1)
            made.append(replace(made[0], first_sample=seq, body=start))
    return made


LEVEL = PlannedProcessor(id="level", version="1", digest="0" * 64, pool="analyzer", result_id=RUN)


def test_an_endless_run_is_kept_from_the_last_start_before_what_is_needed() -> None:
    blocks = endless(10, every=3)
    follower, _, fed = taken(blocks)
    (followed,) = fed
    assert fed[followed] == list(range(11))
    marks: list[tuple[int, int]] = []
    for first_sample in (0, 2, 3, 5, 8, 9, 10):
        followed.need(first_sample)
        marks.append((first_sample, follower.watermark))
    assert marks == [(0, 0), (2, 0), (3, 4), (5, 4), (8, 8), (9, 12), (10, 12)]
    assert all(blocks[mark].kind is BlockKind.START and blocks[mark].first_sample <= first for first, mark in marks)


def test_an_endless_run_is_taken_up_in_the_middle_by_who_comes_anew() -> None:
    _, verdicts, fed = taken(endless(6, every=3)[2:])
    assert verdicts == ["drop", "drop", "begin", "feed", "feed", "feed", "note"]
    assert list(fed.values()) == [[0, 4, 5, 6]]


def test_an_endless_run_that_was_given_up_stays_so() -> None:
    blocks = endless(9, every=3)
    _, verdicts, _ = taken([*blocks[:3], *blocks[5:]])
    assert verdicts == ["begin", "feed", "feed", "gap", *["drop"] * 7]


def test_another_stream_of_an_endless_run_is_not_taken_up_in_the_middle() -> None:
    _, verdicts, _ = taken([*endless(3, every=3), *endless(6, every=3, stream=2)[4:]])
    assert verdicts == ["begin", "feed", "feed", "feed", "note", *["drop"] * 5]
