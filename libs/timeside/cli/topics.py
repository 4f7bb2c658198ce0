"""`timeside topics …`: the topics of the bus."""

import asyncio
from typing import Annotated

import typer

app = typer.Typer(help="Look after the topics of the bus.", no_args_is_help=True)

Kafka = Annotated[str, typer.Option("--kafka", envvar="TIMESIDE_KAFKA_BOOTSTRAP", help="host:port,… of the brokers.")]


@app.callback()
def _group() -> None:
    """Have `apply` be a word of its own, though it is the only one."""


@app.command("apply")
def apply(kafka: Kafka = "127.0.0.1:9092") -> None:
    """Make the topics that are missing, and change those that differ; never remove anything."""
    from timeside_core import topics

    applied = asyncio.run(topics.apply(kafka))
    for change in applied.changes:
        print(change)
    print(f"{applied.unchanged} topics are as declared")
