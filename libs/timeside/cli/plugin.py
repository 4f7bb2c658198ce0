"""`timeside new-plugin`: a package with an analyzer that passes the contract suite."""

import re
from pathlib import Path
from typing import Annotated

import typer

from timeside_core.errors import OutputExistsError, ParameterError

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
    if not re.fullmatch("[a-z][a-z0-9_]*", id):
        raise ParameterError(f"id {id!r} must be lower-case letters, digits and _, a letter first")
    project = f"timeside-{id.replace('_', '-')}"
    folder = out / project
    if folder.exists():
        raise OutputExistsError(f"{str(folder)!r} exists: choose another id or folder")
    words = {
        "id": id,
        "project": project,
        "package": f"timeside_{id}",
        "name": "".join(part.capitalize() for part in id.split("_")),
        "title": id.replace("_", " ").capitalize(),
    }
    files = {
        "pyproject.toml": PYPROJECT,
        "README.md": README,
        f"timeside_{id}/__init__.py": MODULE,
        f"tests/test_{id}.py": TEST,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.format(**words), "utf-8")
    (folder / f"timeside_{id}" / "py.typed").touch()
    print(f"{folder}: pip install -e '{folder}[test]' && pytest {folder}")
