"""Entry point of the command line."""

import os
import signal
import sys
from io import TextIOWrapper
from typing import cast

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: its threads spin, on matrices as small as ours

import typer

from timeside.cli import (
    admin,
    analyze,
    db,
    draw,
    info,
    items,
    letters,
    login,
    plugin,
    processors,
    results,
    settings,
    store,
    tasks,
    topics,
    transcode,
    up,
)
from timeside.cli.common import say
from timeside_core.errors import TimesideError

app = typer.Typer(
    name="timeside",
    help="Decode, analyse, draw and transcode any audio.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("analyze")(analyze.analyze)
app.command("draw")(draw.draw)
app.command("transcode")(transcode.transcode)
app.command("info")(info.info)
app.command("processors")(processors.processors)
app.command("new-plugin")(plugin.new_plugin)
app.add_typer(store.app, name="store")
app.add_typer(letters.app, name="letters")
app.add_typer(db.app, name="db")
app.add_typer(topics.app, name="topics")
app.add_typer(settings.app, name="settings")
app.command("up")(up.up)
app.add_typer(admin.app, name="admin")
app.command("login")(login.login)
app.add_typer(items.app, name="items")
app.command("run")(tasks.run)
app.command("watch")(tasks.watch)
app.add_typer(results.app, name="results")


def main() -> None:
    """Run; what cannot be done is one line on standard error and exit code 2, never a traceback."""
    signal.signal(signal.SIGTERM, _end)
    output = cast("TextIOWrapper", sys.stdout)
    if output.errors == "strict":  # file names may be no text in the encoding of the terminal
        output.reconfigure(errors="backslashreplace")
    try:
        app()
    except TimesideError as error:
        say(f"timeside: {error}", error=True)
        sys.exit(2)
    except OSError as error:
        say(f"timeside: {f'{error.filename}: ' if error.filename else ''}{error.strerror or error}", error=True)
        sys.exit(2)


def _end(*_: object) -> None:
    sys.exit(128 + signal.SIGTERM)  # processes and temporary files are cleared away on the way out


if __name__ == "__main__":
    main()
