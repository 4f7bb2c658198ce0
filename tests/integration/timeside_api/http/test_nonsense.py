"""Whatever is sent to whichever operation, nothing is a mistake of ours: requests drawn from the OpenAPI document."""

import json
import random
from typing import Any
from urllib.parse import quote

import pytest
from tests.support.api import Api, Person

from timeside_api.http.openapi import document

pytestmark = pytest.mark.integration

ROUNDS = 6
LEFT_OUT = {"token_create", "password_change", "token_revoke", "item_upload"}
"""Passwords and media take long to look at, and signing out ends the game."""
NONSENSE: list[Any] = [
    *(None, True, 0, -1, 1 << 31, 1 << 63, 10**400, 1.5, 1e308, "", "x", "\x7f", "é" * 50, "𝄞", "a" * 5000),
    *([], {}, [[]], {"id": "mono"}, {"a": {"b": 1}}, ["x", 1], "../../x", "%00", "'; drop", "\u2028", "\u202e"),
]
WORDS = ["mfcc", "level", "spectrogram_log", "fx_gain", "flac_encoder", "x"]


class Drawer:
    """Draws values that fit a schema, more or less."""

    def __init__(self, schemas: dict[str, Any], ids: list[str]) -> None:
        self._schemas, self._ids = schemas, ids
        self._random = random.Random(440)

    def value(self, schema: dict[str, Any]) -> Any:
        if self._random.random() < 0.3:
            return self._random.choice(NONSENSE)
        if "$ref" in schema:
            return self.value(self._schemas[schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return self.value(self._random.choice(schema["anyOf"]))
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        match schema.get("type"):
            case "object":
                named = schema.get("properties", {}).items()
                return {name: self.value(each) for name, each in named if self._random.random() < 0.8}
            case "array":
                return [self.value(schema["items"]) for _ in range(self._random.randint(0, 3))]
            case "integer":
                return self._random.choice([0, 1, 5, 100])
            case _:
                return self._random.choice(self._ids if schema.get("format") == "uuid" else WORDS)


async def test_nothing_is_a_mistake_of_ours(api: Api, ada: Person):
    described = document(api.app)
    drawer = Drawer(described["components"]["schemas"], [str(await api.item(ada)), str(ada.id)])
    operations = [(method, path, each) for path, of in described["paths"].items() for method, each in of.items()]
    for _ in range(ROUNDS):
        for method, path, operation in operations:
            if operation["operationId"] not in LEFT_OUT:
                await send(api, ada, drawer, method, path, operation)


async def send(api: Api, who: Person, drawer: Drawer, method: str, path: str, operation: dict[str, Any]) -> None:
    drawn = [(each["in"], each["name"], str(drawer.value(each["schema"]))) for each in operation.get("parameters", [])]
    for place, name, value in drawn:
        path = path.replace(f"{{{name}}}", quote(value, safe="") or "x") if place == "path" else path
    query = {name: value for place, name, value in drawn if place == "query"}
    schemas = [each.get("schema", {}) for each in operation.get("requestBody", {}).get("content", {}).values()]
    content = json.dumps(drawer.value(schemas[0])) if schemas else None
    headers = who.headers | {"Content-Type": "application/json"}
    answer = await api.client.request(method, path, params=query, content=content, headers=headers)
    assert answer.status_code < 500, (method, path, query, content, answer.text)
    assert answer.status_code < 400 or answer.headers["content-type"] == "application/problem+json" or method == "head"
