"""Live sessions: what may be listened to, how they go on, who may hear of them, how they end."""

from typing import Any
from uuid import UUID

import numpy as np
import pytest
from tests.harness.actors import BUS_NAME, SETTINGS
from tests.support.api import Api, Person, Socket, serving
from tests.support.live import LENGTH, SAMPLERATE, done, ended, facts

from timeside_api.database import Database
from timeside_api.dispatcher import Dispatcher
from timeside_api.recorder import Recorder
from timeside_api.settings import RunSettings
from timeside_core import topics
from timeside_core.bus import Partition
from timeside_core.messages import Clock, JsonMessage, Opened, OpenedOutput, PartialRows, Run, decode, encode
from timeside_core.outputs import Rows

pytestmark = pytest.mark.integration

URL = "https://radio.example.org/a.mp3"


async def listen(api: Api, who: Person, *processors: str, **more: Any) -> Any:
    asked = [{"processor": each} for each in processors or ("level",)]
    return await api.client.post("/v1/live", json={"source": URL, "processors": asked, **more}, headers=who.headers)


async def get(api: Api, who: Person, path: str) -> Any:
    answer = await api.client.get(path, headers=who.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def hand_out(api: Api) -> Run:
    """The run that is handed out last."""
    dispatcher = Dispatcher(api.bus, api.database, bus_name=BUS_NAME, settings=SETTINGS)
    assert await dispatcher.take()
    while await dispatcher.turn():
        pass
    await dispatcher.release()
    runs: list[Run] = []
    async with api.bus.reader() as reader:
        await reader.assign({Partition(topics.LIVE, number): "first" for number in range(2)})
        while batches := await reader.getmany(timeout_s=0.01):
            runs += [decode(topics.LIVE, record.value).run for records in batches.values() for record in records]
    return max(runs, key=lambda run: (run.run_id, run.attempt))


async def record(api: Api, *messages: JsonMessage) -> None:
    for message in messages:
        await api.bus.publish(topics.RESULT, encode(message), key=b"k")
    recorder = Recorder(api.bus, api.database, bus_name=BUS_NAME, settings=SETTINGS)
    while await recorder.turn():
        pass
    await recorder.leave()


async def test_a_session_from_its_begin_to_its_end(api: Api, ada: Person):
    answer = await listen(api, ada, "level", "mfcc", title="Radio", segment_s=10)
    assert answer.status_code == 202
    live = answer.json()
    path = answer.headers["Location"]
    assert path == f"/v1/live/{live['id']}"
    assert (live["state"], live["title"], live["source"]) == ("waiting", "Radio", URL)
    assert [(each["processor"], each["state"], each["segments"]) for each in live["tracks"]] == [
        ("level", "pending", 0),
        ("mfcc", "pending", 0),
    ]
    run = await hand_out(api)
    await record(api, facts(run), done(run, 0), done(run, 0, processor=1), done(run, 1))
    live = await get(api, ada, path)
    assert (live["samplerate"], live["codec"], live["attempt"]) == (SAMPLERATE, "mp3", 1)
    assert [(each["segments"], each["samples"]) for each in live["tracks"]] == [(2, 2 * LENGTH), (1, LENGTH)]
    assert [(each["attempt"], each["first_sample"]) for each in live["attempts"]] == [(1, 0)]
    assert (await get(api, ada, f"/v1/tasks/{live['task_id']}"))["results"] == 2
    stopped = await api.client.post(f"{path}:stop", headers=ada.headers)
    assert (stopped.status_code, stopped.json()["state"]) == (200, "stopping")
    last = done(run, 1, processor=1, samples=100)
    await record(api, last, facts(run, final=True, samples=LENGTH + 100), ended(run), ended(run, processor=1))
    live = await get(api, ada, path)
    assert (live["state"], live["samples"]) == ("ended", LENGTH + 100)
    assert [each["state"] for each in live["tracks"]] == ["done", "done"]
    again = await api.client.post(f"{path}:cancel", headers=ada.headers)
    assert again.json()["state"] == "ended"


async def test_segments_by_pages_and_tracks(api: Api, ada: Person):
    live = (await listen(api, ada, "level", "mfcc")).json()
    run = await hand_out(api)
    await record(api, facts(run), *(done(run, number, processor=p) for number in range(3) for p in (0, 1)))
    path = f"/v1/live/{live['id']}/segments"
    first = await get(api, ada, f"{path}?limit=4")
    rest = await get(api, ada, f"{path}?limit=4&cursor={first['next_cursor']}")
    found = first["items"] + rest["items"]
    assert rest["next_cursor"] is None
    assert [(each["processor"], each["start_s"], each["stop_s"]) for each in found] == [
        (name, start_s, start_s + 10.0) for start_s in (20.0, 10.0, 0.0) for name in ("mfcc", "level")
    ]
    track = live["tracks"][1]["result_id"]
    of_track = (await get(api, ada, f"{path}?track={track}"))["items"]
    assert [each["track_id"] for each in of_track] == [track] * 3
    result = await api.client.get(f"/v1/results/{track}", headers=ada.headers)
    assert (result.status_code, result.json()["outputs"]) == (200, [])


@pytest.mark.parametrize(
    ("change", "pointer", "rule"),
    [
        ({"source": "ftp://radio.example.org/a"}, "/source", "must be http"),
        ({"source": "pipe:/etc/passwd"}, "/source", "must be http"),
        ({"source": "http://127.0.0.1:8000/a"}, "/source", "address 127.0.0.1 is"),
        ({"source": "http://user:secret@radio.example.org/a"}, "/source", "must not hold credentials"),
        ({"source": "http://radio.example.org:22/a"}, "/source", "port 22"),
        ({"processors": [{"processor": "flac_encoder"}]}, "/processors", "needs all of a media"),
        ({"processors": [{"processor": "spectrogram_analyzer"}]}, "/processors", "needs all of a media"),
        ({"processors": []}, "/processors", "at least 1"),
        ({"segment_s": 0.1}, "/segment_s", "greater than or equal to 1"),
        ({"title": "a\0b"}, "/", "NUL"),
        ({"more": 1}, "/more", "Extra inputs"),
    ],
)
async def test_what_may_be_asked(api: Api, ada: Person, change: dict[str, Any], pointer: str, rule: str):
    answer = await listen(api, ada, **change)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert rule in error["detail"]
    assert "secret" not in answer.text


async def test_what_is_secret_in_a_source_is_not_shown(api: Api, ada: Person):
    live = (await listen(api, ada, source=f"{URL}?token=secret")).json()
    assert live["source"] == f"{URL}?token=***"
    run = await hand_out(api)
    assert "token=secret" in str(run.plan.source)


async def test_networks_of_ones_own_can_be_listened_to(database: Database, tmp_path: Any):
    async with serving(database, tmp_path, live_ports="8443", live_networks="10.1.0.0/16") as api:
        ada = await api.person("ada")
        assert (await listen(api, ada, source="http://10.1.2.3:8443/a")).status_code == 202
        assert (await listen(api, ada)).status_code == 422


async def test_an_installation_may_listen_to_nothing(api: Api, ada: Person):
    object.__setattr__(api.app.state.platform, "runs", RunSettings(live_runs=0))
    answer = await listen(api, ada)
    assert (answer.status_code, answer.json()["code"]) == (409, "no-live-sources")


async def test_results_go_with_the_session(api: Api, ada: Person):
    live = (await listen(api, ada)).json()
    run = await hand_out(api)
    await record(api, facts(run), done(run, 0))
    (segment,) = (await get(api, ada, f"/v1/live/{live['id']}/segments"))["items"]
    other = await api.person("other")
    for id in (segment["result_id"], live["tracks"][0]["result_id"]):
        assert (await api.client.get(f"/v1/results/{id}/data/max", headers=other.headers)).status_code == 404
    assert (await get(api, other, "/v1/live"))["items"] == []
    assert [UUID(each["id"]) for each in (await get(api, ada, "/v1/live"))["items"]] == [UUID(live["id"])]


async def test_the_rows_of_a_track_that_is_over_are_in_its_segments(api: Api, ada: Person):
    live = (await listen(api, ada)).json()
    run = await hand_out(api)
    await record(api, facts(run), done(run, 0), ended(run))
    track = live["tracks"][0]["result_id"]
    answer = await api.client.get(f"/v1/results/{track}/data/max", headers=ada.headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "segments")


class Telling:
    """Rows of a live run, as an analyzer tells them."""

    def __init__(self, api: Api, run: Run) -> None:
        self.api, self.run, self._seq = api, run, 0
        self._about: dict[str, Any] = {"run_id": run.run_id, "attempt": run.attempt, "processor": 0}

    async def opened(self, *rows: int, start_s: float = 0.0) -> None:
        clock, outputs = Clock(samplerate=100, start_s=start_s), (OpenedOutput(name=""),)
        await self._tell(Opened(**self._about, clock=clock, outputs=outputs, rows=rows))

    async def rows(self, *values: float) -> None:
        """Each row has its number as its value."""
        rows = Rows(np.asarray(values, np.float32))
        await self._tell(PartialRows(**self._about, seq=self._seq, output=0, first_row=int(values[0]), rows=rows))
        self._seq += 1

    async def lost(self) -> None:
        """The bus keeps nothing of what was told so far."""
        partitions = [Partition(topics.PARTIAL, each) for each in range(2)]
        bounds = await self.api.bus.bounds(partitions)
        await self.api.bus.trim({each: held.next for each, held in bounds.items()})

    async def _tell(self, message: Any) -> None:
        await self.api.bus.publish(topics.PARTIAL, encode(message), key=self.run.run_id.bytes)


def told(heard: list[Any]) -> list[Any]:
    """Values of rows, and names of other messages of interest."""
    found: list[Any] = []
    for each in heard:
        if isinstance(each, bytes):
            found += decode(topics.PARTIAL, each).rows.values.tolist()
        elif each["op"] in ("opened", "gap", "end"):
            found.append(each["op"])
    return found


async def test_who_comes_later_hears_rows_once_it_is_said_what_they_are(api: Api, ada: Person):
    live = (await listen(api, ada, "rms")).json()
    run = await hand_out(api)
    telling = Telling(api, run)
    await telling.opened()
    await telling.rows(0, 1, 2)
    await telling.lost()
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        await socket.say(op="subscribe", id="a", live=live["id"])
        snapshot = await socket.hear()
        assert [each["id"] for each in snapshot["results"]] == [live["tracks"][0]["result_id"]]
        await socket.until("ready")
        await telling.rows(3, 4)
        await telling.opened(5)
        await telling.rows(5, 6)
        await telling.opened(7)
        await telling.rows(7)
        heard: list[Any] = []
        while 7.0 not in told(heard):
            heard += await socket.until("token")
        assert told(heard) == ["opened", 5.0, 6.0, 7.0]
        await telling.opened(start_s=20.0)  # by another analyzer, which has taken over
        await telling.rows(0, 1)
        while told(heard)[-1] != 1.0:
            heard += await socket.until("token")
        assert told(heard)[4:] == ["opened", 0.0, 1.0]
        token = heard[-1]["token"]
    await telling.rows(2, 3)
    async with Socket(api.app, "/v1/stream", ada.headers) as socket:
        await socket.say(op="subscribe", id="a", live=live["id"], token=token)
        heard = await socket.until("ready")
        await telling.opened(4, start_s=20.0)
        await telling.rows(4)
        while 4.0 not in told(heard):
            heard += await socket.until("token")
        assert told(heard) == ["opened", 2.0, 3.0, 4.0]


async def test_a_stranger_hears_nothing_of_a_session(api: Api, ada: Person):
    live = (await listen(api, ada)).json()
    other = await api.person("other")
    async with Socket(api.app, "/v1/stream", other.headers) as socket:
        await socket.say(op="subscribe", id="a", live=live["id"])
        assert (await socket.until("error"))[-1]["code"] == "not-found"
