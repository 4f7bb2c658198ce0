"""`timeside settings …`: what the environment sets."""

import difflib
import os
from collections.abc import Mapping

import typer

from timeside.cli.common import say
from timeside_core.errors import ParameterError

app = typer.Typer(help="Look after the settings.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Have `check` be a word of its own, though it is the only one."""


@app.command("check")
def check() -> None:
    """Check the variables TIMESIDE_… of all services; what breaks a rule is named, with the rule."""
    wrong = reasons(os.environ)
    for each in wrong:
        say(each, error=True)
    if wrong:
        raise typer.Exit(2)
    print("the settings are right")


def reasons(environ: Mapping[str, str]) -> list[str]:
    """Why these variables are wrong, one line each; none where they are right."""
    from timeside.worker import WorkerSettings  # it has all that other workers have
    from timeside_api.http.settings import HttpSettings
    from timeside_api.settings import ApiSettings
    from timeside_core.settings import PREFIX, from_environment

    models = ApiSettings, HttpSettings, WorkerSettings
    known = {PREFIX + name.upper() for model in models for name in model.model_fields}
    found = [_unknown(name, known) for name in sorted(environ) if name.startswith(PREFIX) and not _is_of(name, known)]
    for model in models:
        try:
            model.of_environment(environ) if model is WorkerSettings else from_environment(model, environ)
        except ParameterError as error:
            found += str(error).split("; ")
    return list(dict.fromkeys(found))


def _is_of(name: str, known: set[str]) -> bool:
    return name in known or name.removesuffix("_FILE") in known


def _unknown(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
    return f"{name}: is no setting" + (f"; did you mean {near[0]}?" if near else "")
