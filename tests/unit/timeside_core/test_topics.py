"""The declared topics: whole, bounded, in step with messages and names."""

from typing import get_args

import pytest

from timeside_core import messages, topics
from timeside_core.bus import Topic
from timeside_core.bus.memory import MemoryBus
from timeside_core.messages import kinds

DECLARED = topics.declared()
NAMES = [topic.name for topic in DECLARED]


def test_each_name_once_and_nothing_left_to_expand():
    assert len(set(NAMES)) == len(NAMES)
    assert not [name for name in NAMES if "{" in name]


def test_the_lanes_are_those_of_messages():
    assert topics.lanes() == get_args(messages.Lane)


def test_every_topic_carries_messages_and_every_message_has_a_topic():
    carried = {kind for name in NAMES for kind in kinds(name)}
    own = {messages.Block, messages.PartialRows, messages.EncodedChunk}
    bodies = {messages.Start, messages.End, messages.DecodingError, messages.Discontinuity}
    declared = {
        kind
        for kind in vars(messages).values()
        if isinstance(kind, type) and issubclass(kind, messages.JsonMessage) and kind is not messages.JsonMessage
    }
    assert carried == own | (declared - bodies)


def test_names_that_code_uses_are_declared():
    for lane in get_args(messages.Lane):
        assert {topics.decode_commands(lane), topics.graph_commands(lane)} <= set(NAMES)
        assert {topics.pcm(pool, lane) for pool in topics.pools()} <= set(NAMES)
    constants = {value for name, value in vars(topics).items() if name.isupper()}
    assert constants <= set(NAMES)


@pytest.mark.parametrize("topic", DECLARED, ids=lambda topic: topic.name)
def test_a_topic_has_a_reason_and_holds_together(topic: Topic):
    assert topic.why
    assert topic.segment_s <= topic.retention_s
    assert topic.segment_bytes <= (topic.retention_bytes or topic.segment_bytes)
    assert topic.min_in_sync < topic.replicas
    assert topic.max_message_bytes + 1024 < 1_048_588  # what brokers and consumers accept by default


def test_more_pools_and_fewer_partitions():
    more = topics.declared(more_pools=["analyzer-gpu"], max_partitions=2)
    assert topics.pcm("analyzer-gpu", "bulk") in {topic.name for topic in more}
    assert {topic.partitions for topic in more} == {1, 2}


def test_what_kafka_is_told():
    (pcm,) = [topic for topic in DECLARED if topic.name == topics.pcm("analyzer", "interactive")]
    assert topics.kafka_config(pcm) == {
        "cleanup.policy": "delete",
        "compression.type": "producer",
        "max.message.bytes": "1001024",
        "min.insync.replicas": "1",
        "retention.bytes": "8589934592",
        "retention.ms": "21600000",
        "segment.bytes": "268435456",
        "segment.ms": "600000",
    }
    (progress,) = [topic for topic in DECLARED if topic.name == topics.PROGRESS]
    config = topics.kafka_config(progress.model_copy(update={"replicas": 1}))
    assert (config["cleanup.policy"], config["min.insync.replicas"]) == ("compact,delete", "1")


async def test_the_memory_bus_has_them_too():
    async with MemoryBus(topics.declared(max_partitions=4)) as bus:
        await bus.check(*NAMES)
        assert await bus.partition_count(topics.RESULT) == 4
