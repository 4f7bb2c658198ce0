"""What is refused before anybody looks at it, how errors look, and what all answers have."""

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest
from tests.support.api import Api, Person, serving

from timeside_api.database import Database

pytestmark = pytest.mark.integration

JSON = {"Content-Type": "application/json"}


async def post(api: Api, ada: Person, content: bytes, content_type: str = "application/json") -> dict[str, object]:
    headers = ada.headers | {"Content-Type": content_type}
    answer = await api.client.post("/v1/items", content=content, headers=headers)
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["trace_id"] == answer.headers["X-Request-Id"]
    assert "Traceback" not in answer.text
    return problem


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b'{"title": "a\\u0000b"}', "NUL"),
        (b'{"details": {"a\\u0000": 1}}', "NUL"),
        (b'{"title": "\\ud800"}', "not JSON"),
        (b'{"details": {"x": NaN}}', "not JSON"),
        (b'{"details": {"x": 1e999}}', "too large"),
        (b'{"title": ', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"details":' + b'{"x":' * 40 + b"1" + b"}" * 41, "nested deeper"),
        (b"[" * 100_000, "not JSON"),
    ],
)
async def test_what_cannot_be_kept_is_refused_by_rule(api: Api, ada: Person, content: bytes, rule: str):
    problem = await post(api, ada, content)
    assert problem["status"] == 422
    assert rule in str(problem["detail"])


async def test_errors_name_field_and_rule(api: Api, ada: Person):
    problem = await post(api, ada, b'{"title": 5, "unknown": 1}')
    assert problem["errors"] == [
        {"pointer": "/title", "detail": "Input should be a valid string"},
        {"pointer": "/unknown", "detail": "Extra inputs are not permitted"},
    ]
    problem = await post(api, ada, json.dumps({"details": {"x": "y" * 20_000}}).encode())
    assert "16384 bytes" in str(problem["detail"])


async def test_a_long_body_is_refused_whatever_it_is_said_to_be(api: Api, ada: Person):
    body = b'"' + b"x" * (256 << 10) + b'"'
    assert (await post(api, ada, body))["status"] == 413
    assert (await post(api, ada, body, "text/plain"))["status"] == 413

    async def in_chunks() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 1024

    answer = await api.client.post("/v1/items", content=in_chunks(), headers=ada.headers)
    assert answer.status_code == 413


async def test_a_slow_body_is_given_up(database, tmp_path):
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    async with serving(database, tmp_path, body_s=0.05) as impatient:
        answer = await impatient.client.post("/v1/auth/token", content=slow(), headers=JSON)
    assert answer.status_code == 408


async def test_paths_and_methods_that_are_not_there(api: Api, ada: Person):
    for method, path, status in [("GET", "/nothing", 404), ("DELETE", "/v1/me", 405), ("GET", "/v1/items/x", 422)]:
        answer = await api.client.request(method, path, headers=ada.headers)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_our_mistakes_tell_nothing(api: Api, ada: Person):
    @api.app.get("/v1/broken", operation_id="broken")
    async def broken() -> None:
        raise RuntimeError("secret")

    answer = await api.client.get("/v1/broken", headers=ada.headers)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text


async def test_a_database_that_is_away_is_told_as_such(tmp_path):
    nowhere = Database(f"postgresql://timeside@/timeside?host={tmp_path}")
    async with serving(nowhere, tmp_path) as api:
        for path in ("/readyz", "/v1/me"):
            answer = await api.client.get(path, headers={"Authorization": "Bearer tsk_x"})
            assert (answer.status_code, answer.json()["code"]) == (503, "busy")
            assert "Retry-After" in answer.headers
            assert str(tmp_path) not in answer.text


async def test_all_answers_have_the_headers_of_safety(api: Api, ada: Person):
    for path in ("/v1/me", "/nothing", "/docs", "/openapi.json"):
        headers = (await api.client.get(path, headers=ada.headers)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"


async def test_the_reference_needs_nothing_from_elsewhere(api: Api):
    page = (await api.client.get("/docs")).text
    assert "<script" not in page
    assert not re.findall(r'(?:src|href|action)="?(?:https?:)?//[^"]*|url\([^)]*', page)
    assert 'id="task_create"' in page


async def test_only_named_origins_may_call(database, tmp_path):
    async with serving(database, tmp_path, allowed_origins="https://player.example") as api:
        for origin, allowed in [("https://player.example", "https://player.example"), ("https://evil.example", None)]:
            answer = await api.client.get("/livez", headers={"Origin": origin})
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed
            assert "Access-Control-Allow-Credentials" not in answer.headers
