"""The store as a whole: media in and out, results in and out, and its upkeep."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timeside_core.errors import StoreError
from timeside_core.outputs import Output
from timeside_core.store.objects import Objects
from timeside_core.store.reader import StoredResult
from timeside_core.store.writer import MANIFEST, ResultKey, ResultWriter

READ_BYTES = 1 << 20
GRACE_S = 24 * 3600.0
"""Age below which an object is never swept: its writer may still be at work."""


@dataclass(frozen=True, slots=True)
class Damage:
    """An object that is not what its manifest, or its name, says."""

    name: str
    reason: str


class Store:
    """All that TimeSide keeps, by URL: `file:///var/lib/timeside`, `s3://bucket/prefix`."""

    def __init__(self, url: str, **options: Any) -> None:
        self.objects = Objects(url, **options)

    def put_media(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        """Keep the bytes of a media; returns SHA-256 and size. Bytes that are there already are not written again."""
        digest, size = hashlib.sha256(), 0
        folder = self.objects.folder
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".upload-", delete=False) as file:
            try:
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
                self._adopt(Path(file.name), digest.hexdigest(), size)
            except OSError as error:
                raise StoreError(f"media cannot be kept: {error.strerror or error}") from error
            finally:
                Path(file.name).unlink(missing_ok=True)
        return digest.hexdigest(), size

    def media_size(self, sha256: str) -> int | None:
        """Size of a media, bytes; None where it is not kept."""
        return self.objects.size(media_name(sha256))

    def media_file(self, sha256: str, scratch: Path) -> Path:
        """A local file with the bytes of a media: where it lies, or a copy in `scratch` that is checked."""
        if self.objects.folder is not None:
            path = self.objects.folder / media_name(sha256)
            if not path.exists():
                raise StoreError(f"media {sha256} is not in {self.objects.url}")
            return path
        path = scratch / sha256
        if path.exists():
            return path
        data = self.objects.get(media_name(sha256))
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StoreError(f"media {sha256} is damaged: its bytes have another SHA-256")
        scratch.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{sha256}-{os.getpid()}")
        partial.write_bytes(data)
        partial.replace(path)
        return path

    def writer(self, key: ResultKey, outputs: Mapping[str, Output]) -> ResultWriter:
        """Begin a result."""
        return ResultWriter(self.objects, key, outputs)

    def result(self, prefix: str, *, manifest_sha256: str | None = None) -> StoredResult:
        """Open a whole result; raises `StoreError`."""
        return StoredResult(self.objects, prefix, manifest_sha256=manifest_sha256)

    def scrub(self) -> Iterator[Damage]:
        """Hash every object again; yield what is damaged or missing."""
        for name, _, _ in self.objects.list("media"):
            if _sha256(self.objects.get(name)) != name.rsplit("/", 1)[-1]:
                yield Damage(name, "its bytes have another SHA-256 than its name says")
        for name, _, _ in self.objects.list("results"):
            if name.endswith(f"/{MANIFEST}"):
                yield from self._scrub_result(name.removesuffix(f"/{MANIFEST}"))

    def sweep(
        self, known: Callable[[str], bool], *, dry_run: bool, grace_s: float = GRACE_S
    ) -> Iterator[tuple[str, int]]:
        """Remove results and derived files that nobody knows, if they are older than the grace.

        `known` is asked by the prefix of a result's arrays, or by the name of a file; names that share the first two
        digits of their media come together. Yields name and size of each object removed, or that would be.
        """
        for folder, parts in (("results/v1", 8), ("derived", 7)):
            for shard in self.objects.folders(folder):
                yield from self._sweep(shard, parts, known, dry_run=dry_run, grace_s=grace_s)

    def _sweep(
        self, below: str, parts: int, known: Callable[[str], bool], *, dry_run: bool, grace_s: float
    ) -> Iterator[tuple[str, int]]:
        newest: dict[str, float] = {}
        objects: dict[str, list[tuple[str, int]]] = {}
        for name, size, changed in self.objects.list(below):
            kept_as = "/".join(name.split("/")[:parts])
            newest[kept_as] = max(newest.get(kept_as, 0.0), changed)
            objects.setdefault(kept_as, []).append((name, size))
        for kept_as, orphans in objects.items():
            if newest[kept_as] > time.time() - grace_s or known(kept_as):
                continue
            for name, size in orphans:
                if not dry_run:
                    self.objects.delete(name)
                yield name, size

    def _scrub_result(self, prefix: str) -> Iterator[Damage]:
        try:
            manifest = json.loads(self.objects.get(f"{prefix}/{MANIFEST}"))
            expected: dict[str, dict[str, Any]] = manifest["objects"]
        except (StoreError, ValueError, KeyError, TypeError) as error:
            yield Damage(f"{prefix}/{MANIFEST}", f"cannot be read: {error}")
            return
        for name, facts in expected.items():
            try:
                data = self.objects.get(f"{prefix}/{name}")
            except StoreError as error:
                yield Damage(f"{prefix}/{name}", str(error))
                continue
            if _sha256(data) != facts["sha256"]:
                yield Damage(f"{prefix}/{name}", "its bytes have another SHA-256 than its manifest says")

    def _adopt(self, file: Path, sha256: str, size: int) -> None:
        name = media_name(sha256)
        if self.objects.size(name) == size:
            return
        if self.objects.folder is None:
            self.objects.put(name, file.read_bytes())
            return
        target = self.objects.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
        self.objects.sync(name.rsplit("/", 1)[0])


def media_name(sha256: str) -> str:
    """Name of the object that holds a media."""
    return f"media/{sha256[:2]}/{sha256}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
