"""Accounts over HTTP, what they may have, how often they may ask, and what of it all is written down."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.support.api import PASSWORD, Api, Person, noise, serving, wav

from timeside_api import audit
from timeside_api.database import Database
from timeside_api.identity import Role
from timeside_core import get_processor

pytestmark = pytest.mark.integration


@pytest.fixture
async def root(api: Api) -> Person:
    """An administrator."""
    return await api.person("root", Role.ADMIN)


@pytest.fixture
async def strict(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    """Where little is allowed."""
    limits = {"max_items": 2, "max_bytes": 100_000, "max_open_tasks": 1, "requests_per_s": 0.01, "requests_burst": 30}
    async with serving(database, tmp_path, **limits) as api:
        yield api


async def entries(api: Api, root: Person, **query: Any) -> list[dict[str, Any]]:
    response = await api.client.get("/v1/audit", params=query, headers=root.headers)
    assert response.status_code == 200, response.text
    return response.json()["items"]


async def test_an_administrator_lets_people_in_and_out(api: Api, root: Person):
    client = api.client
    made = await client.post("/v1/accounts", json={"name": "bob"}, headers=root.headers)
    assert made.status_code == 201
    account, credentials = made.json(), {"name": "bob", "password": made.json()["password"]}
    assert (await client.post("/v1/accounts", json={"name": "bob"}, headers=root.headers)).status_code == 409
    assert (await client.post("/v1/auth/token", json=credentials)).json()["code"] == "password-temporary"
    changed = await client.post("/v1/auth/password", json=credentials | {"new_password": PASSWORD})
    bob = {"Authorization": f"Bearer {changed.json()['access_token']}"}
    named = await client.patch("/v1/me", json={"display_name": "Bob"}, headers=bob)
    assert named.json()["display_name"] == "Bob"
    assert (await client.post(f"/v1/accounts/{account['id']}:disable", headers=root.headers)).json()["disabled_at"]
    assert (await client.get("/v1/me", headers=bob)).status_code == 401
    again = await client.post(f"/v1/accounts/{account['id']}:reset", headers=root.headers)
    assert again.json()["password"] != credentials["password"]
    role = await client.patch(f"/v1/accounts/{account['id']}", json={"role": "admin"}, headers=root.headers)
    assert role.json()["role"] == "admin"
    actions = [each["action"] for each in await entries(api, root, subject="bob")]
    assert actions == ["account.role", "account.reset", "account.disabled", "password.changed", "account.made"]


async def test_administrators_do_not_lock_themselves_out(api: Api, root: Person):
    path = f"/v1/accounts/{root.id}"
    assert (await api.client.post(f"{path}:disable", headers=root.headers)).status_code == 409
    assert (await api.client.patch(path, json={"role": "user"}, headers=root.headers)).status_code == 409


async def test_sign_ins_are_written_down_also_those_that_failed(api: Api, root: Person, ada: Person):
    for password in (PASSWORD, "wrong"):
        await api.client.post("/v1/auth/token", json={"name": "ada", "password": password})
    await api.client.post("/v1/auth/token", json={"name": "my password by mistake", "password": "x"})
    failed = await entries(api, root, action="sign_in", is_allowed=False)
    assert [each["subject"] for each in failed] == ["", "ada"]
    (done,) = await entries(api, root, action="sign_in", is_allowed=True)
    assert (done["actor_id"], done["address"]) == (str(ada.id), "127.0.0.1")
    assert len(done["trace_id"]) == 32
    assert (await api.client.get("/v1/audit", headers=ada.headers)).status_code == 403


async def test_the_audit_log_is_only_added_to(api: Api, root: Person):
    await api.client.post("/v1/accounts", json={"name": "bob"}, headers=root.headers)
    for statement in ("UPDATE audit SET action = 'x'", "DELETE FROM audit", "TRUNCATE audit"):
        with pytest.raises(DBAPIError, match="only added to"):
            async with api.database.transaction() as session:
                await session.execute(text(statement))
    async with api.database.transaction() as session:
        old = audit.AuditEntry(action="old", is_allowed=True)
        session.add(old)
        await session.flush()
        await session.execute(text("ALTER TABLE audit DISABLE TRIGGER audit_is_kept"))
        await session.execute(text("UPDATE audit SET created_at = '2020-01-01' WHERE action = 'old'"))
        await session.execute(text("ALTER TABLE audit ENABLE TRIGGER audit_is_kept"))
    async with api.database.transaction() as session:
        await audit.forget(session, days=0)
    assert [each["action"] for each in await entries(api, root)] == ["account.made"]


async def test_what_there_is_is_counted_and_what_is_too_much_is_refused(strict: Api):
    ada, root = await strict.person("ada"), await strict.person("root", Role.ADMIN)

    async def create() -> Any:
        return await strict.client.post("/v1/items", json={}, headers=ada.headers)

    async def usage() -> dict[str, Any]:
        return (await strict.client.get("/v1/me/usage", headers=ada.headers)).json()

    items = [(await create()).json()["id"] for _ in range(2)]
    refused = await create()
    assert (refused.status_code, refused.json()["code"]) == (403, "quota")
    assert refused.json()["errors"][0] == {"pointer": "items", "detail": "3, where 2 is the limit"}
    assert (await usage())["items"] == {"used": 2, "limit": 2}
    await strict.client.delete(f"/v1/items/{items[0]}", headers=ada.headers)
    assert (await create()).status_code == 201
    limits = {"items": 10}
    path = f"/v1/accounts/{ada.id}/limits"
    assert (await strict.client.put(path, json=limits, headers=root.headers)).json()["items"]["limit"] == 10
    assert (await create()).status_code == 201
    small, large = wav(noise(0.1)), wav(noise(1.0))
    done = await strict.client.put(f"/v1/items/{items[1]}/media", content=small, headers=ada.headers)
    assert done.status_code == 200
    assert (await usage())["bytes"]["used"] == len(small)
    refused = await strict.client.put(f"/v1/items/{items[1]}/media", content=large, headers=ada.headers)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (403, "bytes")
    asked = {"item_id": items[1], "processors": [{"processor": "rms"}]}
    first = await strict.client.post("/v1/tasks", json=asked, headers=ada.headers)
    assert first.status_code == 202
    asked["processors"] = [{"processor": "level"}]
    refused = await strict.client.post("/v1/tasks", json=asked, headers=ada.headers)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (403, "open_tasks")
    assert (await usage())["open_tasks"] == {"used": 1, "limit": 1}
    path = f"/v1/tasks/{first.json()['id']}"
    await strict.client.post(f"{path}:cancel", headers=ada.headers)
    assert (await strict.client.post("/v1/tasks", json=asked, headers=ada.headers)).status_code == 202
    refused = await strict.client.post(f"{path}:retry", headers=ada.headers)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (403, "open_tasks")
    assert (await strict.client.get(path, headers=ada.headers)).json()["state"] == "cancelled"


async def test_who_asks_too_often_is_told_when_to_come_back(strict: Api):
    ada, bob = await strict.person("ada"), await strict.person("bob")
    answers = [await strict.client.get("/v1/me", headers=ada.headers) for _ in range(31)]
    assert [each.status_code for each in answers] == [200] * 30 + [429]
    assert answers[0].headers["ratelimit-policy"] == '"default";q=30;w=3000'
    assert answers[0].headers["ratelimit"].startswith('"default";r=29;')
    assert answers[-1].json()["code"] == "rate"
    assert int(answers[-1].headers["retry-after"]) > 60
    assert (await strict.client.get("/v1/me", headers=bob.headers)).status_code == 200
    assert (await strict.client.get("/livez")).status_code in (204, 404)


async def test_strangers_are_counted_by_address(database: Database, tmp_path: Path):
    async with serving(database, tmp_path, strangers_per_s=0.01, strangers_burst=3, proxies=1) as api:
        ada = await api.person("ada")
        bad = {"Authorization": "Bearer tsk_nonsense"}

        async def ask(address: str, headers: dict[str, str]) -> int:
            sent = headers | {"X-Forwarded-For": f"6.6.6.6, {address}"}
            return (await api.client.get("/v1/me", headers=sent)).status_code

        assert [await ask("192.0.2.1", bad) for _ in range(4)] == [401, 401, 401, 429]
        assert await ask("192.0.2.2", bad) == 401
        assert await ask("192.0.2.1", ada.headers) == 200


async def test_an_item_counts_for_who_owns_it_whatever_becomes_of_it(api: Api, ada: Person):
    bob, audio = await api.person("bob"), wav(noise(0.1))
    item_id = await api.item(ada, audio)
    await api.task(ada, item_id, get_processor("rms")())

    async def used(who: Person) -> tuple[int, int]:
        found = (await api.client.get("/v1/me/usage", headers=who.headers)).json()
        return found["items"]["used"], found["bytes"]["used"]

    assert (await used(ada), await used(bob)) == ((1, len(audio)), (0, 0))
    async with api.database.transaction() as session:
        await session.execute(text("UPDATE item SET owner_id = :id"), {"id": bob.id})
    assert (await used(ada), await used(bob)) == ((0, 0), (1, len(audio)))
    async with api.database.transaction() as session:
        await session.execute(text("UPDATE item SET media_sha256 = NULL"))
    assert await used(bob) == (1, 0)
