"""What the database knows of the store, for sweeping what is left there that nobody knows."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from timeside_api.database import Database


async def names(database: Database, shard: str, *, grace_s: float) -> frozenset[str]:
    """Names of objects that belong to something, of those that begin so: `media/ab/`, `references/ab/`, `uploads/ab/`.

    Media that nothing refers to, and that have been known for longer than the grace, do not count.
    """
    async with database.transaction() as session:
        if shard.startswith("uploads/"):
            found = await session.scalars(_PARTS, {"below": f"{shard}%"})
            return frozenset("/".join(name.split("/")[:4]) for name in found)
        folder, digits = shard.split("/")[:2]
        about = {"below": f"{digits}%", "grace": timedelta(seconds=grace_s)}
        unused = await _unused(database)
        found = await session.scalars(
            text(f"SELECT sha256 FROM media WHERE sha256 LIKE :below AND NOT ({unused})"), about
        )
        return frozenset(f"{folder}/{digits}/{sha256}" for sha256 in found)


async def forget_media(database: Database, *, grace_s: float, dry_run: bool) -> Sequence[str]:
    """Remove the rows of media that nothing refers to; their hashes."""
    unused, about = await _unused(database), {"grace": timedelta(seconds=grace_s)}
    async with database.transaction() as session:
        found = (await session.scalars(text(f"SELECT sha256 FROM media WHERE {unused} ORDER BY sha256"), about)).all()
    return [sha256 for sha256 in found if dry_run or await _forget(database, sha256)]


async def _forget(database: Database, sha256: str) -> bool:
    """Whether it could be removed: somebody may have come with the same bytes meanwhile."""
    try:
        async with database.transaction() as session:
            await session.execute(text("DELETE FROM media WHERE sha256 = :sha256"), {"sha256": sha256})
    except IntegrityError:
        return False
    return True


async def _unused(database: Database) -> str:
    """A condition on rows of media; what may refer to them is asked of the database, so that no table is overlooked."""
    async with database.transaction() as session:
        references = (await session.execute(_REFERENCES)).all()
    used = (f"EXISTS (SELECT FROM {table} WHERE {table}.{column} = media.sha256)" for table, column in references)
    return " AND ".join(["media.created_at < now() - CAST(:grace AS interval)", *(f"NOT {each}" for each in used)])


_PARTS = text("SELECT object_name FROM upload_part WHERE object_name LIKE :below")
_REFERENCES = text(
    "SELECT c.conrelid::regclass::text, quote_ident(a.attname) FROM pg_constraint AS c"
    " JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
    " WHERE c.contype = 'f' AND c.confrelid = 'media'::regclass ORDER BY 1, 2"
)
