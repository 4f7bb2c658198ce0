"""`timeside topics …`: the topics of the bus."""

import asyncio
from typing import Annotated

import typer

from timeside.cli.common import kafka_access

app = typer.Typer(help="Look after the topics of the bus.", no_args_is_help=True)

Kafka = Annotated[str, typer.Option("--kafka", envvar="TIMESIDE_KAFKA_BOOTSTRAP", help="host:port,… of the brokers.")]


@app.callback()
def _group() -> None:
    """Have `apply` be a word of its own, though it is the only one."""


@app.command("apply")
def apply(
    kafka: Kafka = "127.0.0.1:9092",
    pool: Annotated[list[str] | None, typer.Option("--pool", help="A pool that the installation adds.")] = None,
    max_partitions: Annotated[
        int | None, typer.Option("--max-partitions", min=1, help="Of a topic; more can be had later, never fewer.")
    ] = None,
) -> None:
    """Make the topics that are missing, and change those that differ; never remove anything."""
    from timeside_core import topics

    more_pools = [each for each in dict.fromkeys(pool or []) if each not in topics.pools()]
    wanted = topics.declared(more_pools=more_pools, max_partitions=max_partitions)
    applied = asyncio.run(topics.apply(kafka, wanted, access=kafka_access()))
    for change in applied.changes:
        print(change)
    print(f"{applied.unchanged} topics are as declared")
