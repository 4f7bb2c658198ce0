"""A platform of one process is saved as a folder, and goes on from the copy."""

import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.support.api import noise, wav
from tests.support.up import up

pytestmark = pytest.mark.integration

PASSWORD = "a password of the test"


@contextmanager
def signed_in(url: str, **more: str) -> Generator[httpx.Client]:
    path = "/v1/auth/password" if "new_password" in more else "/v1/auth/token"
    with httpx.Client(base_url=url, timeout=60) as client:
        pair = client.post(path, json={"name": "admin", "password": PASSWORD, **more}).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {pair['access_token']}"
        yield client


def test_what_was_saved_while_it_was_stopped_is_all_there(tmp_path: Path):
    home, archive, elsewhere = tmp_path / "home", tmp_path / "backup.tar", tmp_path / "elsewhere" / "home"
    content = wav(noise(5))
    with up(home) as platform:
        assert platform.first_password is not None
        with signed_in(platform.url, password=platform.first_password, new_password=PASSWORD) as client:
            item = client.post("/v1/items", json={"title": "noise"}).json()["id"]
            client.put(f"/v1/items/{item}/media", content=content).raise_for_status()
            asked = {"item_id": item, "processors": [{"processor": "mfcc"}]}
            task = client.post("/v1/tasks", json=asked).raise_for_status().json()["id"]
            while (found := client.get(f"/v1/tasks/{task}").json())["state"] == "running":
                time.sleep(0.2)
            (result,) = found["result_list"]
            before = client.get(f"/v1/results/{result['id']}/data/result").raise_for_status().content
        assert platform.stop() == 0
    subprocess.run(["tar", "-C", home, "-cf", archive, "."], check=True)
    home.rename(tmp_path / "lost")
    elsewhere.mkdir(mode=0o700, parents=True)
    subprocess.run(["tar", "-C", elsewhere, "-xf", archive], check=True)
    with up(elsewhere) as platform:
        assert platform.first_password is None
        with signed_in(platform.url) as client:
            after = client.get(f"/v1/results/{result['id']}/data/result").raise_for_status().content
            again = client.post("/v1/tasks", json=asked).raise_for_status().json()
        assert platform.stop() == 0
    assert after == before
    assert again["state"] == "done", "it is there, and was not computed again"
