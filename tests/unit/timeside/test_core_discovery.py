"""Plug-ins of other distributions in the namespace `timeside.plugins`, found wherever they are installed."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

PLUGIN = '''
from timeside.core import implements, interfacedoc
from timeside.core.analyzer import Analyzer
from timeside.core.api import IValueAnalyzer


class Count(Analyzer):

    """Counts samples"""
    implements(IValueAnalyzer)

    @staticmethod
    @interfacedoc
    def id():
        return "dist_count"

    @interfacedoc
    def setup(self, channels=None, samplerate=None, blocksize=None, totalframes=None):
        super(Count, self).setup(channels, samplerate, blocksize, totalframes)
        self.count = 0

    def process(self, frames, eod=False):
        self.count += len(frames)
        return frames, eod

    def post_process(self):
        result = self.new_result(data_mode='value', time_mode='global')
        result.data_object.value = self.count
        self.add_result(result)
'''
GRAPHER = """
from timeside.core import implements
from timeside.core.grapher import Grapher
from timeside.core.api import IGrapher


class Blank(Grapher):
    implements(IGrapher)

    @staticmethod
    def id():
        return "dist_blank"
"""
PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "timeside-dist"
version = "1"
[tool.hatch.build.targets.wheel]
packages = ["timeside"]
"""
LISTED = "import timeside_core; print([id for id in timeside_core.processor_ids() if id.startswith('dist_')])"


@pytest.fixture
def distribution(tmp_path):
    """A folder with plug-ins, one of them broken, and what must not be imported."""
    folder = tmp_path / "dist"
    modules = {
        "dist/__init__.py": "",
        "dist/count.py": PLUGIN,
        "dist/draw.py": GRAPHER,
        "dist/broken.py": "import a_module_that_is_nowhere",
        "dist/example_of_dist.py": "raise SystemExit('an example was imported')",
        "single.py": PLUGIN.replace("dist_count", "dist_single"),
    }
    for name, text in modules.items():
        path = folder / "timeside" / "plugins" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    return folder


def python(*arguments, path, cwd=None):
    environment = {**os.environ, "PYTHONPATH": str(path)}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def test_plug_ins_on_the_path_are_found_and_a_broken_one_is_named(distribution):
    done = python("-c", LISTED, path=distribution)
    assert done.stdout.strip() == "['dist_count', 'dist_single']"
    assert "RuntimeWarning: timeside.plugins.dist.broken was not loaded: ModuleNotFoundError" in done.stderr
    assert done.stderr.count("was not loaded") == 1


def test_plug_ins_without_a_native_form_are_found_too(distribution):
    code = "from timeside.core import get_processor; print(get_processor('dist_blank').__module__)"
    assert python("-c", code, path=distribution).stdout.strip() == "timeside.plugins.dist.draw"


def test_nothing_is_searched_for_a_processor_that_is_known(distribution):
    code = "import sys, timeside_core; timeside_core.get_processor('level'); print('timeside.plugins' in sys.modules)"
    assert python("-c", code, path=distribution).stdout.strip() == "False"


def test_an_installed_distribution_is_found(distribution, tmp_path):
    target = tmp_path / "site"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    python("-m", "pip", "install", *options, str(distribution), path="")
    assert not (target / "timeside" / "__init__.py").exists()
    assert "dist_count" in python("-c", LISTED, path=target).stdout


def test_the_command_line_runs_it(distribution, tmp_path):
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(440).uniform(-1, 1, 12_345), 8000)
    command = ["-m", "timeside.cli", "analyze", "noise.wav", "-a", "dist_count", "-o", "out", "-f", "json", "-q"]
    python(*command, path=distribution, cwd=tmp_path)
    (result,) = json.loads((tmp_path / "out" / "noise.wav.json").read_text())["results"]
    assert (result["id"], result["values"]["data"]) == ("dist_count", 12_345)
    assert result["provenance"]["media"]["uri"] == "noise.wav"
