"""Every operation of the OpenAPI document, by nobody, a stranger, the owner and an administrator."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from tests.support.api import PASSWORD, Api, Person, noise, wav
from tests.support.tus import BYTES, TUS, Client

from timeside_api.http.access import PUBLIC
from timeside_api.http.openapi import document
from timeside_api.identity import Role
from timeside_core import get_processor

pytestmark = pytest.mark.integration

OPEN = (200, 200, 200, 200)
OWN = (401, 200, 200, 200)
"""About the caller's own things: those that come in have theirs."""
OWNED = (401, 404, 200, 200)
"""About things of the owner: a stranger cannot tell whether they are there."""
EXPECTED = {
    "token_create": OPEN,
    "password_change": OPEN,
    "token_refresh": OPEN,
    "live": (204, 204, 204, 204),
    "ready": (204, 204, 204, 204),
    "token_revoke": (401, 204, 204, 204),
    "me_get": OWN,
    "api_keys_list": OWN,
    "api_key_create": (401, 201, 201, 201),
    "api_key_delete": (401, 404, 204, 404),
    "ticket_create": (401, 201, 201, 201),
    "item_create": (401, 201, 201, 201),
    "items_list": OWN,
    "item_get": OWNED,
    "item_change": OWNED,
    "item_delete": (401, 404, 204, 204),
    "item_upload": OWNED,
    "media_get": OWNED,
    "media_head": OWNED,
    "link_create": (401, 201, 201, 201),
    "processors_list": OWN,
    "processor_get": OWN,
    "task_create": (401, 404, 202, 202),
    "tasks_list": OWN,
    "task_get": OWNED,
    "task_runs": OWNED,
    "task_cancel": OWNED,
    "task_retry": OWNED,
    "results_list": OWNED,
    "result_get": OWNED,
    "result_data": OWNED,
    "result_tile": OWNED,
    "result_file": (401, 404, 404, 404),
    "result_file_head": (401, 404, 404, 404),
    "item_result": (401, 404, 202, 202),
    "item_image": (401, 404, 202, 202),
    "item_waveform": OWNED,
    "item_transcode": (401, 404, 202, 202),
    "item_transcode_head": OWNED,
    "result_image": (401, 404, 202, 202),
    "result_provenance": OWNED,
    "result_export": OWNED,
    "result_object": OWNED,
    "result_object_head": OWNED,
    "task_table": OWNED,
    "live_create": (401, 202, 202, 202),
    "live_list": OWN,
    "live_get": OWNED,
    "live_segments": OWNED,
    "live_stop": OWNED,
    "live_cancel": OWNED,
    "uploads_options": (204, 204, 204, 204),
    "upload_create": (401, 201, 201, 201),
    "uploads_list": OWN,
    "upload_get": OWNED,
    "upload_head": OWNED,
    "upload_patch": (401, 404, 204, 204),
    "upload_delete": (401, 404, 204, 204),
}
"""Status for anonymous, stranger, owner, administrator; the result has rows, and so no file. Nobody is at work: what is
asked for and not there does not come."""

ENDING = {
    "password_change",
    "token_refresh",
    "token_revoke",
    "api_key_delete",
    "item_delete",
    "task_cancel",
    "upload_delete",
}


SPOKEN = {
    "upload_create": TUS | {"Upload-Length": "10"},
    "upload_head": TUS,
    "upload_patch": TUS | BYTES | {"Upload-Offset": "0"},
    "upload_delete": TUS,
}
"""Headers that operations need."""
LIVE = {"source": "https://radio.example.org/a.mp3", "processors": [{"processor": "level"}]}


@dataclass
class Things:
    """What the owner has."""

    owner: Person
    item_id: UUID
    task_id: UUID
    result_id: UUID
    sha256: str
    key_id: str
    upload_id: str
    live_id: str

    @property
    def paths(self) -> dict[str, Any]:
        return {
            "item_id": self.item_id,
            "task_id": self.task_id,
            "result_id": self.result_id,
            "sha256": self.sha256,
            "key_id": self.key_id,
            "upload_id": self.upload_id,
            "live_id": self.live_id,
            "processor": "mfcc",
            "format": "mp3",
            "key": "zarr.json",
            "output": "max",
            "level": 0,
            "index": 0,
        }


async def came_in(api: Api, who: str, owner: Person) -> Person | None:
    if who == "anonymous":
        return None
    role = Role.ADMIN if who == "admin" else Role.USER
    return owner if who == "owner" else await api.person(f"{who}.{owner.name}", role)


async def things(api: Api, owner: Person) -> Things:
    waveform = get_processor("waveform_analyzer")()
    item_id = await api.item(owner)
    task_id = await api.task(owner, item_id, waveform)
    (result,) = await api.results(task_id)
    if result.object_name is None:
        await api.make(result, waveform, noise())
    key = await api.client.post("/v1/api-keys", json={"name": "k"}, headers=owner.headers)
    upload = await Client(api, owner).begin(10)
    upload_id = upload.rpartition("/")[2]
    live = await api.client.post("/v1/live", json=LIVE, headers=owner.headers)
    ids = {"key_id": key.json()["id"], "upload_id": upload_id, "live_id": live.json()["id"]}
    return Things(owner, item_id, task_id, result.id, result.media_sha256, **ids)


def body(operation: str, has: Things, caller: Person | None) -> dict[str, Any]:
    person = caller or has.owner
    credentials = {"name": person.name, "password": PASSWORD}
    bodies: dict[str, Any] = {
        "token_create": credentials,
        "password_change": credentials | {"new_password": PASSWORD},
        "token_refresh": {"refresh_token": person.refresh_token},
        "api_key_create": {"name": "k"},
        "item_create": {"title": "t"},
        "item_change": {"title": "t"},
        "link_create": {"path": f"/v1/media/{has.sha256}"},
        "task_create": {"item_id": str(has.item_id), "processors": [{"processor": "waveform_analyzer"}]},
        "live_create": LIVE,
    }
    if operation == "upload_patch":
        return {"content": b"x"}
    if operation == "item_upload":
        return {"content": wav(noise())}
    return {"json": bodies[operation]} if operation in bodies else {}


async def statuses_of(api: Api, who: str) -> dict[str, int]:
    """What somebody gets, by operation; after those that end something all begins anew."""
    found: dict[str, int] = {}
    number, has = 0, None
    for path, methods in document(api.app)["paths"].items():
        for method, operation in methods.items():
            name = operation["operationId"]
            if has is None:
                number += 1
                owner = await api.person(f"{who}{number}")
                has, caller = await things(api, owner), await came_in(api, who, owner)
            query = {"results_list": {"item_id": str(has.item_id)}, "result_export": {"format": "csv"}}.get(name, {})
            headers = (caller.headers if caller else {}) | SPOKEN.get(name, {})
            sent = {"params": query, "headers": headers, **body(name, has, caller)}
            found[name] = (await api.client.request(method, path.format(**has.paths), **sent)).status_code
            has = None if name in ENDING else has
    return found


async def test_who_may_do_what(api: Api):
    found = [await statuses_of(api, who) for who in ("anonymous", "stranger", "owner", "admin")]
    assert {name: tuple(each[name] for each in found) for name in found[0]} == EXPECTED


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
    for path in ("/v1/items", "/v1/tasks", "/v1/api-keys"):
        assert (await api.client.get(path, headers=ada.headers)).json()["items"] == []
        assert len((await api.client.get(path, headers=other.headers)).json()["items"]) == 1


async def test_results_and_media_go_with_an_item_that_has_the_media(api: Api, ada: Person):
    other = await api.person("other")
    has = await things(api, other)
    result, media = f"/v1/results/{has.result_id}", f"/v1/media/{has.sha256}"
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
