"""What `make run` does: the platform, a recording that is handed to it over HTTP, and how to get at what it made.

`python -m timeside.demo FOLDER [PORT]`; with `ONCE` in the environment it ends after that, else at Ctrl-C.
"""

import asyncio
import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple, cast

from timeside import sample
from timeside.client import Client
from timeside.up import UpSettings, database_of
from timeside_api.database import Database
from timeside_api.http.accounts import administration
from timeside_api.identity import Role
from timeside_core.errors import TimesideError

PROCESSORS = (
    *("waveform_analyzer", "spectrogram_analyzer", "level", "loudness_itu", "aubio_pitch", "aubio_temporal"),
    *("onset_detection_function", "mfcc", "waveform_centroid", "spectrogram_log"),
)
TITLE = "Sample recording"
KEY_DAYS = 1
STOP_S = 60.0


class DemoError(TimesideError):
    """The demonstration cannot go on."""


class Server(NamedTuple):
    """A platform of our own."""

    url: str
    process: "subprocess.Popen[str]"


def main(folder: Path, port: str, *, once: bool) -> None:
    """Run it all."""
    home = Path(os.environ.setdefault("TIMESIDE_HOME", str(folder.absolute() / "home")))
    file = folder / "sample.flac"
    folder.mkdir(parents=True, exist_ok=True)
    sample.write(file)
    with _up(port) as server:
        asyncio.run(_show(server.url, file))
        print(f"\nAll files are in {home}.")
        if not once:
            print("Ctrl-C ends.")
            with suppress(KeyboardInterrupt):
                server.process.wait()
                raise DemoError("timeside up has ended by itself")


@contextmanager
def _up(port: str) -> Generator[Server]:
    """`timeside up`, in a session of its own: Ctrl-C at the terminal reaches us, and it by us, once."""
    command = [sys.executable, "-m", "timeside.cli", "up", "--port", port]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        found = None
        while found is None and (line := process.stdout.readline()):
            found = re.search(r"http://\S+", line)
        if found is None:
            raise DemoError("timeside up did not start: see its message above")
        try:
            yield Server(found[0], process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)


async def _show(url: str, file: Path) -> None:
    """Have the recording analysed, and print what came of it."""
    account, key = await _credentials()
    print(f"TimeSide is at {url}\n  sign in as {account}")
    async with Client(url, key) as client:
        item = await _item(client, file)
        task = await client.run(item["id"], [(each, {}) for each in PROCESSORS])
        async for _ in client.follow(task["id"]):
            pass  # the page shows rows as they come; this waits for the end
        task = await client.task(task["id"])
        print(f"\n{TITLE}, {item['media']['duration_s']:.1f} s: {url}/#/items/{item['id']}")
        for result in task["result_list"]:
            for line in await _lines(client, result):
                print(f"  {line}")
        print(_commands(url, key, item["id"], {each["processor"]: each["id"] for each in task["result_list"]}))
    if task["state"] != "done":
        raise DemoError(f"the task is {task['state']}: not all results could be made")


async def _credentials() -> tuple[str, str]:
    """An administrator with a password, a fresh one while it is temporary, in words; and an API key for a day."""
    with database_of(UpSettings.read(), may_run=True) as (url, _):
        database = Database(url, name="timeside-demo")
        try:
            accounts = await administration.every(database)
            admin = next(each for each in accounts if each.role is Role.ADMIN and each.disabled_at is None)
            said = f"{admin.name}, with your password"
            if admin.is_password_temporary:
                said = f"{admin.name}, one-time password: {await administration.reset(database, admin.name)}"
            return said, await administration.key(database, admin.name, "make run", KEY_DAYS)
        finally:
            await database.close()


async def _item(client: Client, file: Path) -> dict[str, Any]:
    """The recording, which is there already where this was run before."""
    sha256 = await asyncio.to_thread(lambda: hashlib.sha256(file.read_bytes()).hexdigest())
    async for item in client.items():
        if item["media"] and item["media"]["sha256"] == sha256:
            return item
    return await client.add(file, TITLE)


async def _lines(client: Client, result: dict[str, Any]) -> list[str]:
    """What a result is, in words."""
    facts = await client.result(result["id"])
    if facts["state"] != "done":
        return [f"{facts['processor']}: {facts['state']}, {facts['reason']}"]
    if facts["mime_type"]:
        return [f"{facts['processor']}: {facts['mime_type']}, {facts['size']} bytes"]
    return [await _line(client, facts, each) for each in facts["outputs"]]


async def _line(client: Client, facts: dict[str, Any], output: dict[str, Any]) -> str:
    name = facts["processor"] if output["name"] == "result" else f"{facts['processor']}.{output['name']}"
    if output["time_mode"] != "global":
        wide = "×".join(map(str, output["row_shape"]))
        return f"{name}: {output['rows']} rows" + (f" of {wide}" if wide else "")
    values = [rows.values.tolist() async for rows in client.rows(facts["id"], output["name"])]
    value = values[0][0] if values else None
    return f"{name}: {f'{value:.4g}' if isinstance(value, float) else value} {output['unit']}".rstrip()


def _commands(url: str, key: str, item: str, results: dict[str, str]) -> str:
    """How to fetch it all, for a shell."""
    get = 'curl -sf -H "Authorization: Bearer $TOKEN"'
    return f"""
Fetch them, from another terminal:
  export TOKEN={key}
  {get} {url}/v1/results/{results["level"]}/data/rms
  {get} -o pitch.csv '{url}/v1/results/{results["aubio_pitch"]}/export?format=csv'
  {get} -o mfcc.h5 '{url}/v1/results/{results["mfcc"]}/export?format=hdf5'
  {get} -o waveform.png {url}/v1/results/{results["waveform_centroid"]}/file
  {get} -o spectrogram.png '{url}/v1/items/{item}/image?grapher=spectrogram_log&width=1600&height=400'
  {get} -o sample.opus {url}/v1/items/{item}/transcode/opus
The whole interface: {url}/docs"""


def _end(*_: object) -> None:
    sys.exit(128 + signal.SIGTERM)  # and so by what is left to be ended


if __name__ == "__main__":
    cast("TextIOWrapper", sys.stdout).reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, _end)
    try:
        main(Path(sys.argv[1]), (sys.argv[2:] or ["8000"])[0], once=bool(os.environ.get("ONCE")))
    except KeyboardInterrupt:
        sys.exit(130)
    except TimesideError as error:
        sys.exit(f"timeside: {error}")
