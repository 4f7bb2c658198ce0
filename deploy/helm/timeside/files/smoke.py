"""`helm test`: the API answers; with an API key also an upload, an analysis, its rows, and a stream."""

import io
import json
import os
import struct
import sys
import time
import wave
from pathlib import Path

import httpx
from websockets.sync.client import connect

URL = os.environ["TIMESIDE_URL"]
KEY = Path("/run/secrets/timeside/key/key")
LIMIT_S = 240.0


def main() -> None:
    """Try it; exit with a reason where it fails."""
    with httpx.Client(base_url=URL, timeout=30) as client:
        client.get("/readyz").raise_for_status()
        refused = client.get("/v1/me").status_code
        if refused != 401:
            sys.exit(f"/v1/me answers {refused} to a stranger, not 401")
        print("the API is ready, and lets no stranger in")
        if not KEY.exists():
            print("no API key was given (helmTest.existingSecret): nothing was analysed")
            return
        client.headers["Authorization"] = f"Bearer {KEY.read_text().strip()}"
        _round_trip(client)


def _round_trip(client: httpx.Client) -> None:
    item = client.post("/v1/items", json={"title": "helm test"}).raise_for_status().json()["id"]
    try:
        client.put(f"/v1/items/{item}/media", content=_ramp()).raise_for_status()
        asked = {"item_id": item, "processors": [{"processor": "mean_dc_shift"}, {"processor": "flac_encoder"}]}
        task = client.post("/v1/tasks", json=asked).raise_for_status().json()["id"]
        _stream(client, task)
        found = client.get(f"/v1/tasks/{task}").raise_for_status().json()
        if found["state"] != "done":
            sys.exit(f"the task is {found['state']}: {json.dumps(found['result_list'])}")
        offset, file = found["result_list"]
        rows = client.get(f"/v1/results/{offset['id']}").raise_for_status().json()
        audio = client.get(f"/v1/results/{file['id']}/file").raise_for_status().content
        if audio[:4] != b"fLaC":
            sys.exit(f"{len(audio)} bytes came that are no FLAC")
        print(f"uploaded, analysed, encoded and read back: {rows['processor']}, {len(audio)} bytes of FLAC")
    finally:
        client.delete(f"/v1/items/{item}")


def _stream(client: httpx.Client, task: str) -> None:
    """Watch the task until it settles."""
    url = URL.replace("http", "ws", 1) + "/v1/stream"
    deadline = time.monotonic() + LIMIT_S
    with connect(url, additional_headers={"Authorization": client.headers["Authorization"]}) as socket:
        socket.send(json.dumps({"op": "subscribe", "id": "a", "task": task}))
        while True:
            message = socket.recv(timeout=max(0.0, deadline - time.monotonic()))
            said = json.loads(message) if isinstance(message, str) else {}
            if said.get("op") == "error":
                sys.exit(f"the stream says: {message}")
            if said.get("op") == "end":
                return


def _ramp() -> bytes:
    """Half a second of a sawtooth, which is no other installation's recording: its length is that of this second."""
    samples = 22_050 + int(time.time()) % 4096
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 44_100, samples, "NONE", ""))
        writer.writeframes(b"".join(struct.pack("<h", (n * 97) % 20_000 - 10_000) for n in range(samples)))
    return file.getvalue()


if __name__ == "__main__":
    main()
