"""Projects and shares: who gets what by them, and that it ends with them."""

from typing import Any
from uuid import UUID

import pytest
from tests.support.api import Api, Person, Socket

from timeside_api.http.keeping import forget_old
from timeside_api.sharing import Grant
from timeside_core import get_processor

pytestmark = pytest.mark.integration


class Hand:
    """Somebody who uses the API."""

    def __init__(self, api: Api, who: Person) -> None:
        self.api, self.who = api, who

    async def ask(self, method: str, path: str, status: int, **sent: Any) -> Any:
        response = await self.api.client.request(method, f"/v1/{path}", headers=self.who.headers, **sent)
        assert response.status_code == status, (path, response.text)
        return response.json() if response.content else None

    async def status(self, path: str) -> int:
        return (await self.api.client.get(f"/v1/{path}", headers=self.who.headers)).status_code


async def project(ada: Hand, **members: str) -> str:
    made = await ada.ask("POST", "projects", 201, json={"name": "p"})
    for name, level in members.items():
        await ada.ask("PUT", f"projects/{made['id']}/members/{name}", 204, json={"level": level})
    return made["id"]


async def test_members_have_what_is_in_a_project_and_what_was_made_of_it(api: Api, ada: Person):
    owner, bob = Hand(api, ada), Hand(api, await api.person("bob"))
    item_id = await api.item(ada)
    task_id = await api.task(ada, item_id, get_processor("rms")())
    (result,) = await api.results(task_id)
    paths = (f"items/{item_id}", f"tasks/{task_id}", f"results/{result.id}", f"media/{result.media_sha256}")
    project_id = await project(owner, bob="viewer")
    assert [await bob.status(path) for path in paths] == [404] * 4
    things = {"things": [{"kind": "item", "id": str(item_id)}]}
    await owner.ask("POST", f"projects/{project_id}/things:add", 204, json=things)
    assert [await bob.status(path) for path in paths] == [200] * 4
    await bob.ask("PATCH", f"items/{item_id}", 403, json={"title": "t"})
    await owner.ask("PUT", f"projects/{project_id}/members/bob", 204, json={"level": "editor"})
    await bob.ask("PATCH", f"items/{item_id}", 200, json={"title": "t"})
    await bob.ask("DELETE", f"items/{item_id}", 403)
    await owner.ask("POST", f"projects/{project_id}/things:remove", 204, json=things)
    assert [await bob.status(path) for path in paths] == [404] * 4


async def test_only_owners_say_who_is_in_a_project_and_everybody_may_leave(api: Api, ada: Person):
    owner, bob, cyd = Hand(api, ada), Hand(api, await api.person("bob")), Hand(api, await api.person("cyd"))
    project_id = await project(owner, bob="editor")
    members = f"projects/{project_id}/members"
    await cyd.ask("PUT", f"{members}/cyd", 404, json={"level": "owner"})
    await bob.ask("PUT", f"{members}/cyd", 403, json={"level": "viewer"})
    await bob.ask("PUT", f"{members}/bob", 403, json={"level": "owner"})
    await owner.ask("PUT", f"{members}/ada", 409, json={"level": "viewer"})
    await owner.ask("PUT", f"{members}/nobody", 404, json={"level": "viewer"})
    await owner.ask("PUT", f"{members}/bob", 204, json={"level": "owner"})
    await bob.ask("PUT", f"{members}/cyd", 204, json={"level": "viewer"})
    listed = (await cyd.ask("GET", members, 200))["items"]
    assert [(each["name"], each["level"]) for each in listed] == [("bob", "owner"), ("cyd", "viewer")]
    await cyd.ask("DELETE", f"{members}/bob", 403)
    await cyd.ask("DELETE", f"{members}/cyd", 204)
    assert await cyd.status(f"projects/{project_id}") == 404
    await bob.ask("DELETE", f"projects/{project_id}", 204)


async def test_things_of_others_are_not_moved(api: Api, ada: Person):
    owner, bob = Hand(api, ada), Hand(api, await api.person("bob"))
    things = {"things": [{"kind": "item", "id": str(await api.item(ada))}]}
    project_id = await project(bob)
    await bob.ask("POST", f"projects/{project_id}/things:add", 404, json=things)
    unknown = {"things": [{"kind": "media", "id": project_id}]}
    await bob.ask("POST", f"projects/{project_id}/things:add", 422, json=unknown)
    await owner.ask("POST", f"projects/{project_id}/things:add", 404, json=things)


async def test_what_is_shared_is_there_until_it_is_revoked(api: Api, ada: Person):
    owner, bob = Hand(api, ada), Hand(api, await api.person("bob"))
    item_id = str(await api.item(ada))
    share = {"kind": "item", "id": item_id, "account": "bob"}
    await bob.ask("POST", "shares", 404, json=share)
    await owner.ask("POST", "shares", 409, json=share | {"account": "ada"})
    await owner.ask("POST", "shares", 201, json=share)
    assert [each["id"] for each in (await bob.ask("GET", "shares/received", 200))["items"]] == [item_id]
    await bob.ask("PATCH", f"items/{item_id}", 403, json={"title": "t"})
    await bob.ask("POST", "shares", 403, json=share | {"account": "ada"})
    await owner.ask("POST", "shares", 201, json=share | {"level": "editor"})
    await bob.ask("PATCH", f"items/{item_id}", 200, json={"title": "t"})
    listed = (await owner.ask("GET", "shares", 200, params={"kind": "item", "id": item_id}))["items"]
    assert [(each["account"], each["level"]) for each in listed] == [("bob", "editor")]
    await owner.ask("DELETE", f"shares/item/{item_id}/bob", 204)
    assert await bob.status(f"items/{item_id}") == 404
    assert (await bob.ask("GET", "shares/received", 200))["items"] == []
    await owner.ask("DELETE", f"shares/item/{item_id}/bob", 404)


async def test_shares_of_what_is_gone_are_forgotten(api: Api, ada: Person):
    owner, bob = Hand(api, ada), Hand(api, await api.person("bob"))
    item_id = str(await api.item(ada))
    await owner.ask("POST", "shares", 201, json={"kind": "item", "id": item_id, "account": "bob"})
    await owner.ask("DELETE", f"items/{item_id}", 204)
    assert (await bob.ask("GET", "shares/received", 200))["items"] == []
    await forget_old(api.database, api.app.state.platform.settings)
    async with api.database.transaction() as session:
        assert await session.get(Grant, ("item", UUID(item_id), bob.who.id)) is None


async def test_streams_of_who_was_removed_end(api: Api, ada: Person):
    owner, bob = Hand(api, ada), Hand(api, await api.person("bob"))
    item_id = await api.item(ada)
    task_id = await api.task(ada, item_id, get_processor("rms")())
    project_id = await project(owner, bob="viewer")
    things = {"things": [{"kind": "item", "id": str(item_id)}]}
    await owner.ask("POST", f"projects/{project_id}/things:add", 204, json=things)
    async with Socket(api.app, "/v1/stream", bob.who.headers) as socket:
        await socket.say(op="subscribe", id="a", task=task_id)
        await socket.until("ready")
        await owner.ask("DELETE", f"projects/{project_id}/members/bob", 204)
        assert (await socket.until("error"))[-1]["code"] == "not-found"
