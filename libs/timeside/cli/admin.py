"""`timeside admin user …`: who may come in."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from timeside.cli.common import say

if TYPE_CHECKING:
    from timeside_api.database import Database

Answer = TypeVar("Answer")

app = typer.Typer(help="Look after accounts.", no_args_is_help=True)
user = typer.Typer(help="List, add, disable accounts; reset passwords.", no_args_is_help=True)
app.add_typer(user, name="user")

Name = Annotated[str, typer.Argument(help="Name of the account.")]


@user.command("list")
def list_users() -> None:
    """List all accounts."""
    from timeside_api.http.accounts import administration

    for account in _with_database(administration.every):
        notes = [account.role.value]
        notes += ["disabled"] if account.disabled_at else []
        notes += ["has a temporary password"] if account.is_password_temporary else []
        say(f"{account.name}  {', '.join(notes)}")


@user.command("add")
def add(name: Name, admin: Annotated[bool, typer.Option("--admin", help="An administrator.")] = False) -> None:
    """Make an account; prints a password that serves once, to set another."""
    from timeside_api.http.accounts import administration
    from timeside_api.identity import Role

    role = Role.ADMIN if admin else Role.USER
    say(f"one-time password: {_with_database(lambda database: administration.add(database, name, role))}")


@user.command("disable")
def disable(name: Name) -> None:
    """Let an account in no more; what it owns stays."""
    from timeside_api.http.accounts import administration

    _with_database(lambda database: administration.disable(database, name))


@user.command("reset")
def reset(name: Name) -> None:
    """Let an account in (again) by a new password, which serves once; ends its sign-ins."""
    from timeside_api.http.accounts import administration

    say(f"one-time password: {_with_database(lambda database: administration.reset(database, name))}")


def _with_database(work: "Callable[[Database], Awaitable[Answer]]") -> Answer:
    """Do `work` with the database of `TIMESIDE_DATABASE_URL`, or with that of `timeside up`, whether or not it runs."""
    from timeside.up import UpSettings, database_of
    from timeside_api.database import Database

    async def run(url: str) -> Answer:
        database = Database(url, name="timeside-admin")
        try:
            await database.upgrade()
            return await work(database)
        finally:
            await database.close()

    with database_of(UpSettings.read(), may_run=True) as (url, _):
        return asyncio.run(run(url))
