"""Below a path of a proxy: the same resources, whether or not the proxy cuts the path off."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from timeside_api.http.prefix import Prefix


async def made(_: Request) -> Response:
    return Response(status_code=201, headers={"Location": "/v1/items/7"})


async def elsewhere(_: Request) -> Response:
    return Response(status_code=307, headers={"Location": "https://example.org/v1"})


APP = Prefix(Starlette(routes=[Route("/v1/items", made), Route("/v1/far", elsewhere)]), "/audio")


async def get(path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://api") as client:
        return await client.get(path)


@pytest.mark.parametrize("path", ["/audio/v1/items", "/v1/items"])
async def test_a_resource_is_found_with_and_without_the_prefix(path: str) -> None:
    answer = await get(path)
    assert (answer.status_code, answer.headers["location"]) == (201, "/audio/v1/items/7")


async def test_what_only_begins_like_the_prefix_is_another_path() -> None:
    assert (await get("/audiobooks/v1/items")).status_code == 404


async def test_addresses_of_others_stay_as_they_are() -> None:
    assert (await get("/audio/v1/far")).headers["location"] == "https://example.org/v1"


@pytest.mark.parametrize("path", ["/audio", "/audio/", "/"])
async def test_the_prefix_itself_is_the_root(path: str) -> None:
    paths: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])
        await Response()(scope, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(Prefix(app, "/audio")), base_url="http://api") as client:
        await client.get(path)
    assert paths == ["/"]
