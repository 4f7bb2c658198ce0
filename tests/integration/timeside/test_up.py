"""`timeside up` as a process: from the first password to rows at a WebSocket, and to data equal to a run in here."""

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.support.api import noise, wav
from tests.support.up import Platform, environ, up
from websockets.asyncio.client import connect

from timeside_core import get_processor, topics
from timeside_core.messages import decode
from timeside_decoder.file import FileDecoder

pytestmark = pytest.mark.integration

PASSWORD = "a password of the test"
PROCESSORS = ("mfcc", "spectrogram_analyzer", "level", "aubio_silence")
TERMINAL = {"done", "failed", "cancelled", "partial"}


@asynccontextmanager
async def signed_in(platform: Platform) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=platform.url, timeout=60) as client:
        credentials = {"name": "admin", "password": PASSWORD}
        if platform.first_password is not None:
            change = {"name": "admin", "password": platform.first_password, "new_password": PASSWORD}
            answer = await client.post("/v1/auth/password", json=change)
        else:
            answer = await client.post("/v1/auth/token", json=credentials)
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


async def ask(client: httpx.AsyncClient, content: bytes, *processors: str) -> dict[str, Any]:
    item = (await client.post("/v1/items", json={"title": "noise"})).json()
    uploaded = await client.put(f"/v1/items/{item['id']}/media", content=content)
    assert uploaded.status_code == 200, uploaded.text
    asked = {"item_id": item["id"], "processors": [{"processor": each} for each in processors]}
    return (await client.post("/v1/tasks", json=asked)).json()


async def stream(client: httpx.AsyncClient, task_id: str) -> AsyncGenerator[Any]:
    """What a stream says of a task: objects and frames, to its end."""
    ticket = (await client.post("/v1/stream-tickets")).json()["ticket"]
    url = str(client.base_url).replace("http", "ws", 1).rstrip("/")
    async with connect(f"{url}/v1/stream?ticket={ticket}", subprotocols=["timeside.v1"], max_size=None) as socket:
        await socket.send(json.dumps({"op": "subscribe", "id": "a", "task": task_id}))
        async for message in socket:
            heard = json.loads(message) if isinstance(message, str) else message
            yield heard
            if not isinstance(heard, bytes) and heard["op"] in ("end", "error"):
                return


async def settled(client: httpx.AsyncClient, task_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while True:
        task = (await client.get(f"/v1/tasks/{task_id}")).json()
        if task["state"] in TERMINAL or time.monotonic() > deadline:
            return task
        await asyncio.sleep(0.2)


async def test_from_the_first_password_to_results(tmp_path: Path):
    content = wav(noise(90))
    (tmp_path / "noise.wav").write_bytes(content)
    reference = FileDecoder(tmp_path / "noise.wav")
    for each in PROCESSORS:
        reference = reference | get_processor(each)()
    expected = {each.id: each for each in reference.run()}
    with up(tmp_path / "home") as platform:
        async with signed_in(platform) as client:
            task = await ask(client, content, *PROCESSORS)
            heard = [each async for each in stream(client, task["id"])]
            await check_rows(task, heard, expected)
            task = await settled(client, task["id"])
            assert [each["state"] for each in task["result_list"]] == ["done"] * len(PROCESSORS), task
            for result in task["result_list"]:
                await check_data(client, result["id"], expected)
        assert platform.stop() == 0
    assert not processes_of(tmp_path)


async def test_the_same_over_a_broker_and_a_database_of_others(tmp_path: Path, kafka_bootstrap: str, database_url: str):
    await topics.apply(kafka_bootstrap, topics.declared(max_partitions=2))
    content = wav(noise(60))
    (tmp_path / "noise.wav").write_bytes(content)
    expected = {each.id: each for each in (FileDecoder(tmp_path / "noise.wav") | get_processor("mfcc")()).run()}
    store = (tmp_path / "elsewhere").as_uri()
    real = {"KAFKA_BOOTSTRAP": kafka_bootstrap, "DATABASE_URL": database_url, "STORE_URL": store}
    with up(tmp_path / "home", **{f"TIMESIDE_{name}": value for name, value in real.items()}) as platform:
        async with signed_in(platform) as client:
            task = await ask(client, content, "mfcc")
            await check_rows(task, [each async for each in stream(client, task["id"])], expected)
            task = await settled(client, task["id"])
            await check_data(client, task["result_list"][0]["id"], expected)
        assert platform.stop() == 0
    assert not (tmp_path / "home" / "pg").exists()


async def check_rows(task: dict[str, Any], heard: list[Any], expected: dict[str, Any]) -> None:
    """Rows came before the run had ended, all of them, and equal to what they should be."""
    kinds = ["rows" if isinstance(each, bytes) else each["op"] for each in heard]
    ended = next(
        number for number, each in enumerate(heard) if kinds[number] == "state" and each["state"] in ("done", "failed")
    )
    snapshot = heard[0]
    assert (snapshot["task"]["state"], kinds.index("rows") < ended, "gap" in kinds) == ("running", True, False)
    opened = {
        each["processor"]: each["result"] for each in heard if not isinstance(each, bytes) and each["op"] == "opened"
    }
    ids = {each["id"]: each["processor"] for each in task["result_list"]}
    frames = [decode(topics.PARTIAL, each) for each in heard if isinstance(each, bytes)]
    mfcc = [each.rows.values for each in frames if ids[opened[each.processor]] == "mfcc"]
    np.testing.assert_array_equal(np.concatenate(mfcc), expected["mfcc"].values)


async def check_data(client: httpx.AsyncClient, result_id: str, expected: dict[str, Any]) -> None:
    facts = (await client.get(f"/v1/results/{result_id}")).json()
    for output in facts["outputs"]:
        name = output["name"]
        id = facts["processor"] if name == "result" else f"{facts['processor']}.{name}"
        values = expected[id].values
        found: list[Any] = []
        while True:
            query = {"start": len(found)}
            page = (await client.get(f"/v1/results/{result_id}/data/{name}", params=query)).json()
            if output["time_mode"] == "global":
                found = page["values"]
                break
            found += page["values"]
            if len(found) >= page["total_rows"]:
                break
        np.testing.assert_array_equal(np.asarray(found, values.dtype), values)


async def test_what_was_not_done_is_done_after_the_next_start(tmp_path: Path):
    content = wav(noise(120))
    home = tmp_path / "home"
    with up(home, TIMESIDE_DRAIN_S="0.1") as platform:
        async with signed_in(platform) as client:
            task = await ask(client, content, "mfcc", "loudness_itu", "melspectrogram", "spectrogram_analyzer")
            async with contextlib.aclosing(stream(client, task["id"])) as heard:
                async for each in heard:
                    if isinstance(each, bytes):
                        break  # it is at work
        assert platform.stop() == 0
    with up(home) as platform:
        assert platform.first_password is None
        async with signed_in(platform) as client:
            assert (await settled(client, task["id"]))["state"] == "done"
            again = (await client.get(f"/v1/tasks/{task['id']}/runs")).json()["items"]
            assert [(run["state"], run["attempt"]) for run in again] == [("done", 2)]
        platform.process.kill()  # as a power cut would
        platform.process.wait()
    assert not processes_of(tmp_path, within_s=30)


def test_accounts_at_a_terminal(tmp_path: Path):
    def admin(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "timeside.cli", "admin", "user", *words]
        done = subprocess.run(command, env=environ(tmp_path / "home"), capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert admin("list") == (0, "")
    assert admin("add", "ada", "--admin")[1].startswith("one-time password: ")
    assert admin("add", "ada") == (2, "timeside: account 'ada' is there already\n")
    assert admin("disable", "ada") == (0, "")
    assert admin("list") == (0, "ada  admin, disabled, has a temporary password\n")
    assert admin("reset", "ada")[0] == 0
    assert admin("list") == (0, "ada  admin, has a temporary password\n")
    with up(tmp_path / "home") as platform:
        assert platform.first_password is None
        assert admin("add", "eve")[0] == 0
        assert platform.stop() == 0


def test_an_address_that_is_taken_is_told_in_a_line(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "timeside.cli", "up", "--port", port]
        done = subprocess.run(command, env=environ(tmp_path / "home"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(rf"timeside: 127.0.0.1:{port} cannot be listened on: .*\n", done.stderr)


def processes_of(folder: Path, *, within_s: float = 0.0) -> list[str]:
    """Commands of processes, ours apart, whose environment or command names a folder, after some time at most."""
    deadline = time.monotonic() + within_s
    while (found := _processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _processes_of(folder: Path) -> list[str]:
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in said and int(process.name) != os.getpid():
            found.append((process / "cmdline").read_bytes().decode(errors="replace"))
    return found
