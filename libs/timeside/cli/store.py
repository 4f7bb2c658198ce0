"""`timeside store …`: upkeep of what is kept."""

import asyncio
from typing import Annotated

import typer

from timeside_core.errors import ParameterError

app = typer.Typer(help="Look after the store.", no_args_is_help=True)

Url = Annotated[str, typer.Option("--store", envvar="TIMESIDE_STORE_URL", help="file:///folder or s3://bucket/prefix.")]
Database = Annotated[
    str, typer.Option("--database", envvar="TIMESIDE_DATABASE_URL", help="postgresql://… of the results.")
]


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
    """Remove what no result in the database knows: leftovers of writers that were killed."""
    from timeside_core.store import Store

    count = size = 0
    with asyncio.Runner() as runner:
        known = _Known(runner, database)
        try:
            for name, bytes_ in Store(store).sweep(known, dry_run=dry_run, grace_s=grace_hours * 3600):
                count, size = count + 1, size + bytes_
                print(name)
        finally:
            known.close()
    print(f"{count} objects, {size} bytes {'would be' if dry_run else 'were'} removed")


class _Known:
    """Whether a result knows a name, asked of the database once for all media that share their first two digits."""

    def __init__(self, runner: asyncio.Runner, url: str) -> None:
        from timeside_api.database import Database

        self._runner, self._database = runner, Database(url)
        self._shard, self._names = "", frozenset[str]()

    def __call__(self, name: str) -> bool:
        shard = _shard(name)
        if shard != self._shard:
            self._shard, self._names = shard, self._runner.run(self._load(shard))
        return name in self._names

    def close(self) -> None:
        """Close the connections."""
        self._runner.run(self._database.close())

    async def _load(self, shard: str) -> frozenset[str]:
        from timeside_api.runs import object_names

        async with self._database.transaction() as session:
            return await object_names(session, shard)


def _shard(name: str) -> str:
    """`results/v1/ab/` of a result's prefix, `derived/ab/` of a file's name."""
    parts = name.split("/")
    if parts[0] not in ("results", "derived"):
        raise ParameterError(f"object {name!r} is neither a result nor a derived file")
    return "/".join(parts[: 3 if parts[0] == "results" else 2]) + "/"
