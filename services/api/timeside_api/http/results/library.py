"""Results in the store, opened once and kept at hand; all reading is done in threads."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from timeside_api.http.problems import Problem
from timeside_api.models import Result
from timeside_core.store import Store, StoredResult

Answer = TypeVar("Answer")


class Library:
    """Reads results; those used last stay open."""

    def __init__(self, store: Store, readers: Executor, *, open_results: int) -> None:
        self._store, self._readers, self._most = store, readers, open_results
        self._open: OrderedDict[str, StoredResult] = OrderedDict()
        self._lock = threading.Lock()

    async def read(self, result: Result, work: Callable[[StoredResult], Answer]) -> Answer:
        """Do `work` with a result that is done, in a thread; raises `StoreError`."""
        if result.object_name is None:
            raise Problem(409, "segments", f"has its rows in segments: GET /v1/live/{result.media_sha256}/segments")
        prefix, sha256 = result.object_name, result.object_sha256
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, lambda: work(self._opened(prefix, sha256)))

    def _opened(self, prefix: str, sha256: str | None) -> StoredResult:
        with self._lock:
            if prefix in self._open:
                self._open.move_to_end(prefix)
                return self._open[prefix]
        opened = self._store.result(prefix, manifest_sha256=sha256)
        with self._lock:
            self._open[prefix] = opened
            while len(self._open) > self._most:
                self._open.popitem(last=False)
        return opened
