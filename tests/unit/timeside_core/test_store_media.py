"""Media in the store: joined by hash, used in place, swept when nobody knows them."""

import os
import time
from pathlib import Path

import pytest

from timeside_core.errors import ChangedMediaError, StoreError
from timeside_core.store import Store
from timeside_core.store.store import media_name

DAY_S = 86_400.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store((tmp_path / "store").as_uri())


def age(store: Store) -> None:
    """Let two days pass for all that is there."""
    assert store.objects.folder is not None
    for path in store.objects.folder.rglob("*"):
        os.utime(path, (time.time() - 2 * DAY_S,) * 2)


def test_a_file_used_in_place_is_read_where_it_lies(store: Store, tmp_path: Path):
    file = tmp_path / "a.wav"
    file.write_bytes(b"some audio")
    sha256, size = store.refer_media(file)
    assert (size, store.media_size(sha256)) == (10, None)
    assert store.media_file(sha256, tmp_path) == file
    assert store.read(media_name(sha256), 5, 3) == b"aud"
    assert list(store.scrub()) == []


@pytest.mark.parametrize("change", ["bytes", "time", "gone"])
def test_a_file_used_in_place_that_changes_is_refused(store: Store, tmp_path: Path, change: str):
    file = tmp_path / "a.wav"
    file.write_bytes(b"some audio")
    sha256, _ = store.refer_media(file)
    match change:
        case "bytes":
            file.write_bytes(b"other audio")
        case "time":
            os.utime(file, ns=(0, 0))
        case _:
            file.unlink()
    with pytest.raises(ChangedMediaError, match=r"a\.wav"):
        store.media_file(sha256, tmp_path)
    with pytest.raises(ChangedMediaError):
        store.read(media_name(sha256), 0, 1)
    assert len(list(store.scrub())) == 1


def test_bytes_that_are_kept_are_not_referred_to(store: Store, tmp_path: Path):
    sha256, _ = store.put_media([b"some audio"])
    file = tmp_path / "a.wav"
    file.write_bytes(b"some audio")
    assert store.refer_media(file) == (sha256, 10)
    file.unlink()
    assert store.media_file(sha256, tmp_path).read_bytes() == b"some audio"


def test_what_nobody_knows_is_swept_once_it_is_old(store: Store, tmp_path: Path):
    known, _ = store.put_media([b"known"])
    orphan, _ = store.put_media([b"orphan"])
    file = tmp_path / "a.wav"
    file.write_bytes(b"elsewhere")
    referred, _ = store.refer_media(file)
    store.objects.put("uploads/ab/x/1", b"part")
    (tmp_path / "store" / ".upload-x").write_bytes(b"half")
    names = {media_name(known)}
    assert list(store.sweep_media(names.__contains__, dry_run=False)) == []
    age(store)
    would = sorted(store.sweep_media(names.__contains__, dry_run=True))
    assert sorted(store.sweep_media(names.__contains__, dry_run=False)) == would
    assert [name for name, _ in would] == [
        ".upload-x",
        media_name(orphan),
        f"references/{referred[:2]}/{referred}",
        "uploads/ab/x/1",
    ]
    assert store.media_size(known) == 5
    assert file.exists()
    with pytest.raises(StoreError):
        store.media_file(orphan, tmp_path)


def test_bytes_that_come_again_are_young_again(store: Store):
    sha256, _ = store.put_media([b"orphan"])
    age(store)
    assert store.put_media([b"orphan"])[0] == sha256
    assert list(store.sweep_media(lambda name: False, dry_run=False)) == []
