"""Selections, presets, experiences: what belongs to them by whatever way, revisions, circles, who may see what."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.support.api import Api, Person

from timeside.presets import load
from timeside_api.sharing import Grant, Level

pytestmark = pytest.mark.integration


class Client:
    """A person's requests."""

    def __init__(self, api: Api, who: Person) -> None:
        self._api, self._headers = api, who.headers

    async def ask(self, method: str, path: str, status: int = 200, headers: Any = None, **more: Any) -> Any:
        sent = self._headers | (headers or {})
        answer = await self._api.client.request(method, f"/v1{path}", headers=sent, **more)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content and "json" in answer.headers.get("content-type", "") else answer

    async def get(self, path: str, **query: Any) -> Any:
        return await self.ask("GET", path, params=query)

    async def etag(self, path: str) -> str:
        return (await self._api.client.get(f"/v1{path}", headers=self._headers)).headers["ETag"]

    async def make(self, path: str, **said: Any) -> str:
        return (await self.ask("POST", path, 201, json=said))["id"]


@pytest.fixture
def me(api: Api, ada: Person) -> Client:
    return Client(api, ada)


async def share(api: Api, owner: Person, to: Person, kind: str, id: str, level: Level = Level.VIEWER) -> None:
    async with api.database.transaction() as session:
        session.add(Grant(kind=kind, thing_id=UUID(id), account_id=to.id, by_id=owner.id, level=level))


async def put_in(me: Client, selection: str, *items: str, selections: tuple[str, ...] = (), status: int = 200) -> Any:
    body = {"items": items, "selections": selections}
    return await me.ask("POST", f"/selections/{selection}/members:add", status, json=body)


async def titles(me: Client, selection: str, **query: Any) -> list[str]:
    return [each["title"] for each in (await me.get(f"/selections/{selection}/items", sort="title", **query))["items"]]


async def test_items_belong_by_whatever_way_each_once(me: Client):
    items = {title: await me.make("/items", title=title, tags=["late"] if title in "cd" else []) for title in "abcde"}
    inner = await me.make("/selections", title="inner", filter={"tags": ["late"]})
    outer = await me.make("/selections", title="outer")
    await put_in(me, inner, items["b"], items["c"])
    found = await put_in(me, outer, items["a"], items["b"], selections=(inner,))
    assert (found["items"], found["selections"]) == (2, [inner])
    assert await titles(me, outer) == ["a", "b", "c", "d"]
    assert (await me.get(f"/selections/{outer}/items", count=True, limit=1))["count"] == 4
    assert await put_in(me, outer, items["a"]) | {"updated_at": ""} == found | {"updated_at": ""}
    gone = {"items": [items["a"]], "selections": [inner]}
    await me.ask("POST", f"/selections/{outer}/members:remove", json=gone)
    assert await titles(me, outer) == ["b"]
    await me.ask("DELETE", f"/items/{items['b']}", 204)
    assert await titles(me, outer) == []
    await me.ask("PATCH", f"/selections/{inner}", json={"filter": None})
    assert await titles(me, inner) == ["c"]
    await me.ask("DELETE", f"/selections/{inner}", 204)
    await me.ask("GET", f"/selections/{inner}", 404)


async def test_of_a_shared_selection_everybody_sees_the_items_that_they_may_see(api: Api, ada: Person, me: Client):
    other = await api.person("other")
    theirs = Client(api, other)
    shown, hidden = [await theirs.make("/items", title=title, tags=["x"]) for title in ("shown", "hidden")]
    await me.make("/items", title="mine", tags=["x"])
    selection = await theirs.make("/selections", title="s", filter={"tags": ["x"]})
    assert await titles(theirs, selection) == ["hidden", "shown"]
    await me.ask("GET", f"/selections/{selection}/items", 404)
    await share(api, other, ada, "selection", selection)
    await share(api, other, ada, "item", shown)
    assert await titles(me, selection) == ["shown"]
    await put_in(me, selection, status=403)
    assert (await me.get("/selections"))["items"] == []
    assert [each["id"] for each in (await me.get("/selections", shared=True))["items"]] == [selection]
    own = await me.make("/selections", title="own")
    await put_in(me, own, hidden, status=404)
    await put_in(me, own, selections=(str(uuid4()),), status=404)
    await put_in(me, own, shown, selections=(selection,))
    assert [each["id"] for each in (await me.get("/selections", item_id=shown))["items"]] == [own]


async def test_no_selection_holds_itself_also_where_two_are_linked_at_once(me: Client):
    a, b, c = [await me.make("/selections", title=title) for title in "abc"]
    await put_in(me, a, selections=(a,), status=409)
    await put_in(me, a, selections=(b,))
    await put_in(me, b, selections=(c,))
    assert (await put_in(me, c, selections=(a,), status=409))["code"] == "circle"
    for _ in range(5):
        d, e = [await me.make("/selections") for _ in range(2)]
        bodies = [(d, {"selections": [e]}), (e, {"selections": [d]})]
        paths = [(f"/v1/selections/{outer}/members:add", body) for outer, body in bodies]
        answers = await asyncio.gather(
            *(me._api.client.post(path, json=body, headers=me._headers) for path, body in paths)
        )
        assert sorted(each.status_code for each in answers) == [200, 409]


async def test_a_change_of_what_was_not_read_is_refused(me: Client):
    for path, said in (
        ("/selections", {"title": "a"}),
        ("/presets", {"title": "a", "processor": "level"}),
        ("/experiences", {"title": "a", "steps": [{"preset_id": await me.make("/presets", processor="level")}]}),
    ):
        path += f"/{await me.make(path, **said)}"
        etag = await me.etag(path)
        await me.ask("GET", path, 304, headers={"If-None-Match": etag})
        await me.ask("PATCH", path, json={"title": "b"}, headers={"If-Match": etag})
        await me.ask("PATCH", path, 412, json={"title": "c"}, headers={"If-Match": etag})
        await me.ask("DELETE", path, 412, headers={"If-Match": etag})
        assert (await me.get(path))["title"] == "b"
        await me.ask("DELETE", path, 204, headers={"If-Match": "*"})


async def test_a_preset_has_all_parameters_and_keeps_what_it_was(me: Client):
    made = await me.ask("POST", "/presets", 201, json={"processor": "mfcc", "parameters": {"n_mfcc": 20}})
    assert (made["revision"], made["parameters"]["n_mfcc"], made["version"]) == (1, 20, "1.0")
    assert made["parameters"]["n_fft"] == 2048
    path = f"/presets/{made['id']}"
    same = await me.ask("PATCH", path, json={"parameters": {"n_mfcc": 20}, "title": "t"})
    assert (same["revision"], same["title"], same["digest"]) == (1, "t", made["digest"])
    other = await me.ask("PATCH", path, json={"parameters": {"n_mfcc": 13}})
    assert (other["revision"], other["digest"] != made["digest"]) == (2, True)
    assert [each["revision"] for each in (await me.get(f"{path}/revisions"))["items"]] == [2, 1]
    assert (await me.get(f"{path}/revisions/1"))["parameters"] == made["parameters"]
    await me.ask("GET", f"{path}/revisions/3", 404)
    wrong = await me.ask("PATCH", path, 422, json={"parameters": {"n_mfcc": 0}})
    assert wrong["errors"][0]["pointer"] == "/parameters"
    await me.ask("POST", "/presets", 422, json={"processor": "nothing"})
    assert [len((await me.get("/presets", processor=each))["items"]) for each in ("mfcc", "level")] == [1, 0]


async def test_an_experience_comes_to_processors_in_order(me: Client):
    level, gain = [await me.make("/presets", processor=each) for each in ("level", "fx_gain")]
    mfcc = await me.make("/presets", processor="mfcc", parameters={"n_mfcc": 20})
    inner = await me.make("/experiences", steps=[{"preset_id": gain}, {"preset_id": mfcc, "revision": 1}])
    outer = await me.make("/experiences", steps=[{"preset_id": level}, {"experience_id": inner}, {"preset_id": mfcc}])
    await me.ask("PATCH", f"/presets/{mfcc}", json={"parameters": {"n_mfcc": 13}})
    found = (await me.get(f"/experiences/{outer}/processors"))["items"]
    assert [each["processor"] for each in found] == ["level", "fx_gain", "mfcc", "mfcc"]
    assert [each["parameters"]["n_mfcc"] for each in found[2:]] == [20, 13]
    circle = {"steps": [{"experience_id": outer}]}
    assert (await me.ask("PATCH", f"/experiences/{inner}", 409, json=circle))["code"] == "circle"
    assert len((await me.get(f"/experiences/{inner}"))["steps"]) == 2
    for path in (f"/presets/{mfcc}", f"/experiences/{inner}"):
        assert (await me.ask("DELETE", path, 409))["code"] == "in-use"
    await me.ask("PATCH", f"/experiences/{outer}", json={"steps": [{"preset_id": level}]})
    await me.ask("DELETE", f"/experiences/{inner}", 204)
    for step in ({}, {"preset_id": level, "experience_id": outer}, {"experience_id": outer, "revision": 1}):
        await me.ask("POST", "/experiences", 422, json={"steps": [step]})
    for step in ({"preset_id": str(uuid4())}, {"preset_id": level, "revision": 2}):
        await me.ask("POST", "/experiences", 404, json={"steps": [step]})


async def test_experiences_that_double_at_each_level_are_bounded(me: Client):
    steps = [{"preset_id": await me.make("/presets", processor="level")}]
    for _ in range(8):
        steps = [{"experience_id": await me.make("/experiences", steps=steps)}] * 2
    assert (await me.ask("POST", "/experiences", 409, json={"steps": steps * 2}))["code"] == "too-many"


async def test_a_file_of_presets_goes_in_and_out(api: Api, ada: Person, me: Client, tmp_path):
    content = "- level\n- processor: mfcc\n  parameters: {n_mfcc: 20}\n"
    made = await me.ask("POST", "/experiences:import", 201, content=content, params={"title": "file"})
    assert made["title"] == "file"
    file = tmp_path / "presets.yaml"
    file.write_bytes((await me.get(f"/experiences/{made['id']}/file")).content)
    (level, _), (mfcc, parameters) = load(file)
    assert (level, mfcc, parameters["n_mfcc"]) == ("level", "mfcc", 20)
    again = await me.ask("POST", "/experiences:import", 201, content=file.read_bytes())
    paths = [f"/experiences/{each['id']}/processors" for each in (made, again)]
    assert await me.get(paths[0]) == await me.get(paths[1])
    bomb = "a: &a [x]\n" + "\n".join(f"b{n}: &b{n} [*a, *a]" for n in range(9))
    for wrong in (
        "level",
        "[]",
        "- nothing\n",
        "- {processor: mfcc, parameters: {x: 1}}",
        "[" * 5000,
        bomb,
        b"\xff",
        "{",
    ):
        await me.ask("POST", "/experiences:import", 422, content=wrong)
