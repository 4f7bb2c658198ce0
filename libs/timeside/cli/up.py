"""`timeside up`: the whole platform in one process tree."""

from typing import Annotated

import typer


def up(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 picks a free one.")] = 8000,
    home: Annotated[str, typer.Option("--home", help="Folder for all files; TIMESIDE_HOME.")] = "",
    kafka: Annotated[str, typer.Option("--kafka", help="host:port,… of brokers; a bus in memory if not given.")] = "",
    database: Annotated[str, typer.Option("--database", help="postgresql://…; one of its own if not given.")] = "",
    store: Annotated[str, typer.Option("--store", help="file:///… or s3://…; a folder in home if not given.")] = "",
    live: Annotated[int, typer.Option("--live", min=0, max=256, help="Live sources heard at a time.")] = 0,
) -> None:
    """Serve the platform until Ctrl-C: HTTP, database, bus and workers in one process tree."""
    from timeside.up import UpSettings, run

    settings = UpSettings.read(
        home=home, kafka_bootstrap=kafka, database_url=database, store_url=store, live_runs=str(live or "")
    )
    run(settings, host, port, lambda line: print(line, flush=True))
