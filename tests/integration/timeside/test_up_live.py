"""A live source through `timeside up`: heard, cut into segments, stopped."""

import asyncio
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from tests.integration.timeside.test_up import signed_in, up
from tests.support.streams import send_and_stall, station

from timeside_core import get_processor
from timeside_core.segmenting import by_segment
from timeside_decoder.array import ArrayDecoder

pytestmark = pytest.mark.integration

SAMPLERATE = 8000
PATIENCE_S = 90.0


async def segments(client: httpx.AsyncClient, live: Any, count: int) -> list[Any]:
    """The first ones, once there are so many."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = (await client.get(f"/v1/live/{live['id']}/segments")).json()["items"]
            if len(found) >= count:
                return found[::-1]
            await asyncio.sleep(0.1)


async def test_a_stream_is_heard_until_it_is_stopped(tmp_path: Path) -> None:
    audio = np.random.default_rng(440).integers(-(2**14), 2**14, (7 * SAMPLERATE, 2)) / 2**15
    file = io.BytesIO()
    soundfile.write(file, audio, SAMPLERATE, subtype="PCM_16", format="WAV")
    with station(send_and_stall(file.getvalue())) as server:
        reaches = {"TIMESIDE_LIVE_PORTS": str(server.server_port), "TIMESIDE_LIVE_NETWORKS": "127.0.0.1/32"}
        with up(tmp_path / "home", TIMESIDE_LIVE_RUNS="1", **reaches) as platform:
            async with signed_in(platform) as client:
                wanted = {"source": server.url, "processors": [{"processor": "level"}], "segment_s": 2}
                answer = await client.post("/v1/live", json=wanted)
                assert answer.status_code == 202, answer.text
                live = answer.json()
                await segments(client, live, 3)
                await client.post(f"/v1/live/{live['id']}:stop")
                found = await segments(client, live, 4)
                heard = sum(each["samples"] for each in found)
                async with asyncio.timeout(PATIENCE_S):
                    while (live := (await client.get(f"/v1/live/{live['id']}")).json())["state"] != "ended":  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
                peaks = [
                    (await client.get(f"/v1/results/{each['result_id']}/data/max")).json()["values"] for each in found
                ]
            assert platform.stop() == 0
    assert live["samples"] == heard
    pipeline = ArrayDecoder(audio[:heard].astype(np.float32), SAMPLERATE) | get_processor("level")()
    expected = [each["level.max"].values for each in by_segment(pipeline, segment_s=2)]
    np.testing.assert_array_equal(np.asarray(peaks, np.float32).ravel(), np.asarray(expected, np.float32).ravel())
