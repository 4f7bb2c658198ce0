"""Finds plug-ins in the namespace `timeside.plugins`, which other distributions add modules to."""

import pkgutil
import warnings
from collections.abc import Iterable
from importlib import import_module

SKIPPED = "example"
"""Modules with this in their name are not imported."""


def discover() -> None:
    """Import every module of the namespace, so that the processors in it register; a bad one is a RuntimeWarning."""
    import timeside.plugins

    _import_all(timeside.plugins.__path__, "timeside.plugins.")


def _import_all(path: Iterable[str], prefix: str) -> None:
    for found in pkgutil.iter_modules(path, prefix):
        if SKIPPED in found.name:
            continue
        try:
            module = import_module(found.name)
        except Exception as error:  # whatever a plug-in does wrong must not hide the others
            warnings.warn(f"{found.name} was not loaded: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=2)
            continue
        if found.ispkg:
            _import_all(module.__path__, f"{found.name}.")
