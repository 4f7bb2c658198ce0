"""What a media's header says, found out by a sandboxed process: bytes are hostile, and this one has the database."""

import asyncio
import contextlib
import importlib.util
import json
import os
import sys
from pathlib import Path

from pydantic import ValidationError

from timeside_api.http.problems import Problem, busy
from timeside_core.messages import MediaFacts

PROGRAM = "timeside_decoder.describe"
MAX_ANSWER_BYTES = 4 << 20
"""Tags of 256 names and 4096 characters each fit."""
_VARIABLES = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONWARNINGS", "VIRTUAL_ENV")
"""That the process may see: no secrets."""


class Describer:
    """Asks the decoder's program, where it is installed beside us; else a media's first run tells."""

    def __init__(self, *, at_a_time: int, limit_s: float) -> None:
        self._room, self._limit_s = asyncio.Semaphore(at_a_time), limit_s
        self._is_there = importlib.util.find_spec(PROGRAM.partition(".")[0]) is not None

    async def describe(self, path: Path) -> MediaFacts | None:
        """Facts by the header; None where nobody here can tell. Raises a problem where it is no audio."""
        if not self._is_there:
            return None
        async with self._room:
            try:
                async with asyncio.timeout(self._limit_s):
                    answer = await self._ask(path)
            except TimeoutError:
                raise Problem(422, "media", f"its header was not understood within {self._limit_s:g} s") from None
        return _understood(answer)

    async def _ask(self, path: Path) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", PROGRAM, str(path)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in _VARIABLES if name in os.environ},
        )
        assert process.stdout is not None
        try:
            answer = await process.stdout.read(MAX_ANSWER_BYTES)
            while more := await process.stdout.read(MAX_ANSWER_BYTES):
                answer += more
                if len(answer) > MAX_ANSWER_BYTES:
                    raise busy("the media's header is too long")
            await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return answer


def _understood(answer: bytes) -> MediaFacts:
    try:
        said = json.loads(answer)
        if "reason" in said:
            raise Problem(422, "media", f"it cannot be decoded: {str(said['reason'])[:500]}")
        return MediaFacts.model_validate(said["facts"])
    except (ValueError, KeyError, TypeError, ValidationError):
        raise Problem(422, "media", "its header cannot be read") from None
