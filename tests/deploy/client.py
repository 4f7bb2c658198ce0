"""A client of the platform that asks in its own way, and looks at all that comes of it."""

import contextlib
import random
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx
from tests.chaos.media import recording

from timeside_core.registry import get_processor
from timeside_decoder.file import FileDecoder

PASSWORD = "correct horse battery staple"
PROCESSORS = ("mean_dc_shift", "level", "mfcc", "waveform_analyzer", "flac_encoder")
"""Of all pools but that of librosa, which is asked for now and then."""
PATIENCE_S = 180.0
"""An API that is away for longer has failed, also on a machine that is busy with other work."""


@dataclass
class Asked:
    """A task, and what it is about."""

    data: bytes
    item: str
    task: str
    asked_at: float
    settled_at: float = 0.0
    """By this process's clock, and the platform's own measure of how long it took."""
    results: dict[str, str] = field(default_factory=dict[str, str])
    """Ids by processor."""


class Client:
    """Somebody with an account; the API may be away for a while."""

    def __init__(self, url: Callable[[], str]) -> None:
        """`url` is asked again after a failure: a container that was made anew has another port."""
        self._url, self.key = url, ""
        self._http = httpx.Client(base_url=url(), timeout=60)
        self.again = 0
        """Requests that had to be sent again."""

    def sign_in(self, name: str, temporary: str) -> None:
        """Set the password, and make an API key."""
        body = {"name": name, "password": temporary, "new_password": PASSWORD}
        pair = self._http.post("/v1/auth/password", json=body).raise_for_status().json()
        bearer = {"Authorization": f"Bearer {pair['access_token']}"}
        self.key = (
            self._http.post("/v1/api-keys", json={"name": "tests"}, headers=bearer).raise_for_status().json()["key"]
        )

    def send(self, method: str, path: str, **body: object) -> httpx.Response:
        """A request that is sent again while nobody answers, or who answers cannot now."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                headers = {"Authorization": f"Bearer {self.key}"}
                answer = self._http.request(method, path, headers=headers, **body)  # pyright: ignore[reportArgumentType]
                if answer.status_code < 500 and answer.status_code != 429:
                    return answer.raise_for_status()
                reason = f"{answer.status_code} {answer.text}"
            except httpx.TransportError as error:
                reason = repr(error)
            if time.monotonic() > deadline:
                raise AssertionError(f"{method} {path}: {reason}")
            self.again += 1
            time.sleep(0.5)
            with contextlib.suppress(AssertionError):  # it is away, and has no address
                self._http = httpx.Client(base_url=self._url(), timeout=60)

    def ask(self, data: bytes, *processors: str, lane: str = "interactive") -> Asked:
        """Upload a recording, and ask for results."""
        return self.ask_of(self.upload(data), data, *processors, lane=lane)

    def upload(self, data: bytes) -> str:
        """An item with this media."""
        item: str = self.send("POST", "/v1/items", json={"title": "test"}).json()["id"]
        self.send("PUT", f"/v1/items/{item}/media", content=data)
        return item

    def ask_of(self, item: str, data: bytes, *processors: str, lane: str = "interactive") -> Asked:
        """Ask for results of an item, whose media these bytes are."""
        asked = {"item_id": item, "processors": [{"processor": each} for each in processors], "lane": lane}
        began = time.monotonic()
        return Asked(data, item, self.send("POST", "/v1/tasks", json=asked).json()["id"], began)

    def is_settled(self, asked: Asked) -> bool:
        """Whether a task is done; raises where it failed."""
        found = self.send("GET", f"/v1/tasks/{asked.task}").json()
        if found["state"] == "running":
            return False
        failed = [f"{each['processor']}: {each['reason']}" for each in found["result_list"] if each["state"] != "done"]
        if failed:
            raise AssertionError(f"task {asked.task} is {found['state']}: {'; '.join(failed)}")
        asked.results = {each["processor"]: each["id"] for each in found["result_list"]}
        began, ended = (datetime.fromisoformat(found[name]) for name in ("created_at", "settled_at"))
        asked.settled_at = asked.asked_at + (ended - began).total_seconds()
        return True

    def wait(self, asked: Asked, limit_s: float = 300.0) -> None:
        """Return once a task is done."""
        deadline = time.monotonic() + limit_s
        while not self.is_settled(asked):
            if time.monotonic() > deadline:
                raise AssertionError(f"task {asked.task} was not settled within {limit_s:g} s")
            time.sleep(0.25)

    def check(self, asked: Asked) -> None:
        """Compare what was stored with a run in this process, and read each file."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(asked.data)
            file.flush()
            here = (FileDecoder(Path(file.name)) | get_processor("mean_dc_shift")()).run()
        expected = float(next(iter(here)).values)
        rows = self.send("GET", f"/v1/results/{asked.results['mean_dc_shift']}/data/result").json()
        found = float(rows["values"])
        if abs(found - expected) > 1e-6 * max(1, abs(expected)):
            raise AssertionError(f"task {asked.task}: mean_dc_shift is {found}, and in one process {expected}")
        if "flac_encoder" in asked.results:
            audio = self.send("GET", f"/v1/results/{asked.results['flac_encoder']}/file").content
            if audio[:4] != b"fLaC":
                raise AssertionError(f"task {asked.task}: {len(audio)} bytes are no FLAC")


class Load(threading.Thread):
    """Asks for one recording after the other until told to stop; an error in it is raised by `finish`."""

    def __init__(self, client: Client, *, seed: int = 440, pause_s: float = 1.0) -> None:
        super().__init__(daemon=True)
        self._client, self._rng, self._pause_s = client, random.Random(seed), pause_s
        self._enough, self._error = threading.Event(), BaseException()
        self.asked: list[Asked] = []

    def run(self) -> None:
        """Until stopped."""
        try:
            while not self._enough.wait(self._pause_s):
                lane = "bulk" if self._rng.random() < 0.25 else "interactive"
                self.asked.append(self._client.ask(recording(self._rng).data, *PROCESSORS, lane=lane))
        except BaseException as error:
            self._error = error
            self._enough.set()

    def finish(self) -> list[Asked]:
        """Ask no more; wait for all that was asked, and check it."""
        self._enough.set()
        self.join(2 * PATIENCE_S)
        if type(self._error) is not BaseException:
            raise self._error
        for each in self.asked:
            self._client.wait(each)
            self._client.check(each)
        return self.asked
