"""`timeside store sweep`: what nothing in the database knows goes, what is known stays."""

import asyncio
import os
import time
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text, update
from typer.testing import CliRunner

from timeside.cli.store import app
from timeside_api.database import Database
from timeside_api.models import Item, Media, Owner
from timeside_api.uploads import Upload, UploadPart
from timeside_core.ids import uuid7
from timeside_core.store import Store

pytestmark = pytest.mark.integration


async def _known(database: Database, store: Store) -> dict[str, str]:
    """A media with an item, one without, one of a young row, bytes without a row; parts that count, and that do not."""
    kept = {name: store.put_media([name.encode()])[0] for name in ("item", "forgotten", "young", "orphan")}
    owner_id, upload_id = uuid7(), uuid7()
    part = f"uploads/ab/{upload_id}/{uuid4().hex}"
    for name in (part, "uploads/ab/x/lost"):
        store.objects.put(name, b"part")
    async with database.transaction() as session:
        session.add(Owner(id=owner_id))
        session.add_all(Media(sha256=kept[name], size=len(name)) for name in ("item", "forgotten", "young"))
        await session.flush()
        session.add(Item(owner_id=owner_id, media_sha256=kept["item"]))
        old = text("now() - interval '2 days'")
        await session.execute(
            update(Media).where(Media.sha256.in_([kept["item"], kept["forgotten"]])).values(created_at=old)
        )
        about = {"owner_id": owner_id, "length": 9, "received": 4, "is_for_item": False}
        session.add(Upload(id=upload_id, expires_at=text("now()"), **about))
        await session.flush()
        session.add(UploadPart(upload_id=upload_id, first_byte=0, size=4, object_name=part))
    return kept


def _age(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 2 * 86_400,) * 2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store((tmp_path / "store").as_uri())


def test_media_of_no_item_and_parts_of_no_upload_are_swept(database_url: str, store: Store, tmp_path: Path):
    async def prepare() -> dict[str, str]:
        database = Database(database_url)
        try:
            return await _known(database, store)
        finally:
            await database.close()

    kept = asyncio.run(prepare())

    def sweep(*options: str) -> str:
        result = CliRunner().invoke(app, ["sweep", "--store", store.objects.url, "--database", database_url, *options])
        assert result.exit_code == 0, result.output
        return result.output

    def media() -> set[str]:
        return {name for name, sha256 in kept.items() if store.media_size(sha256) is not None}

    assert "0 objects" in sweep()
    _age(tmp_path / "store")
    would = sweep("--dry-run")
    assert media() == {"item", "forgotten", "young", "orphan"}
    assert would.replace("would be", "were") == sweep()
    assert media() == {"item", "young"}
    assert kept["forgotten"] in would
    assert [name.split("/")[2] for name, _, _ in store.objects.list("uploads")] != ["x"]
    assert len(list(store.objects.list("uploads"))) == 1
    assert "0 objects" in sweep()
