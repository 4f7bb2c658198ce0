"""Topics are applied to a real broker: made, added to, set, and left alone the second time."""

import pytest

from timeside_core import topics
from timeside_core.bus import Topic
from timeside_core.bus.kafka import KafkaAdmin
from timeside_core.ids import uuid7

pytestmark = pytest.mark.integration


async def test_all_declared_topics_can_be_had(kafka_bootstrap: str):
    await topics.apply(kafka_bootstrap)
    again = await topics.apply(kafka_bootstrap)
    assert not again.of("made")
    assert not again.of("changed")
    async with KafkaAdmin(kafka_bootstrap) as admin:
        found = await admin.topics()
        brokers = await admin.brokers()
    for topic in topics.declared():
        assert found[topic.name] == (topic.partitions, min(topic.replicas, brokers))


async def test_changes_are_applied_and_reported_and_nothing_is_taken_away(kafka_bootstrap: str):
    topic = Topic(name=f"test.{uuid7()}", partitions=2, replicas=1, min_in_sync=1)
    made = await topics.apply(kafka_bootstrap, [topic])
    assert [str(change) for change in made.changes] == [f"{topic.name}: made: partitions 2, replicas 1"]
    assert await topics.apply(kafka_bootstrap, [topic]) == topics.Applied([], 1)

    async with KafkaAdmin(kafka_bootstrap) as admin:
        mine = {"max.compaction.lag.ms": "123456"}
        await admin.set_configs(topic.name, {**topics.kafka_config(topic), **mine})
    grown = topic.model_copy(update={"partitions": 3, "retention_s": 7200, "replicas": 2})
    changed = await topics.apply(kafka_bootstrap, [grown])
    assert [(change.what, change.details) for change in changed.changes][:2] == [
        ("changed", "partitions 2 → 3"),
        ("changed", "retention.ms 86400000 → 7200000"),
    ]
    shrunk = await topics.apply(kafka_bootstrap, [topic.model_copy(update={"retention_s": 7200})])
    assert [(change.what, change.details) for change in shrunk.changes] == [
        ("different", "3 partitions where 2 are declared: they cannot be taken away")
    ]
    async with KafkaAdmin(kafka_bootstrap) as admin:
        assert (await admin.topics())[topic.name] == (3, 1)
        configs = await admin.configs([topic.name])
    assert configs[topic.name] == {**topics.kafka_config(topic), "retention.ms": "7200000", **mine}
