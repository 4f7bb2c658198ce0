"""Entry point of the command line."""

import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: its threads spin, on matrices as small as ours

import typer

from timeside.cli import admin, analyze, db, draw, info, letters, plugin, processors, store, topics, transcode, up
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
app.command("up")(up.up)
app.add_typer(admin.app, name="admin")


def main() -> None:
    """Run; an error of ours is one line on standard error and exit code 2, never a traceback."""
    try:
        app()
    except TimesideError as error:
        print(f"timeside: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
