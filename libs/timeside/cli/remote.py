"""What the commands that talk to a server share: where it is, who we are there, how answers are shown."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from timeside.cli.common import say
from timeside_core.errors import TimesideError

if TYPE_CHECKING:
    from timeside.client import Client

Answer = TypeVar("Answer")

AsJson = Annotated[bool, typer.Option("--json", help="As JSON, a value a line.")]
DEFAULT_URL = "http://127.0.0.1:8000"


class LoginError(TimesideError):
    """Nobody has signed in, or what was kept of it cannot be read."""


def kept() -> Path:
    """The file with address and API key: in `TIMESIDE_HOME` where that is set, else where configuration is."""
    home = os.environ.get("TIMESIDE_HOME")
    if home:
        return Path(home).expanduser() / "client.json"
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "timeside" / "client.json"


def keep(url: str, token: str) -> Path:
    """Keep them for the commands to come, for nobody else to read."""
    file = kept()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as made:
        json.dump({"url": url, "token": token}, made)
    fresh.replace(file)
    return file


def known() -> tuple[str, str]:
    """Address and token: `TIMESIDE_URL` and `TIMESIDE_TOKEN`, else those that are kept."""
    url, token = os.environ.get("TIMESIDE_URL"), os.environ.get("TIMESIDE_TOKEN")
    if token:
        return url or DEFAULT_URL, token
    file = kept()
    try:
        said = json.loads(file.read_text("utf-8"))
        return url or str(said["url"]), str(said["token"])
    except FileNotFoundError:
        raise LoginError("nobody is signed in: timeside login URL, or TIMESIDE_URL and TIMESIDE_TOKEN") from None
    except (ValueError, KeyError, TypeError):
        raise LoginError(f"{file} cannot be read: timeside login URL writes it anew") from None


def with_client(work: "Callable[[Client], Awaitable[Answer]]") -> Answer:
    """Do something at the server."""
    from timeside.client import Client

    url, token = known()

    async def run() -> Answer:
        async with Client(url, token) as client:
            return await work(client)

    return asyncio.run(run())


def show(value: dict[str, Any], line: str, *, as_json: bool) -> None:
    """Print it, as JSON or as a line."""
    if as_json:
        print(json.dumps(value), flush=True)
    else:
        say(line)


def item_line(item: dict[str, Any]) -> str:
    """An item in a line."""
    media = item["media"]
    if media is None:
        return f"{item['id']}  {item['title']}  (no media)"
    length = "" if media["duration_s"] is None else f"{media['duration_s']:.1f} s, "
    return f"{item['id']}  {item['title']}  ({length}{media['mime_type'] or 'unknown'}, {media['size']} bytes)"


def result_line(result: dict[str, Any]) -> str:
    """A result in a line."""
    reason = f": {result['reason']}" if result["reason"] else ""
    return f"{result['id']}  {result['processor']}  {result['state']}{reason}"
