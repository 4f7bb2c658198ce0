"""Every operation of the OpenAPI document, by nobody, strangers, members of a project, owners, administrators."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from tests.support.api import PASSWORD, Api, Person, noise, wav
from tests.support.sse import Events
from tests.support.tus import BYTES, TUS, Client

from timeside_api.http.access import PUBLIC
from timeside_api.http.openapi import document
from timeside_api.identity import Role
from timeside_api.models import Owned
from timeside_api.sharing import Level, Membership
from timeside_api.uploads import Upload
from timeside_core import get_processor

pytestmark = pytest.mark.integration

WHO = ("anonymous", "stranger", "viewer", "editor", "owner", "admin")
"""Viewer and editor are members of the project that the owner's things are in."""
OPEN = (200, 200, 200, 200, 200, 200)
OWN = (401, 200, 200, 200, 200, 200)
"""About the caller's own things: those that come in have theirs."""
MADE = (401, 201, 201, 201, 201, 201)
READ = (401, 404, 200, 200, 200, 200)
"""About things of the owner: a stranger cannot tell whether they are there."""
ASKED = (401, 404, 202, 202, 202, 202)
"""Whoever may read may ask for results; nobody is at work here, so that they do not come."""
CHANGED = (401, 404, 403, 200, 200, 200)
ADDED = (401, 404, 403, 201, 201, 201)
ERASED = (401, 404, 403, 204, 204, 204)
REMOVED = (401, 404, 403, 403, 204, 204)
NOBODYS = (401, 404, 404, 404, 404, 404)
ONLY_OWNER = (401, 404, 404, 404, 200, 200)
ADMIN = (401, 403, 403, 403, 403, 200)
EXPECTED = {
    "token_create": OPEN,
    "password_change": OPEN,
    "token_refresh": OPEN,
    "live": (204,) * 6,
    "ready": (204,) * 6,
    "token_revoke": (401, 204, 204, 204, 204, 204),
    "me_get": OWN,
    "me_change": OWN,
    "me_usage": OWN,
    "api_keys_list": OWN,
    "api_key_create": MADE,
    "api_key_delete": (401, 404, 404, 404, 204, 404),
    "ticket_create": MADE,
    "accounts_list": ADMIN,
    "account_create": (401, 403, 403, 403, 403, 201),
    "account_get": ADMIN,
    "account_change": ADMIN,
    "account_disable": ADMIN,
    "account_reset": ADMIN,
    "account_usage": ADMIN,
    "account_limit": ADMIN,
    "audit_list": ADMIN,
    "project_create": MADE,
    "projects_list": OWN,
    "project_get": READ,
    "project_change": CHANGED,
    "project_delete": REMOVED,
    "members_list": READ,
    "member_put": REMOVED,
    "member_delete": REMOVED,
    "things_add": REMOVED,
    "things_remove": REMOVED,
    "share_create": (401, 404, 403, 403, 201, 201),
    "shares_list": (401, 404, 403, 403, 200, 200),
    "shares_received": OWN,
    "share_delete": REMOVED,
    "events_list": OWN,
    "events_stream": OWN,
    "track_create": ADDED,
    "track_from_result": (401, 404, 403, 422, 422, 422),
    "tracks_list": READ,
    "track_get": READ,
    "track_change": CHANGED,
    "track_delete": ERASED,
    "track_changes": READ,
    "track_stream": READ,
    "annotations_list": READ,
    "annotation_create": ADDED,
    "annotations_batch": CHANGED,
    "annotations_import": CHANGED,
    "annotations_export": READ,
    "annotation_get": READ,
    "annotation_change": CHANGED,
    "annotation_delete": ERASED,
    "item_create": MADE,
    "items_list": OWN,
    "item_get": READ,
    "item_change": CHANGED,
    "item_delete": REMOVED,
    "item_upload": CHANGED,
    "media_get": READ,
    "media_head": READ,
    "link_create": MADE,
    "processors_list": OWN,
    "processor_get": OWN,
    "processor_version": OWN,
    "items_batch": OWN,
    "task_create": ASKED,
    "tasks_list": OWN,
    "task_get": READ,
    "task_runs": READ,
    "task_results": READ,
    "task_table": READ,
    "selection_table": READ,
    "task_stream": READ,
    "task_cancel": CHANGED,
    "task_retry": CHANGED,
    "results_list": READ,
    "result_get": READ,
    "result_data": READ,
    "result_tile": READ,
    "result_file": NOBODYS,
    "result_file_head": NOBODYS,
    "result_stream": READ,
    "item_result": ASKED,
    "item_image": ASKED,
    "item_waveform": READ,
    "item_transcode": ASKED,
    "item_transcode_head": READ,
    "result_image": ASKED,
    "result_provenance": READ,
    "result_export": READ,
    "result_object": READ,
    "result_object_head": READ,
    "selection_create": MADE,
    "selections_list": OWN,
    "selection_get": READ,
    "selection_change": CHANGED,
    "selection_delete": REMOVED,
    "selection_add": CHANGED,
    "selection_remove": CHANGED,
    "selection_items": READ,
    "preset_create": MADE,
    "presets_list": OWN,
    "preset_get": READ,
    "preset_change": CHANGED,
    "preset_delete": REMOVED,
    "preset_revisions": READ,
    "preset_revision": READ,
    "experience_create": (401, 404, 201, 201, 201, 201),
    "experience_import": MADE,
    "experiences_list": OWN,
    "experience_get": READ,
    "experience_change": CHANGED,
    "experience_delete": REMOVED,
    "experience_processors": READ,
    "experience_file": READ,
    "live_create": (401, 202, 202, 202, 202, 202),
    "live_list": OWN,
    "live_get": READ,
    "live_segments": READ,
    "live_stop": CHANGED,
    "live_cancel": CHANGED,
    "uploads_options": (204,) * 6,
    "upload_create": MADE,
    "uploads_list": OWN,
    "upload_get": ONLY_OWNER,
    "upload_head": ONLY_OWNER,
    "upload_patch": (401, 404, 404, 404, 204, 204),
    "upload_delete": (401, 404, 404, 404, 204, 204),
    "import_create": (401, 202, 202, 202, 202, 202),
    "import_csv": (401, 202, 202, 202, 202, 202),
    "imports_list": OWN,
    "import_get": READ,
    "import_rows": READ,
    "import_cancel": CHANGED,
}
"""Status by `WHO`; the result has rows, and so no file."""

ENDING = (
    "annotation_delete",
    "track_delete",
    "experience_delete",
    "preset_delete",
    "selection_delete",
    "upload_delete",
    "api_key_delete",
    "task_cancel",
    "share_delete",
    "member_delete",
    "account_reset",
    "account_disable",
    "things_remove",
    "item_delete",
    "project_delete",
)
"""Operations that end something, in an order in which none ends what a later one is about."""
LEAVING = ("token_refresh", "token_revoke", "password_change")
"""Operations after which the caller is somebody else."""


SPOKEN = {
    "upload_create": TUS | {"Upload-Length": "10"},
    "upload_head": TUS,
    "upload_patch": TUS | BYTES | {"Upload-Offset": "0"},
    "upload_delete": TUS,
}
"""Headers that operations need."""
IMPORT = {"kind": "url", "url": "https://media.example.org/a.wav"}
PRESET = {"title": "p", "processor": "rms"}
LIVE = {"source": "https://radio.example.org/a.mp3", "processors": [{"processor": "level"}]}


@dataclass
class Things:
    """What the owner has, and who may do what with it."""

    people: dict[str, Person]
    """Owner, viewer and editor, and somebody whom an administrator deals with."""
    ids: dict[str, Any]

    @property
    def owner(self) -> Person:
        return self.people["owner"]

    @property
    def paths(self) -> dict[str, Any]:
        known = {
            "processor": "mfcc",
            "version": get_processor("mfcc").version,
            "format": "mp3",
            "key": "zarr.json",
            "output": "max",
            "level": 0,
            "index": 0,
        }
        guest = {"name": self.people["guest"].name, "account": self.people["guest"].name, "revision": 1}
        return known | guest | self.ids | {"kind": "item", "thing_id": self.ids["item_id"]}


async def came_in(api: Api, who: str, has: Things) -> dict[str, str]:
    """Headers of somebody."""
    if who == "anonymous":
        return {}
    if who == "revoked":
        key = (await api.client.post("/v1/api-keys", json={"name": "r"}, headers=has.owner.headers)).json()
        await api.client.delete(f"/v1/api-keys/{key['id']}", headers=has.owner.headers)
        return {"Authorization": f"Bearer {key['key']}"}
    return has.people[who].headers


async def things(api: Api, owner: Person) -> Things:
    """Some of everything, all in a project that has members."""
    waveform = get_processor("waveform_analyzer")()
    item_id = await api.item(owner)
    task_id = await api.task(owner, item_id, waveform)
    (result,) = await api.results(task_id)
    if result.object_name is None:
        await api.make(result, waveform, noise())
    upload = await Client(api, owner).begin(10)
    ids: dict[str, Any] = {"item_id": str(item_id), "task_id": task_id, "result_id": result.id}
    ids |= {"sha256": result.media_sha256, "upload_id": upload.rpartition("/")[2]}

    async def made(thing: str, path: str, **body: Any) -> None:
        response = await api.client.post(f"/v1/{path}", json=body, headers=owner.headers)
        assert response.status_code in (201, 202), response.text
        ids[f"{thing}_id"] = response.json()["id"]

    await made("key", "api-keys", name="k")
    await made("live", "live", **LIVE)
    await made("import", "imports", **IMPORT)
    await made("step", "presets", **PRESET)
    await made("preset", "presets", **PRESET)
    await made("experience", "experiences", title="e", steps=[{"preset_id": ids["step_id"]}])
    await made("selection", "selections", title="s")
    await made("project", "projects", name="p")
    await made("track", "annotation-tracks", item_id=ids["item_id"])
    await made("annotation", f"annotation-tracks/{ids['track_id']}/annotations", start_s=1, stop_s=2)
    people = {"owner": owner, "guest": await api.person(f"guest.{owner.name}")}
    ids["account_id"] = people["guest"].id
    await made("share", "shares", kind="item", id=ids["item_id"], account=people["guest"].name)
    for name in ("stranger", "viewer", "editor", "admin"):
        people[name] = await api.person(f"{name}.{owner.name}", Role.ADMIN if name == "admin" else Role.USER)
    async with api.database.transaction() as session:
        for name in ("viewer", "editor", "guest"):
            level = Level.EDITOR if name == "editor" else Level.VIEWER
            session.add(Membership(project_id=UUID(ids["project_id"]), account_id=people[name].id, level=level))
        for table in Owned.__subclasses__():
            if table is not Upload:
                await session.execute(
                    update(table).where(table.owner_id == owner.id).values(project_id=ids["project_id"])
                )
    return Things(people, ids)


def query(operation: str, has: Things) -> dict[str, Any]:
    return {
        "results_list": {"item_id": has.ids["item_id"]},
        "tracks_list": {"item_id": has.ids["item_id"]},
        "shares_list": {"kind": "item", "id": has.ids["item_id"]},
        "result_export": {"format": "csv"},
        "annotations_import": {"format": "audacity"},
        "annotations_export": {"format": "csv"},
    }.get(operation, {})


def body(operation: str, has: Things, who: str) -> dict[str, Any]:
    person = has.people.get(who, has.owner)
    credentials = {"name": person.name, "password": PASSWORD}
    item_id = has.ids["item_id"]
    moved = {"things": [{"kind": "item", "id": item_id}]}
    bodies: dict[str, Any] = {
        "token_create": credentials,
        "password_change": credentials | {"new_password": PASSWORD},
        "token_refresh": {"refresh_token": person.refresh_token},
        "me_change": {"display_name": "Me"},
        "api_key_create": {"name": "k"},
        "account_create": {"name": f"new.{has.owner.name}"},
        "account_change": {"display_name": "You"},
        "account_limit": {"items": 5},
        "project_create": {"name": "p"},
        "project_change": {"name": "q"},
        "member_put": {"level": "viewer"},
        "things_add": moved,
        "things_remove": moved,
        "share_create": {"kind": "item", "id": item_id, "account": has.people["guest"].name},
        "track_create": {"item_id": item_id},
        "track_from_result": {"item_id": item_id, "result_id": str(has.ids["result_id"]), "output": "max"},
        "track_change": {"title": "t"},
        "annotation_create": {"start_s": 1, "stop_s": 2},
        "annotations_batch": {"add": [{"start_s": 1, "stop_s": 2}]},
        "annotation_change": {"label": "l"},
        "item_create": {"title": "t"},
        "item_change": {"title": "t"},
        "items_batch": {"operations": [{"op": "tag", "ids": [item_id], "add": ["x"]}]},
        "link_create": {"path": f"/v1/media/{has.ids['sha256']}"},
        "task_create": {"item_id": item_id, "processors": [{"processor": "waveform_analyzer"}]},
        "selection_create": {"title": "s"},
        "selection_change": {"title": "s"},
        "selection_add": {"items": [item_id]},
        "selection_remove": {"items": [item_id]},
        "preset_create": PRESET,
        "preset_change": {"title": "p"},
        "experience_create": {"title": "e", "steps": [{"preset_id": has.ids["step_id"]}]},
        "experience_change": {"title": "e"},
        "live_create": LIVE,
        "import_create": IMPORT,
    }
    contents: dict[str, bytes] = {
        "upload_patch": b"x",
        "item_upload": wav(noise()),
        "annotations_import": b"1\t2\tlabel\n",
        "experience_import": b"- processor: rms\n",
        "import_csv": b"url\nhttps://media.example.org/a.wav\n",
    }
    if operation in contents:
        return {"content": contents[operation]}
    return {"json": bodies[operation]} if operation in bodies else {}


def operations(api: Api) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Name, method, path and description of each; those that end something come last."""
    found = [
        (operation["operationId"], method, path, operation)
        for path, methods in document(api.app)["paths"].items()
        for method, operation in methods.items()
    ]
    last = (*ENDING, *LEAVING)
    return sorted(found, key=lambda each: last.index(each[0]) if each[0] in last else -1)


async def statuses_of(api: Api, who: str) -> dict[str, int]:
    """What somebody gets, by operation."""
    found: dict[str, int] = {}
    has = await things(api, await api.person(who))
    for name, method, path, operation in operations(api):
        if name in LEAVING:
            has = await things(api, await api.person(f"{who}.{name}"))
        headers = await came_in(api, who, has) | SPOKEN.get(name, {})
        url = path.format(**has.paths)
        if "text/event-stream" in operation["responses"].get("200", {}).get("content", {}):
            async with Events(api.app, url, headers) as events:
                found[name] = events.status
            continue
        sent = {"params": query(name, has), "headers": headers, **body(name, has, who)}
        found[name] = (await api.client.request(method, url, **sent)).status_code
    return found


async def test_who_may_do_what(api: Api):
    found = [await statuses_of(api, who) for who in WHO]
    statuses = {name: tuple(each[name] for each in found) for name in found[0]}
    wrong = {name: (got, EXPECTED.get(name)) for name, got in statuses.items() if got != EXPECTED.get(name)}
    assert (wrong, EXPECTED.keys() - statuses.keys()) == ({}, set())


async def test_a_key_that_was_revoked_opens_what_nobody_needs_one_for(api: Api):
    found = await statuses_of(api, "revoked")
    assert {name for name, status in found.items() if status != 401} == PUBLIC - {
        "openapi",
        "docs",
        "page",
        "page_file",
    }


async def test_an_operation_that_nobody_thought_of_is_closed(api: Api):
    @api.app.get("/v1/new", operation_id="new")
    async def new() -> str:
        return "secret"

    response = await api.client.get("/v1/new")
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"


async def test_lists_show_ones_own_only(api: Api, ada: Person):
    other = await api.person("other")
    await things(api, other)
    for path in ("items", "tasks", "api-keys", "projects", "selections", "experiences", "live", "imports", "uploads"):
        assert (await api.client.get(f"/v1/{path}", headers=ada.headers)).json()["items"] == []
        assert (await api.client.get(f"/v1/{path}", headers=other.headers)).json()["items"]


async def test_results_and_media_go_with_an_item_that_has_the_media(api: Api, ada: Person):
    other = await api.person("other")
    has = await things(api, other)
    result, media = f"/v1/results/{has.ids['result_id']}", f"/v1/media/{has.ids['sha256']}"
    assert [(await api.client.get(each, headers=ada.headers)).status_code for each in (result, media)] == [404, 404]
    own = await api.item(ada)  # the same bytes
    assert [(await api.client.get(each, headers=ada.headers)).status_code for each in (result, media)] == [200, 200]
    await api.client.delete(f"/v1/items/{own}", headers=ada.headers)
    assert [(await api.client.get(each, headers=ada.headers)).status_code for each in (result, media)] == [404, 404]


async def test_the_document_is_complete(api: Api):
    found = document(api.app)
    for methods in found["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert {"401", "422", "500"} <= operation["responses"].keys()
            assert operation["security"] == ([] if operation["operationId"] in PUBLIC else [{"bearer": []}])
    from openapi_spec_validator import validate

    validate(found)
