"""Lists: orders, pages both ways while rows come and go, filters, fields, counts; ETags of what they are made of."""

import random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from tests.support.api import Api, Person

from timeside_api.models import Item, Media, Project
from timeside_api.sharing import Grant, Level, Membership

pytestmark = pytest.mark.integration

ORDERS = ["created_at", "updated_at", "title", "artist", "album"]


async def new(api: Api, who: Person, **said: Any) -> str:
    return (await api.client.post("/v1/items", json=said, headers=who.headers)).json()["id"]


async def get(api: Api, who: Person, path: str = "/v1/items", **query: Any) -> Any:
    answer = await api.client.get(path, params=query, headers=who.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def titles(api: Api, who: Person, **query: Any) -> set[str]:
    return {each["title"] for each in (await get(api, who, **query))["items"]}


@pytest.mark.parametrize("sort", ORDERS)
async def test_an_order_is_kept_through_all_pages_both_ways(api: Api, ada: Person, sort: str):
    drawn = random.Random(440)
    for _ in range(7):
        said = {name: drawn.choice(["b", "B", "a" * 300, "é", ""]) for name in ("title", "artist", "album")}
        await new(api, ada, **said)
    whole = [each["id"] for each in (await get(api, ada, sort=sort))["items"]]
    assert whole[::-1] == [each["id"] for each in (await get(api, ada, sort=f"-{sort}"))["items"]]
    pages = [await get(api, ada, sort=sort, limit=2)]
    while (cursor := pages[-1]["next_cursor"]) is not None:
        pages.append(await get(api, ada, sort=sort, limit=2, cursor=cursor))
    assert [each["id"] for page in pages for each in page["items"]] == whole
    back = [pages[-1]]
    while (cursor := back[-1]["prev_cursor"]) is not None:
        back.append(await get(api, ada, sort=sort, limit=2, cursor=cursor))
    assert [page["items"] for page in back] == [page["items"] for page in pages[::-1]]


async def test_rows_that_come_and_go_meanwhile_neither_show_twice_nor_hide_others(api: Api, ada: Person):
    ids = {title: await new(api, ada, title=title) for title in "bdfhjl"}
    found: list[str] = []
    query: dict[str, Any] = {"sort": "title", "limit": 2}
    while True:
        page = await get(api, ada, **query)
        found += [each["title"] for each in page["items"]]
        await new(api, ada, title="a")
        await new(api, ada, title=f"{found[-1]}+")
        await api.client.delete(f"/v1/items/{ids[found[-1][0]]}", headers=ada.headers)
        if page["next_cursor"] is None or len(found) > 20:
            break
        query["cursor"] = page["next_cursor"]
    assert found == sorted(set(found))
    assert set("bdfhjl") <= set(found)


async def test_links_count_and_fields(api: Api, ada: Person):
    for title in "abc":
        await new(api, ada, title=title)
    query = {"limit": 2, "count": True, "fields": "title, id", "sort": "title"}
    answer = await api.client.get("/v1/items", params=query, headers=ada.headers)
    assert [set(each) for each in answer.json()["items"]] == [{"title", "id"}] * 2
    assert answer.json()["count"] == 3
    following = await api.client.get(answer.links["next"]["url"], headers=ada.headers)
    assert [each["title"] for each in following.json()["items"]] == ["c"]
    assert (await api.client.get(following.links["prev"]["url"], headers=ada.headers)).json()["items"] == (
        answer.json()["items"]
    )


async def test_what_cannot_be_asked_of_a_list_is_named(api: Api, ada: Person):
    cursor = (await new(api, ada), await new(api, ada)) and (await get(api, ada, limit=1))["next_cursor"]
    for query, pointer in (
        ({"sort": "owner_id"}, "sort"),
        ({"sort": "title", "cursor": cursor}, "cursor"),
        ({"fields": "id,secret"}, "fields"),
        ({"cursor": "bm90IGEgY3Vyc29y"}, "cursor"),
        ({"tag": ["x" * 65]}, "tags"),
        ({"details.a": "1", "details.a.b": "1"}, "details.a.b"),
    ):
        answer = await api.client.get("/v1/items", params=query, headers=ada.headers)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_filters(api: Api, ada: Person):
    said = {"artist": "Frédéric Chopin", "album": "Études", "tags": ["piano", "live"], "details": {"year": 1830}}
    await new(api, ada, title="one", **said)
    await new(api, ada, title="two", tags=["piano"], description="a waltz for piano", details={"at": {"city": "Łódź"}})
    await new(api, await api.person("other"), title="three", **said)
    for query, expected in (
        ({}, {"one", "two"}),
        ({"artist": "frédéric CHOPIN"}, {"one"}),
        ({"artist": "Chopin"}, set()),
        ({"q": "chopin"}, {"one"}),
        ({"q": "piano -chopin"}, {"two"}),
        ({"q": '"a waltz"'}, {"two"}),
        ({"q": "'\"( | & !:*"}, set()),
        ({"tag": "piano"}, {"one", "two"}),
        ({"tag": ["piano", "live"]}, {"one"}),
        ({"details.year": "1830"}, {"one"}),
        ({"details.year": '"1830"'}, set()),
        ({"details.at.city": "Łódź"}, {"two"}),
        ({"has_media": True}, set()),
        ({"created_before": "2000-01-01T00:00:00Z"}, set()),
        ({"created_after": "2000-01-01T00:00:00Z", "title": "TWO"}, {"two"}),
    ):
        assert await titles(api, ada, **query) == expected, query


async def test_what_media_say_of_themselves_is_found_and_sorted_too(api: Api, ada: Person):
    await api.item(ada)
    async with api.database.transaction() as session:
        await session.execute(update(Media).values(tags={"title": "of its tags", "artist": "Somebody"}))
    assert await titles(api, ada, artist="somebody") == await titles(api, ada, q="tags") == {"of its tags"}


async def test_what_is_shared_is_listed_where_asked_for_by_whatever_way_once(api: Api, ada: Person):
    other = await api.person("other")
    ids = {title: UUID(await new(api, other, title=title)) for title in ("given", "not shared", "of a project", "both")}
    ids["mine"] = UUID(await new(api, ada, title="mine"))
    async with api.database.transaction() as session:
        session.add(project := Project(owner_id=other.id, name="p"))
        await session.flush()
        session.add(Membership(project_id=project.id, account_id=ada.id, level=Level.VIEWER))
        for title in ("given", "both", "mine"):
            given = {"kind": "item", "thing_id": ids[title], "account_id": ada.id, "level": Level.VIEWER}
            session.add(Grant(**given, by_id=other.id))
        in_project = Item.id.in_([ids[title] for title in ("of a project", "both", "mine")])
        await session.execute(update(Item).where(in_project).values(project_id=project.id))
    assert await titles(api, ada) == {"mine"}
    found: list[str] = []
    query: dict[str, Any] = {"shared": True, "sort": "-title", "limit": 1}
    while query.get("cursor", "") is not None:
        page = await get(api, ada, **query)
        found += [each["title"] for each in page["items"]]
        query["cursor"] = page["next_cursor"]
    assert found == ["of a project", "mine", "given", "both"]
    assert (await get(api, ada, shared=True, count=True))["count"] == 4
    assert await titles(api, ada, project_id=str(project.id)) == {"of a project", "both", "mine"}


async def test_who_changes_an_item_changes_what_they_have_read(api: Api, ada: Person):
    path = f"/v1/items/{await new(api, ada, title='a', tags=['y', 'x', 'y'])}"
    read = await api.client.get(path, headers=ada.headers)
    assert read.json()["tags"] == ["x", "y"]
    tag = read.headers["ETag"]
    assert (await api.client.get(path, headers=ada.headers | {"If-None-Match": tag})).status_code == 304
    changed = await api.client.patch(path, json={"title": "b"}, headers=ada.headers | {"If-Match": tag})
    assert (changed.status_code, changed.headers["ETag"] != tag) == (200, True)
    for method, more in (("PATCH", {"json": {"title": "c"}}), ("DELETE", {})):
        late = await api.client.request(method, path, headers=ada.headers | {"If-Match": tag}, **more)
        assert (late.status_code, late.json()["code"]) == (412, "changed")
    assert (await api.client.get(path, headers=ada.headers | {"If-None-Match": tag})).json()["title"] == "b"
    fresh = {"If-Match": changed.headers["ETag"]}
    assert (await api.client.delete(path, headers=ada.headers | fresh)).status_code == 204
