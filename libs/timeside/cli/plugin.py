"""`timeside new-plugin`: a package with an analyzer that passes the contract suite."""

import re
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from typing import Annotated

import typer

from timeside_core.errors import OutputExistsError, ParameterError
from timeside_core.registry import processor_ids

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{project}"
version = "0.1.0"
description = "{title}: an analyzer for TimeSide."
requires-python = ">=3.11"
dependencies = ["timeside>=2.0.0a1"]

[project.optional-dependencies]
test = ["pytest", "hypothesis"]

[project.entry-points."timeside.processors"]
{id} = "{package}:{name}"
"""

MODULE = '''\
"""{title}: an analyzer for TimeSide."""

from timeside_core import Analyzer, Array, Mono, Stream, Value


class {name}(Analyzer, id="{id}", version="0.1"):
    """Peak of the absolute value of the signal, full scale 1; no signal, no value."""

    input: Mono = Mono()
    """What is read: here, the mean of all channels."""
    gain: float = 1.0
    """Factor applied to the peak."""
    output = Value()

    def start(self, stream: Stream) -> None:
        """Begin with nothing."""
        self.peak: float | None = None

    def process(self, samples: Array) -> None:
        """Keep the largest absolute value so far."""
        self.peak = max(self.peak or 0.0, float(abs(samples).max()))

    def finish(self) -> float | None:
        """The peak."""
        return None if self.peak is None else self.gain * self.peak
'''

TEST = '''\
"""The contract that every processor keeps, and what this one must find."""

from timeside_core.testing import AnalyzerContract, analyze, signal

from {package} import {name}


class Test{name}(AnalyzerContract):
    processor = {name}


def test_a_sine_of_half_scale_peaks_at_one_half():
    peak = analyze({name}(), signal("sine"))[""].values[0]
    assert abs(peak - 0.5) < 1e-3
'''

README = """\
# {title}

    pip install -e '.[test]'
    pytest
    timeside analyze recording.wav -a {id}
"""


def new_plugin(
    id: Annotated[str, typer.Argument(help="Id of the analyzer: lower-case letters, digits and _.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the package's folder is made.")] = Path(),
) -> None:
    """Write a package with an analyzer of fifteen lines, ready to install, test and change."""
    package, project = f"timeside_{id}", f"timeside-{id.replace('_', '-')}"
    name, folder = "".join(part.capitalize() for part in id.split("_")), out / project
    _check(id, package, name)
    if folder.exists():
        raise OutputExistsError(f"{str(folder)!r} exists: choose another id or folder")
    title = id.replace("_", " ").capitalize()
    words = {"id": id, "project": project, "package": package, "name": name, "title": title}
    files = {
        "pyproject.toml": PYPROJECT,
        "README.md": README,
        f"{package}/__init__.py": MODULE,
        f"{package}/py.typed": "",
        f"tests/test_{id}.py": TEST,
    }
    for place, text in files.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text.format(**words), "utf-8")
    print(f"{folder}: pip install -e '{folder}[test]' && pytest {folder}")


def _check(id: str, package: str, name: str) -> None:
    if not re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", id):
        raise ParameterError(f"id {id!r} must be lower-case letters and digits, a letter first, words joined by one _")
    if id in processor_ids():
        raise ParameterError(f"id {id!r} is a processor's already: ids are unique")
    if find_spec(package) is not None:
        raise ParameterError(f"id {id!r} would make a package {package!r}, which is there already")
    if iskeyword(name):
        raise ParameterError(f"id {id!r} would name a class {name!r}, a word of Python's")
