"""Links: one file, for a while, as long as the credential counts that they were asked for with."""

import pytest
from tests.support.api import Api, Person, noise, wav

pytestmark = pytest.mark.integration


async def media(api: Api, owner: Person) -> str:
    """Path of a media of theirs."""
    item = (await api.client.post("/v1/items", json={}, headers=owner.headers)).json()["id"]
    uploaded = await api.client.put(f"/v1/items/{item}/media", content=wav(noise()), headers=owner.headers)
    return f"/v1/media/{uploaded.json()['media']['sha256']}"


async def link(api: Api, headers: dict[str, str], path: str) -> str:
    answer = await api.client.post("/v1/links", json={"path": path}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["url"]


async def test_a_link_opens_its_file_and_by_range(api: Api, ada: Person):
    url = await link(api, ada.headers, await media(api, ada))
    assert (await api.client.get(url)).content == wav(noise())
    part = await api.client.get(url, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"RIFF")


async def test_a_link_opens_nothing_else(api: Api, ada: Person):
    path = await media(api, ada)
    token = (await link(api, ada.headers, path)).partition("?")[2]
    for other in (
        "/v1/me",
        "/v1/items",
        f"/v1/media/{'0' * 64}",
        f"/v1/results/{'0' * 8}-0000-7000-8000-{'0' * 12}/file",
    ):
        assert (await api.client.get(f"{other}?{token}")).status_code == 401
    assert (await api.client.get(f"{path}?{token}x")).status_code == 401
    bearer = {"Authorization": f"Bearer {token.removeprefix('link=')}"}
    assert (await api.client.get("/v1/me", headers=bearer)).status_code == 401


async def test_a_link_gives_no_more_than_its_maker_has(api: Api, ada: Person):
    other = await api.person("other")
    url = await link(api, other.headers, await media(api, ada))
    assert (await api.client.get(url)).status_code == 404


async def test_a_link_ends_with_the_sign_in_or_the_key(api: Api, ada: Person):
    path = await media(api, ada)
    key = (await api.client.post("/v1/api-keys", json={"name": "player"}, headers=ada.headers)).json()
    by_key = await link(api, {"Authorization": f"Bearer {key['key']}"}, path)
    by_sign_in = await link(api, ada.headers, path)
    assert [(await api.client.get(each)).status_code for each in (by_key, by_sign_in)] == [200, 200]
    await api.client.delete(f"/v1/api-keys/{key['id']}", headers=ada.headers)
    await api.client.post("/v1/auth/logout", headers=ada.headers)
    assert [(await api.client.get(each)).status_code for each in (by_key, by_sign_in)] == [401, 401]


@pytest.mark.parametrize("path", ["/v1/me", "https://example.org/", "/v1/media/../me", "//example.org/v1/media/"])
async def test_a_link_is_to_a_file(api: Api, ada: Person, path: str):
    assert (await api.client.post("/v1/links", json={"path": path}, headers=ada.headers)).status_code == 422
