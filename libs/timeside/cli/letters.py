"""`timeside letters …`: messages that could not be read, their cause and origin, and how to send them again."""

import asyncio
from typing import Annotated

import typer

from timeside.cli.common import kafka_access

app = typer.Typer(help="Look after messages that could not be read.", no_args_is_help=True)

Kafka = Annotated[str, typer.Option("--kafka", envvar="TIMESIDE_KAFKA_BOOTSTRAP", help="host:port,… of the brokers.")]


@app.command("list")
def list_letters(kafka: Kafka = "127.0.0.1:9092") -> None:
    """List them: position, origin, group, cause."""
    from timeside.letters import show

    asyncio.run(show(kafka, kafka_access()))


@app.command("redrive")
def redrive_letters(
    positions: Annotated[list[str], typer.Argument(help="PARTITION:OFFSET as listed, or `all`.", metavar="POSITION…")],
    kafka: Kafka = "127.0.0.1:9092",
) -> None:
    """Send them again to where they came from, once the cause is mended. Exit code 1 if one is not there."""
    from timeside.letters import position, send_again

    wanted = None if positions == ["all"] else {position(word) for word in positions}
    sent = asyncio.run(send_again(kafka, kafka_access(), wanted))
    print(f"{sent} sent again")
    raise typer.Exit(0 if wanted is None or sent == len(wanted) else 1)
