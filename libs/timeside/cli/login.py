"""`timeside login`: who we are at a server."""

import asyncio
import socket
import sys
from typing import Annotated

import typer

from timeside.cli.common import say
from timeside.cli.remote import DEFAULT_URL, keep

TEMPORARY = "password-temporary"


def login(
    url: Annotated[str, typer.Argument(help="Address of the server.")] = DEFAULT_URL,
    name: Annotated[str, typer.Option("--name", help="Name of the account; asked for if not given.")] = "",
    key: Annotated[bool, typer.Option("--key", help="Read an API key from standard input.")] = False,
) -> None:
    """Sign in to a server: makes an API key and keeps it, for the commands to come.

    Name and password are asked for, or read from standard input, a line each: the password, and the next one where the
    first is a one-time password.
    """
    token = sys.stdin.readline().strip() if key else _asked(url, name)
    who = asyncio.run(_checked(url, token))
    say(f"signed in to {url} as {who}; kept in {keep(url, token)}")


def _asked(url: str, name: str) -> str:
    """An API key that is made for this machine."""
    name = name or typer.prompt("Name", default="admin")
    return asyncio.run(_made(url, name, _secret("Password")))


def _secret(what: str, *, twice: bool = False) -> str:
    if sys.stdin.isatty():
        return typer.prompt(what, hide_input=True, confirmation_prompt=twice)
    return sys.stdin.readline().rstrip("\n")


async def _made(url: str, name: str, password: str) -> str:
    from timeside.client import ApiError, Client, sign_in

    try:
        access = await sign_in(url, name, password)
    except ApiError as error:
        if error.code != TEMPORARY:
            raise
        access = await sign_in(url, name, password, _secret("New password, 12 characters or more", twice=True))
    async with Client(url, access) as client:
        return await client.make_key(f"timeside on {socket.gethostname()}"[:100])


async def _checked(url: str, token: str) -> str:
    from timeside.client import Client

    async with Client(url, token) as client:
        return (await client.get("/v1/me"))["name"]
