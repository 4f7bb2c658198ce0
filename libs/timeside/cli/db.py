"""`timeside db …`: the tables of the platform."""

import asyncio
import os
from typing import Annotated

import typer

app = typer.Typer(help="Look after the tables of the platform.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Have `upgrade` be a word of its own, though it is the only one."""


@app.command("upgrade")
def upgrade(
    wait_s: Annotated[float, typer.Option("--wait", min=0, help="How long to wait for the database, s.")] = 60.0,
) -> None:
    """Bring the tables of TIMESIDE_DATABASE_URL to those of this version; safe to run again, and by several at once."""
    from pydantic import BaseModel, SecretStr

    from timeside_api.database import Database
    from timeside_core.settings import from_environment

    class Address(BaseModel):
        database_url: SecretStr

    async def run() -> str:
        url = from_environment(Address, os.environ).database_url.get_secret_value()
        database = Database(url, name="timeside-upgrade")
        try:
            return await database.wait_and_upgrade(wait_s)
        finally:
            await database.close()

    print(f"the tables are of revision {asyncio.run(run())}")
