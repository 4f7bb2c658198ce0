"""Processors as paths and queries name them."""

from typing import Annotated

from pydantic import StringConstraints

ProcessorId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
