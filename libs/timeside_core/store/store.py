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
from timeside_core.store.references import Reference, reference_name
from timeside_core.store.writer import MANIFEST, ResultKey, ResultWriter

READ_BYTES = 1 << 20
GRACE_S = 24 * 3600.0
"""Age below which an object is never swept: its writer may still be at work."""
_PARTIAL = ".upload-"
"""What names of files begin with that are still being written."""


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
        with tempfile.NamedTemporaryFile(dir=folder, prefix=_PARTIAL, delete=False) as file:
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

    def refer_media(self, path: Path) -> tuple[str, int]:
        """Keep a file as a media where it lies; returns SHA-256 and size. Whoever reads it must see the same path.

        A file that changes later is refused when it is read. Bytes that are kept already are not referred to.
        """
        try:
            reference = Reference.of(path)
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            reference.file()  # nor did it change meanwhile
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror or error}") from error
        if not self._is_kept(sha256, reference.size):
            self.objects.put(reference_name(sha256), reference.encode())
            self.objects.sync_object(reference_name(sha256))
        return sha256, reference.size

    def media_size(self, sha256: str) -> int | None:
        """Size of a media, bytes; None where it is not kept."""
        return self.objects.size(media_name(sha256))

    def media_file(self, sha256: str, scratch: Path) -> Path:
        """A local file with the bytes of a media: where it lies, or a copy in `scratch` that is checked."""
        if self.objects.folder is not None:
            path = self.objects.folder / media_name(sha256)
            return path if path.exists() else self._referred(sha256)
        path = scratch / sha256
        if path.exists():
            return path
        if self.objects.size(media_name(sha256)) is None:
            return self._referred(sha256)
        scratch.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{sha256}-{os.getpid()}")
        try:
            self._copy(sha256, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return path

    def read(self, name: str, start: int, length: int) -> bytes:
        """A part of an object, or of the file that a media is used in place from."""
        try:
            return self.objects.get_range(name, start, length)
        except StoreError:
            sha256 = name.rsplit("/", 1)[-1]
            if name != media_name(sha256) or self.objects.size(reference_name(sha256)) is None:
                raise
        with self._referred(sha256).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def writer(self, key: ResultKey, outputs: Mapping[str, Output]) -> ResultWriter:
        """Begin a result."""
        return ResultWriter(self.objects, key, outputs)

    def result(self, prefix: str, *, manifest_sha256: str | None = None) -> StoredResult:
        """Open a whole result; raises `StoreError`."""
        return StoredResult(self.objects, prefix, manifest_sha256=manifest_sha256)

    def scrub(self) -> Iterator[Damage]:
        """Hash every object again; yield what is damaged or missing."""
        for name, _, _ in self.objects.list("media"):
            if _sha256(self.objects.chunks(name)) != name.rsplit("/", 1)[-1]:
                yield Damage(name, "its bytes have another SHA-256 than its name says")
        for name, _, _ in self.objects.list("references"):
            yield from self._scrub_reference(name)
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
        yield from self._sweep_all((("results/v1", 8), ("derived", 7)), known, dry_run=dry_run, grace_s=grace_s)

    def sweep_media(
        self, known: Callable[[str], bool], *, dry_run: bool, grace_s: float = GRACE_S
    ) -> Iterator[tuple[str, int]]:
        """The same for media, references to files, and parts of uploads; and what uploads that broke off left."""
        folders = (("media", 3), ("references", 3), ("uploads", 4))
        yield from self._sweep_all(folders, known, dry_run=dry_run, grace_s=grace_s)
        for path in () if self.objects.folder is None else self.objects.folder.glob(f"{_PARTIAL}*"):
            found = path.stat()
            if found.st_mtime <= time.time() - grace_s:
                if not dry_run:
                    path.unlink(missing_ok=True)
                yield path.name, found.st_size

    def _sweep_all(
        self, folders: Iterable[tuple[str, int]], known: Callable[[str], bool], *, dry_run: bool, grace_s: float
    ) -> Iterator[tuple[str, int]]:
        for folder, parts in folders:
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
                if (self.objects.changed(name) or 0.0) > time.time() - grace_s:
                    continue  # meanwhile somebody came with the same bytes
                if not dry_run:
                    self.objects.delete(name)
                yield name, size

    def _scrub_reference(self, name: str) -> Iterator[Damage]:
        try:
            with self._referred(name.rsplit("/", 1)[-1]).open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except (StoreError, OSError) as error:
            yield Damage(name, str(error))
            return
        if sha256 != name.rsplit("/", 1)[-1]:
            yield Damage(name, "the file has another SHA-256 than its name says")

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
            if _sha256([data]) != facts["sha256"]:
                yield Damage(f"{prefix}/{name}", "its bytes have another SHA-256 than its manifest says")

    def _is_kept(self, sha256: str, size: int) -> bool:
        """Whether the bytes of a media are there, and young enough that no sweep takes them for forgotten."""
        name = media_name(sha256)
        if self.objects.size(name) != size:
            return False
        if self.objects.folder is not None:
            os.utime(self.objects.folder / name)
            return True
        return (self.objects.changed(name) or 0.0) > time.time() - GRACE_S / 2

    def _referred(self, sha256: str) -> Path:
        if self.objects.size(reference_name(sha256)) is None:
            raise StoreError(f"media {sha256} is not in {self.objects.url}")
        return Reference.decode(self.objects.get(reference_name(sha256))).file()

    def _copy(self, sha256: str, path: Path) -> None:
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for chunk in self.objects.chunks(media_name(sha256)):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != sha256:
            raise StoreError(f"media {sha256} is damaged: its bytes have another SHA-256")

    def _adopt(self, file: Path, sha256: str, size: int) -> None:
        name = media_name(sha256)
        if self._is_kept(sha256, size):
            return
        if self.objects.folder is None:
            self.objects.put_file(name, file)
            return
        target = self.objects.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
        self.objects.sync(name.rsplit("/", 1)[0])


def media_name(sha256: str) -> str:
    """Name of the object that holds a media."""
    return f"media/{sha256[:2]}/{sha256}"


def _sha256(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
