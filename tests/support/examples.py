"""Examples of the OpenAPI document: real exchanges, recorded once; `make examples` adds those that are missing.

python -m tests.support.examples [--all]
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

from tests.integration.timeside_api.http.test_access import (
    LEAVING,
    SPOKEN,
    Things,
    body,
    came_in,
    operations,
    query,
    things,
)
from tests.support.api import Api, serving

import timeside_api.http
from timeside_api.database import Database
from timeside_api.embedded import EmbeddedPostgres
from timeside_api.http import openapi

RECORDED = Path(timeside_api.http.__file__).parent / "examples.json"
MOST = 2
"""Elements of a list that are shown."""
_LONGEST = 160
_SECRETS = {"access_token", "refresh_token", "ticket", "key"}
_ONLY_ADMIN = "accou", "audit"

Exchange = dict[str, Any]


def shortened(value: Any, name: str = "") -> Any:
    """A value with few elements and no secrets."""
    if isinstance(value, dict):
        return {key: shortened(each, key) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [shortened(each) for each in cast("list[Any]", value)[:MOST]]
    if isinstance(value, str) and name in _SECRETS:
        return f"{value[:6]}…"
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[:_LONGEST]}…"
    return value


async def record(api: Api, known: dict[str, Exchange]) -> dict[str, Exchange]:
    """Exchanges by operation: what is known, and what is missing."""
    found = dict(known)
    has = await things(api, await api.person("ada"))
    for name, method, path, _ in operations(api):
        if name in LEAVING:
            has = await things(api, await api.person(f"ada.{name}"))
        if name not in known and (exchange := await _exchange(api, has, name, method, path)):
            found[name] = exchange
    return dict(sorted(found.items()))


async def _exchange(api: Api, has: Things, name: str, method: str, path: str) -> Exchange | None:
    who = "admin" if name.startswith(_ONLY_ADMIN) else "owner"
    url = path.format(**has.paths)
    if name.endswith("_stream"):
        return None
    sent = body(name, has, who)
    headers = await came_in(api, who, has) | SPOKEN.get(name, {})
    answer = await api.client.request(method, url, params=query(name, has), headers=headers, **sent)
    exchange: Exchange = {"request": shortened(sent["json"])} if "json" in sent else {}
    is_json = answer.headers.get("content-type", "").startswith("application/json")
    if answer.is_success and answer.content and is_json:
        exchange |= {"status": str(answer.status_code), "response": shortened(answer.json())}
    return exchange or None


async def main() -> None:
    """Record, and write."""
    known = cast("dict[str, Exchange]", {} if "--all" in sys.argv else json.loads(RECORDED.read_text("utf-8")))
    openapi.EXAMPLES.clear()
    with (
        tempfile.TemporaryDirectory(prefix="timeside-examples-") as folder,
        EmbeddedPostgres(Path(folder) / "pg") as postgres,
    ):
        database = Database(postgres.url)
        await database.upgrade()
        async with serving(database, Path(folder)) as api:
            found = await record(api, known)
        await database.close()
    RECORDED.write_text(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
    print(f"{len(found)} exchanges, {len(found) - len(known)} of them new")


if __name__ == "__main__":
    asyncio.run(main())
