"""Transcodes that are sent while they are made, from an encoder that does what the test says, to clients over TCP."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select, update
from tests.support.api import Api, Person
from tests.support.platform import listening

from timeside_api.database import Database
from timeside_api.models import Result, ResultState, Run, RunState
from timeside_core import topics
from timeside_core.bus import Partition, partition_for
from timeside_core.messages import EncodedChunk, encode

pytestmark = pytest.mark.integration

PIECES = (b"the first ", b"the second ", b"the third ", b"the last")
WHOLE = b"".join(PIECES)
LIMIT_S = 20


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with listening(database, tmp_path, demand_s=5.0) as api:
        yield api


class Encoder:
    """The run of a transcode that somebody has asked for, and what its worker says."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.run_id = self.result_id = UUID(int=0)

    async def begin(self, attempt: int = 1) -> None:
        """Be handed the run, once there is one."""
        async with asyncio.timeout(LIMIT_S):
            while not self.run_id.int:
                async with self._api.database.transaction() as session:
                    for result in await session.scalars(select(Result)):
                        self.run_id, self.result_id = result.run_id, result.id
                await asyncio.sleep(0.02)
        handed_out = {
            "state": RunState.RUNNING,
            "attempt": attempt,
            "planned": [self.result_id],
            "dispatched_at": func.now(),
        }
        async with self._api.database.transaction() as session:
            await session.execute(update(Run).where(Run.id == self.run_id).values(handed_out))

    async def say(self, pieces: Sequence[bytes], *, attempt: int = 1, first: int = 0, ends: bool = False) -> None:
        """Encode."""
        for seq, data in enumerate(pieces, start=first):
            is_last = ends and seq == first + len(pieces) - 1
            chunk = EncodedChunk(
                run_id=self.run_id,
                attempt=attempt,
                seq=seq,
                processor=0,
                first_sample=0,
                samples=0,
                data=data,
                begins=seq == 0,
                ends=is_last,
            )
            await self._api.bus.publish(topics.ENCODED, encode(chunk), key=self.run_id.bytes)

    async def settle(self, content: bytes | None) -> None:
        """Keep the file, or fail."""
        values: dict[str, object] = {
            "state": ResultState.FAILED,
            "code": "broken",
            "reason": "it broke",
            "settled_at": func.now(),
        }
        if content is not None:
            self._api.store.objects.put("derived/kept", content)
            values = {"state": ResultState.DONE, "object_name": "derived/kept", "size": len(content)}
            values |= {"mime_type": "audio/mpeg", "object_sha256": hashlib.sha256(content).hexdigest()}
        async with self._api.database.transaction() as session:
            await session.execute(update(Result).where(Result.id == self.result_id).values(values))

    async def forget(self) -> None:
        """Have the bus drop all that was said."""
        count = await self._api.bus.partition_count(topics.ENCODED)
        partition = Partition(topics.ENCODED, partition_for(self.run_id.bytes, count))
        await self._api.bus.trim({partition: (await self._api.bus.bounds([partition]))[partition].next})


class Client:
    """Somebody who listens; `heard` is what has come so far."""

    def __init__(self, api: Api, who: Person, path: str) -> None:
        self._api, self._who, self._path = api, who, path
        self.heard = bytearray()
        self.status = 0
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async with self._api.client.stream("GET", self._path, headers=self._who.headers) as response:
            self.status = response.status_code
            async for piece in response.aiter_raw():
                self.heard += piece

    def leave(self) -> None:
        """Hang up."""
        self._listening.cancel()

    async def until(self, content: bytes) -> None:
        """Wait until exactly this has come."""
        async with asyncio.timeout(LIMIT_S):
            while bytes(self.heard) != content:
                assert content.startswith(self.heard), self.heard
                await asyncio.sleep(0.02)

    async def end(self) -> bytes:
        """All that has come, once the answer has ended; raises where it broke off."""
        async with asyncio.timeout(LIMIT_S):
            await self._listening
        return bytes(self.heard)


@pytest.fixture
async def path(api: Api, ada: Person) -> str:
    return f"/v1/items/{await api.item(ada)}/transcode/mp3"


async def test_who_comes_late_hears_all_and_the_run_goes_on_when_all_have_left(api: Api, ada: Person, path: str):
    encoder = Encoder(api)
    early = Client(api, ada, path)
    await encoder.begin()
    await encoder.say(PIECES[:2])
    await early.until(b"".join(PIECES[:2]))
    early.leave()
    await encoder.forget()
    late = Client(api, ada, path)
    await late.until(b"".join(PIECES[:2]))
    await encoder.say(PIECES[2:], first=2, ends=True)
    assert (await late.end(), late.status) == (WHOLE, 200)
    await encoder.settle(WHOLE)
    kept = await api.client.get(path, headers=ada.headers)
    assert (kept.content, kept.headers["etag"]) == (WHOLE, f'"{hashlib.sha256(WHOLE).hexdigest()}"')


async def test_an_attempt_that_begins_anew_goes_on_where_the_last_one_ended(api: Api, ada: Person, path: str):
    encoder, client = Encoder(api), Client(api, ada, path)
    await encoder.begin()
    await encoder.say(PIECES[:2])
    await client.until(b"".join(PIECES[:2]))
    await encoder.begin(attempt=2)
    await encoder.say([PIECES[2]], first=2)  # of the one before, which does not know
    await encoder.say([WHOLE[:5], WHOLE[5:25], WHOLE[25:]], attempt=2, ends=True)
    assert await client.end() == WHOLE


async def test_an_attempt_that_encodes_other_bytes_breaks_off(api: Api, ada: Person, path: str):
    encoder, client = Encoder(api), Client(api, ada, path)
    await encoder.begin()
    await encoder.say(PIECES[:2])
    await client.until(b"".join(PIECES[:2]))
    await encoder.begin(attempt=2)
    await encoder.say([b"something else, longer than that", b"and more"], attempt=2, ends=True)
    with pytest.raises(httpx.RemoteProtocolError):
        await client.end()
    assert client.heard == b"".join(PIECES[:2])


async def test_a_failure_in_the_middle_breaks_off(api: Api, ada: Person, path: str):
    encoder, client = Encoder(api), Client(api, ada, path)
    await encoder.begin()
    await encoder.say(PIECES[:2])
    await client.until(b"".join(PIECES[:2]))
    await encoder.settle(None)
    with pytest.raises(httpx.RemoteProtocolError):
        await client.end()


async def test_a_failure_before_the_first_byte_is_told(api: Api, ada: Person, path: str):
    encoder, client = Encoder(api), Client(api, ada, path)
    await encoder.begin()
    await encoder.settle(None)
    assert b"it broke" in await client.end()
    assert client.status == 409


async def test_what_the_bus_has_dropped_comes_from_the_file_that_is_kept(api: Api, ada: Person, path: str):
    encoder, client = Encoder(api), Client(api, ada, path)
    await encoder.begin()
    await encoder.say(PIECES[:2])
    await client.until(b"".join(PIECES[:2]))
    await encoder.say([PIECES[3]], first=3, ends=True)  # the third was dropped before it was read
    late = Client(api, ada, path)
    await encoder.settle(WHOLE)
    assert await client.end() == WHOLE
    assert await late.end() == WHOLE


async def test_where_nothing_comes_it_is_to_be_asked_for_again(database: Database, tmp_path: Path):
    async with listening(database, tmp_path, demand_s=0.3) as api:
        ada = await api.person("ada")
        path = f"/v1/items/{await api.item(ada)}/transcode/mp3"
        answer = await api.client.get(path, headers=ada.headers)
        assert (answer.status_code, answer.json()["state"]) == (202, "pending")
        assert answer.headers["location"] == f"/v1/results/{answer.json()['id']}"
        ranged = await api.client.get(path, headers=ada.headers | {"Range": "bytes=5-"})
        assert ranged.status_code == 202


async def test_so_many_relays_and_so_long_ones(database: Database, tmp_path: Path):
    async with listening(database, tmp_path, demand_s=5.0, relays=1, relay_bytes=1 << 16) as api:
        ada = await api.person("ada")
        path = f"/v1/items/{await api.item(ada)}/transcode/"
        encoder, client = Encoder(api), Client(api, ada, f"{path}mp3")
        await encoder.begin()
        busy = await api.client.get(f"{path}flac", headers=ada.headers)
        assert (busy.status_code, int(busy.headers["retry-after"]) > 0) == (503, True)
        long = b"x" * (1 << 16)
        await encoder.say([long])
        await client.until(long)
        await encoder.say([b"y"], first=1, ends=True)
        await encoder.settle(long + b"y")
        assert await client.end() == long + b"y"
