"""The documents tell the truth: listings run as printed, commands exist, links lead somewhere.

Those of `timeside-1.md` run in `test_core_paper.py`, those of `write-a-provider.md` in `test_fetch_providers.py`.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer

from timeside.cli.__main__ import app
from timeside_core import get_processor
from timeside_core.testing import signal
from timeside_decoder.array import ArrayDecoder

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LOCAL = ("analyze", "draw", "transcode", "info", "processors", "new-plugin")


def text(page):
    return (ROOT / page).read_text("utf-8")


def listings(page):
    return re.findall("```python\n(.*?)```", text(page), re.DOTALL)


def commands() -> Iterator[list[str]]:
    """Words of the commands that README names, in its console listings and within lines; `a|b` names two."""
    page = text("README.md")
    consoles = "\n".join(re.findall("```console\n(.*?)```", page, re.DOTALL)).replace("\\\n", " ")
    lines = [line[2:] for line in consoles.splitlines() if line.startswith("$ ")]
    for line in lines + re.findall("`((?:timeside[ -]|make |scripts/)[^`]*)`", page):
        words = shlex.split(line, comments=True)
        for last in words[-1].split("|") if "," not in words[-1] else words[-1:]:
            yield [*words[:-1], last]


COMMANDS = list(commands())


def run(folder, *words):
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the recordings that README names."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "tapes").mkdir()
    for name, encoder, duration_s in (
        ("interview.mp3", "mp3_encoder", 71),
        ("concert.mov", "aac_encoder", 1),
        ("tape.wav", "wav_encoder", 1),
        ("tapes/side a.flac", "flac_encoder", 1),
    ):
        decoder = ArrayDecoder(signal("sine", samplerate=22_050, channels=2, duration_s=duration_s), 22_050)
        (decoder | get_processor(encoder).from_parameters({"output": folder / name})).run()
    return folder


def test_the_listings_of_the_readme(folder):
    library, analyzer = listings("README.md")
    show = '\nprint(*(len(read("interview.h5")[id]) for id in results.ids()))\n'
    assert run(folder, "-c", library + show).split() == ["1", "1", str(60 * 22_050 // 512 + 1)]
    decode = "from timeside_decoder.file import FileDecoder"
    use = "print((FileDecoder('tape.wav') | MeanDCShift()).run()[0].values)"
    assert abs(float(run(folder, "-c", f"{analyzer}\n{decode}\n{use}"))) < 0.01


def test_the_listings_on_analyzers(tmp_path):
    package, tests = listings("docs/write-an-analyzer.md")
    (tmp_path / "my_package.py").write_text(package)
    (tmp_path / "test_attacks.py").write_text(tests)
    assert " passed" in run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path)


def test_the_listings_on_writing_code(tmp_path):
    parameter, docstring = listings("CONTRIBUTING.md")
    run(tmp_path, "-c", f"from timeside_core import Spectrum\n{parameter}\ndef flux():\n    {docstring}")


@pytest.mark.parametrize(
    "words", [each for each in COMMANDS if each[0] == "timeside" and each[1] in LOCAL], ids=" ".join
)
def test_the_local_commands_of_the_readme(folder, words):
    run(folder, "-c", "from timeside.cli import main; main()", *words[1:])


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_commands_of_the_readme_exist(words):
    program, *rest = words
    if program == "timeside":
        _check(rest)
    elif program == "make":
        assert re.search(f"^{rest[0]}:", text("Makefile"), re.MULTILINE)
    elif program.startswith("timeside-"):
        assert program in {point.name for point in entry_points(group="console_scripts")}
    elif program in ("docker", "helm"):
        (path,) = (ROOT / word for word in rest if word.startswith("deploy/"))
        assert path.exists()
    else:
        assert program == "curl" or os.access(ROOT / program, os.X_OK)


def _check(words):
    command = typer.main.get_command(app)
    options = [word for word in words if word.startswith("-")]
    for word in words:
        if hasattr(command, "commands"):
            command = command.commands[word]
    assert set(options) <= {name for parameter in command.params for name in parameter.opts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#:]+)[^)]*\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
