"""Batches: many items made, changed, tagged, removed; all or nothing, or told only; bounds and rights."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.support.api import Api, Person

from timeside_api.sharing import Grant, Level

pytestmark = pytest.mark.integration


async def batch(api: Api, who: Person, *operations: dict[str, Any], status: int = 200, **more: Any) -> Any:
    body = {"operations": operations, **more}
    answer = await api.client.post("/v1/items:batch", json=body, headers=who.headers)
    assert answer.status_code == status, answer.text
    return answer.json()


async def items(api: Api, who: Person, **query: Any) -> dict[str, Any]:
    found = await api.client.get("/v1/items", params=query | {"sort": "title"}, headers=who.headers)
    return {each["title"]: each for each in found.json()["items"]}


async def test_items_are_made_changed_tagged_and_removed_in_order(api: Api, ada: Person):
    made = await batch(api, ada, {"op": "create", "items": [{"title": "a", "tags": ["z", "y"]}, {"title": "b"}]})
    assert (made["applied"], made["succeeded"], made["failed"]) == (True, 2, 0)
    a, b = (each["item_id"] for each in made["outcomes"])
    done = await batch(
        api,
        ada,
        {"op": "create", "items": [{"title": "c", "artist": "C"}]},
        {"op": "change", "ids": [a, b], "change": {"artist": "A", "details": {"n": 1}}},
        {"op": "tag", "filter": {"artist": "a"}, "add": ["é", "x"], "remove": ["y"]},
        {"op": "delete", "ids": [b]},
    )
    assert [each["outcome"] for each in done["outcomes"]] == [
        *("created", "changed", "changed", "tagged", "tagged", "removed")
    ]
    found = await items(api, ada)
    assert {title: (each["artist"], each["tags"]) for title, each in found.items()} == {
        "a": ("A", ["x", "z", "é"]),
        "c": ("C", []),
    }
    assert found["a"]["updated_at"] > found["a"]["created_at"]
    assert (await items(api, ada, tag="x")).keys() == {"a"}


async def test_nothing_is_done_where_one_cannot_be_or_where_only_told(api: Api, ada: Person):
    made = await batch(api, ada, {"op": "create", "items": [{"title": "a"}]})
    (a,) = (each["item_id"] for each in made["outcomes"])
    nobody = str(uuid4())
    operations = [
        {"op": "create", "items": [{"title": "b"}]},
        {"op": "change", "ids": [a, nobody], "change": {"title": "changed"}},
    ]
    for more in ({}, {"dry_run": True}, {"dry_run": True, "all_or_nothing": False}):
        told = await batch(api, ada, *operations, **more)
        assert (told["applied"], told["succeeded"], told["failed"]) == (False, 2, 1)
        assert [(each["operation"], each["item_id"], each["outcome"]) for each in told["outcomes"]] == [
            (0, None, "created"),
            (1, nobody, "not-found"),
            (1, a, "changed"),
        ]
        assert (await items(api, ada)).keys() == {"a"}
    assert (await batch(api, ada, *operations, all_or_nothing=False))["applied"]
    assert (await items(api, ada)).keys() == {"changed", "b"}


async def test_rights_count_for_each(api: Api, ada: Person):
    other = await api.person("other")
    made = await batch(api, other, {"op": "create", "items": [{"title": each} for each in ("seen", "edited", "hid")]})
    seen, edited, hid = (each["item_id"] for each in made["outcomes"])
    async with api.database.transaction() as session:
        for id, level in ((seen, Level.VIEWER), (edited, Level.EDITOR)):
            session.add(Grant(kind="item", thing_id=UUID(id), account_id=ada.id, by_id=other.id, level=level))
    for operation, expected in (
        ({"op": "tag", "add": ["x"]}, {seen: "forbidden", edited: "tagged", hid: "not-found"}),
        ({"op": "delete"}, {seen: "forbidden", edited: "forbidden", hid: "not-found"}),
    ):
        told = await batch(api, ada, operation | {"ids": [seen, edited, hid]}, all_or_nothing=False)
        assert {each["item_id"]: each["outcome"] for each in told["outcomes"]} == expected
    assert (await batch(api, ada, {"op": "delete", "filter": {}}))["outcomes"] == []
    assert len(await items(api, other)) == 3


async def test_bounds(api: Api, ada: Person):
    full = [str(each) for each in range(64)]
    made = await batch(api, ada, {"op": "create", "items": [{"title": "full", "tags": full}, {"title": "empty"}]})
    ids = [each["item_id"] for each in made["outcomes"]]
    told = await batch(api, ada, {"op": "tag", "ids": ids, "add": ["more"]}, all_or_nothing=False)
    assert {each["item_id"]: each["outcome"] for each in told["outcomes"]} == dict(
        zip(ids, ("too-many-tags", "tagged"), strict=True)
    )
    many = {"op": "create", "items": [{}] * 4000}
    assert (await batch(api, ada, many, many, many, status=409))["code"] == "too-many"
    for wrong in (
        {"op": "delete"},
        {"op": "delete", "ids": ids, "filter": {}},
        {"op": "nothing", "ids": ids},
        {"op": "tag", "ids": []},
        {"op": "tag", "filter": {"secret": 1}},
        {"op": "create", "items": []},
    ):
        await batch(api, ada, wrong, status=422)
