"""`timeside store …`: upkeep of what is kept."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from timeside_core.errors import ParameterError

app = typer.Typer(help="Look after the store.", no_args_is_help=True)

Url = Annotated[str, typer.Option("--store", envvar="TIMESIDE_STORE_URL", help="file:///folder or s3://bucket/prefix.")]
Database = Annotated[
    str, typer.Option("--database", envvar="TIMESIDE_DATABASE_URL", help="postgresql://… of the results.")
]

_OF_RESULTS = ("results/", "derived/")
_FOLDERS = ("results", "derived", "media", "references", "uploads")


@app.command()
def scrub(store: Url) -> None:
    """Hash every object again; say what is damaged or missing. Exit code 1 if anything is."""
    from timeside_core.store import Store

    damages = 0
    for damage in Store(store).scrub():
        print(f"{damage.name}: {damage.reason}")
        damages += 1
    print(f"{damages} damaged")
    raise typer.Exit(1 if damages else 0)


@app.command()
def sweep(
    store: Url,
    database: Database,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    grace_hours: Annotated[float, typer.Option("--grace-hours", min=1, help="Younger objects are never removed.")] = 24,
) -> None:
    """Remove what nothing in the database knows: media of no item, leftovers of uploads and of writers."""
    from timeside_core.store import Store

    kept, grace_s = Store(store), grace_hours * 3600
    count = size = 0
    with asyncio.Runner() as runner:
        known = _Known(runner, database, grace_s)
        try:
            for sha256 in known.forget_media(dry_run=dry_run):
                print(f"media {sha256}: no item and no result has it")
            for sweeping in (kept.sweep, kept.sweep_media):
                for name, bytes_ in sweeping(known, dry_run=dry_run, grace_s=grace_s):
                    count, size = count + 1, size + bytes_
                    print(name)
        finally:
            known.close()
    print(f"{count} objects, {size} bytes {'would be' if dry_run else 'were'} removed")


class _Known:
    """Whether something has a name, asked of the database once for all names that share their first two digits."""

    def __init__(self, runner: asyncio.Runner, url: str, grace_s: float) -> None:
        from timeside_api.database import Database

        self._runner, self._database, self._grace_s = runner, Database(url), grace_s
        self._shard, self._names = "", frozenset[str]()

    def __call__(self, name: str) -> bool:
        shard = _shard(name)
        if shard != self._shard:
            self._shard, self._names = shard, self._runner.run(self._load(shard))
        return name in self._names

    def forget_media(self, *, dry_run: bool) -> Sequence[str]:
        """Forget media that nothing refers to; their hashes."""
        from timeside_api.upkeep import forget_media

        return self._runner.run(forget_media(self._database, grace_s=self._grace_s, dry_run=dry_run))

    def close(self) -> None:
        """Close the connections."""
        self._runner.run(self._database.close())

    async def _load(self, shard: str) -> frozenset[str]:
        from timeside_api import upkeep
        from timeside_api.runs import object_names

        if not shard.startswith(_OF_RESULTS):
            return await upkeep.names(self._database, shard, grace_s=self._grace_s)
        async with self._database.transaction() as session:
            return await object_names(session, shard)


def _shard(name: str) -> str:
    """`results/v1/ab/` of a result's prefix, `media/ab/` of a media's name."""
    parts = name.split("/")
    if parts[0] not in _FOLDERS:
        raise ParameterError(f"object {name!r} is in none of the folders {', '.join(_FOLDERS)}")
    return "/".join(parts[: 3 if parts[0] == "results" else 2]) + "/"
