"""The topics of `topics.yaml`: their names, and how brokers are brought to have them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from timeside_core.bus import KafkaAccess, Topic
from timeside_core.messages import Lane

RESULT = "ts.result"
PARTIAL = "ts.partial"
ENCODED = "ts.encoded"
PROGRESS = "ts.progress"
LEASE = "ts.lease"
CONTROL = "ts.control"
LIVE = "ts.cmd.live"
DEAD_LETTERS = "ts.dlq"


def decode_commands(lane: Lane) -> str:
    """Where decoders (in the bulk lane: fused workers) get their runs."""
    return f"ts.cmd.decode.{lane}"


def graph_commands(lane: Lane) -> str:
    """Where graphers get pictures to draw."""
    return f"ts.cmd.graph.{lane}"


def pcm(pool: str, lane: Lane) -> str:
    """Where a pool gets its blocks of audio."""
    return f"ts.pcm.{pool}.{lane}"


class _Declaration(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1]
    lanes: list[str]
    pools: dict[str, str]
    topics: list[Topic]
    """Their names are patterns."""


@cache
def _declaration() -> _Declaration:
    import yaml

    return _Declaration.model_validate(yaml.safe_load(files("timeside_core").joinpath("topics.yaml").read_text()))


def lanes() -> tuple[str, ...]:
    """All lanes."""
    return tuple(_declaration().lanes)


def pools() -> Mapping[str, str]:
    """Pools that TimeSide itself declares, and what each is for."""
    return dict(_declaration().pools)


def declared(*, more_pools: Iterable[str] = (), max_partitions: int | None = None) -> list[Topic]:
    """All topics, also those of pools that an installation adds; a single process does with fewer partitions."""
    declaration = _declaration()
    names = {"lane": declaration.lanes, "pool": [*declaration.pools, *more_pools]}
    return [
        each.model_copy(update={"name": name, "partitions": min(each.partitions, max_partitions or each.partitions)})
        for each in declaration.topics
        for name in _expanded(each.name, names)
    ]


def _expanded(pattern: str, names: Mapping[str, list[str]]) -> list[str]:
    expanded: list[str] = [pattern]
    for word, values in names.items():
        if f"{{{word}}}" in pattern:
            expanded = [each.replace(f"{{{word}}}", value) for each in expanded for value in values]
    return expanded


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to a topic, or was found different and left alone."""

    topic: str
    what: str
    """`made`, `changed` or `different`."""
    details: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.what}: {self.details}"


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` did; the second time in a row, nothing."""

    changes: list[Change] = field(default_factory=list[Change])
    unchanged: int = 0

    def of(self, what: str) -> list[Change]:
        """Changes of a kind."""
        return [change for change in self.changes if change.what == what]


async def apply(bootstrap: str, topics: Iterable[Topic] | None = None, *, access: KafkaAccess | None = None) -> Applied:
    """Bring the brokers at `host:port` to have these topics (by default all declared): make, add to, set; never remove.

    Fewer partitions than there are cannot be had, and other replicas mean moving data: those are reported as
    `different`. Settings that somebody made for a topic beyond what is declared stay as they are.
    """
    from timeside_core.bus.kafka import KafkaAdmin

    wanted = declared() if topics is None else list(topics)
    applied: list[Change] = []
    unchanged = 0
    async with KafkaAdmin(bootstrap, access=access) as admin:
        brokers, found = await admin.brokers(), await admin.topics()
        configs = await admin.configs(topic.name for topic in wanted if topic.name in found)
        for topic in wanted:
            replicas = min(topic.replicas, brokers)
            config = kafka_config(topic.model_copy(update={"replicas": replicas}))
            if topic.name in found:
                changes = await _change(admin, topic, replicas, config, found[topic.name], configs[topic.name])
            else:
                await admin.create(topic, config, replicas=replicas)
                changes = [Change(topic.name, "made", f"partitions {topic.partitions}, replicas {replicas}")]
            if replicas < topic.replicas:
                details = f"{replicas} of {topic.replicas} replicas, for want of brokers"
                changes.append(Change(topic.name, "different", details))
            applied += changes
            unchanged += not changes
    return Applied(applied, unchanged)


async def _change(
    admin: Any, topic: Topic, replicas: int, config: dict[str, str], found: tuple[int, int], before: dict[str, str]
) -> list[Change]:
    partitions, replicas_before = found
    changes: list[Change] = []
    if partitions < topic.partitions:
        await admin.add_partitions(topic.name, topic.partitions)
        changes.append(Change(topic.name, "changed", f"partitions {partitions} → {topic.partitions}"))
    elif partitions > topic.partitions:
        details = f"{partitions} partitions where {topic.partitions} are declared: they cannot be taken away"
        changes.append(Change(topic.name, "different", details))
    if replicas_before != replicas:
        changes.append(Change(topic.name, "different", f"{replicas_before} replicas where {replicas} are declared"))
    if other := {name: value for name, value in config.items() if before.get(name) != value}:
        await admin.set_configs(topic.name, {**before, **config})
        details = ", ".join(f"{name} {before.get(name, 'unset')} → {value}" for name, value in other.items())
        changes.append(Change(topic.name, "changed", details))
    return changes


def kafka_config(topic: Topic) -> dict[str, str]:
    """Kafka's names and units for what is declared; also what compose and Helm write."""
    return {
        "cleanup.policy": "compact,delete" if topic.compact else "delete",
        "compression.type": "producer",  # blocks do not shrink, and a broker would try
        "max.message.bytes": str(topic.max_message_bytes + 1024),  # the key and the headers come on top
        "min.insync.replicas": str(min(topic.min_in_sync, topic.replicas)),
        "retention.bytes": str(-1 if topic.retention_bytes is None else topic.retention_bytes),
        "retention.ms": str(topic.retention_s * 1000),
        "segment.bytes": str(topic.segment_bytes),
        "segment.ms": str(topic.segment_s * 1000),
    }
