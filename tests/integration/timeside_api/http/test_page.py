"""The page's files: served from the package, under a policy that lets in nothing from elsewhere."""

import re
from importlib.resources import files

import pytest
from tests.support.api import Api

pytestmark = pytest.mark.integration

STATIC = files("timeside_api.http.page").joinpath("static")


async def test_the_page_and_all_that_it_names_are_there(api: Api):
    page = await api.client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert not re.search(r"unsafe|\*|https?:", policy)
    named = set(re.findall(r'(?:href|src)="(page/[^"]+)"', page.text))
    assert named >= {"page/app.js", "page/style.css", "page/icon.svg"}
    modules = {f"page/{each.name}" for each in STATIC.iterdir() if each.name != "index.html"}
    for path in named | modules:
        answer = await api.client.get(f"/{path}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache"), path
        again = await api.client.get(f"/{path}", headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
    assert (await api.client.get("/page/app.js")).headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path", ["/page/nothing.js", "/page/index.html", "/page/..%2fendpoints.py", "/page/endpoints.py"]
)
async def test_nothing_else_is(api: Api, path: str):
    assert (await api.client.get(path)).status_code in (404, 422)


def test_modules_import_each_other_only():
    for file in STATIC.iterdir():
        text = file.read_text("utf-8")
        for target in re.findall(r'from "([^"]+)"', text):
            assert STATIC.joinpath(target.removeprefix("./")).is_file(), (file.name, target)
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), file.name
