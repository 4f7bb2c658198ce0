"""What would break clients of an OpenAPI document; `make openapi` writes docs/openapi.json unless something would.

A client is broken by an operation, a parameter, a field or a status that is gone or has another name; by what it must
send now and need not before; by values that are not taken any more; and by answers that are of another type.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from timeside_api.database import Database
from timeside_api.http.app import create_app
from timeside_api.http.openapi import document
from timeside_api.http.settings import HttpSettings
from timeside_core import topics
from timeside_core.bus.memory import MemoryBus
from timeside_core.store import Store

PUBLISHED = Path(__file__).parents[2] / "docs" / "openapi.json"
_METHODS = ("get", "head", "put", "post", "patch", "delete", "options")
_MOST_DEPTH = 32
Schema = Mapping[str, Any]


class _Pair(NamedTuple):
    """The same place in both documents."""

    where: str
    old: Any
    new: Any


class Comparison:
    """Of a published document and one that is to take its place."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new

    def breaking(self) -> list[str]:
        """What breaks clients of the old one, in words; empty where nothing does."""
        return sorted(set(self._operations()))

    def _operations(self) -> Iterator[str]:
        for path, methods in self._old["paths"].items():
            for method in (each for each in _METHODS if each in methods):
                where = f"{method.upper()} {path}"
                new = self._new["paths"].get(path, {}).get(method)
                if new is None:
                    yield f"{where} is gone"
                else:
                    yield from self._operation(_Pair(where, methods[method], new))

    def _operation(self, pair: _Pair) -> Iterator[str]:
        where, old, new = pair
        if old["operationId"] != new["operationId"]:
            yield f"{where}: operation {old['operationId']} is now {new['operationId']}"
        yield from self._parameters(pair)
        yield from self._body(_Pair(f"{where}, body", old.get("requestBody"), new.get("requestBody")))
        for status, answer in old["responses"].items():
            if status not in new["responses"]:
                yield f"{where}: status {status} is gone"
                continue
            yield from self._contents(_Pair(f"{where}, {status}", answer, new["responses"][status]), is_sent=False)

    def _parameters(self, pair: _Pair) -> Iterator[str]:
        old, new = (
            {(each["in"], each["name"]): each for each in document.get("parameters", [])} for document in pair[1:]
        )
        for name in old.keys() - new.keys():
            yield f"{pair.where}: parameter {name[1]} is gone"
        for name, parameter in new.items():
            before = old.get(name, {})
            if parameter.get("required") and not before.get("required"):
                yield f"{pair.where}: parameter {name[1]} must be given now"
            if before:
                schemas = before.get("schema", {}), parameter.get("schema", {})
                yield from self._schemas(_Pair(f"{pair.where}, {name[1]}", *schemas), is_sent=True)

    def _body(self, pair: _Pair) -> Iterator[str]:
        if pair.old is None:
            if pair.new is not None and pair.new.get("required"):
                yield f"{pair.where} must be sent now"
            return
        if pair.new is None:
            yield f"{pair.where} is not taken any more"
            return
        if pair.new.get("required") and not pair.old.get("required"):
            yield f"{pair.where} must be sent now"
        yield from self._contents(pair, is_sent=True)

    def _contents(self, pair: _Pair, *, is_sent: bool) -> Iterator[str]:
        new = pair.new.get("content", {})
        for media_type, content in pair.old.get("content", {}).items():
            if media_type not in new:
                yield f"{pair.where}: {media_type} is gone"
                continue
            schemas = content.get("schema", {}), new[media_type].get("schema", {})
            yield from self._schemas(_Pair(pair.where, *schemas), is_sent=is_sent)

    def _schemas(self, pair: _Pair, *, is_sent: bool, depth: int = 0) -> Iterator[str]:
        old, new = _resolved(self._old, pair.old), _resolved(self._new, pair.new)
        if depth > _MOST_DEPTH or not old:
            return
        here = _Pair(pair.where, old, new)
        yield from _types(here, is_sent=is_sent)
        yield from _values(here, is_sent=is_sent)
        yield from self._fields(here, is_sent=is_sent, depth=depth)
        if "items" in old and "items" in new:
            items = _Pair(f"{pair.where}[]", old["items"], new["items"])
            yield from self._schemas(items, is_sent=is_sent, depth=depth + 1)

    def _fields(self, pair: _Pair, *, is_sent: bool, depth: int) -> Iterator[str]:
        old, new = pair.old.get("properties", {}), pair.new.get("properties", {})
        was_required, is_required = (set(each.get("required", ())) for each in pair[1:])
        for name in old.keys() - new.keys():
            yield f"{pair.where}: {name} is gone"
        must = is_required - was_required if is_sent else set[str]()
        for name in must if old else ():
            yield f"{pair.where}: {name} must be sent now"
        for name in (was_required - is_required) & new.keys() if not is_sent else ():
            yield f"{pair.where}: {name} may be left out now"
        for name in old.keys() & new.keys():
            fields = _Pair(f"{pair.where}: {name}", old[name], new[name])
            yield from self._schemas(fields, is_sent=is_sent, depth=depth + 1)


def _resolved(root: Schema, schema: Any) -> dict[str, Any]:
    """A schema with references followed, and the null of `X or null` set apart."""
    found = cast("dict[str, Any]", schema) if isinstance(schema, dict) else {}
    for _ in range(_MOST_DEPTH):
        if "$ref" in found:
            found = root["components"]["schemas"][found["$ref"].rpartition("/")[2]]
            continue
        some = [each for each in found.get("anyOf", ()) if each.get("type") != "null"]
        if len(some) != 1:
            return found
        found = some[0] | {"nullable": True}
    return found


def _types(pair: _Pair, *, is_sent: bool) -> Iterator[str]:
    old, new = pair.old.get("type"), pair.new.get("type")
    is_wider = (old, new) == (("integer", "number") if is_sent else ("number", "integer"))
    if old != new and new is not None and not is_wider:
        yield f"{pair.where}: is {new}, was {old}"
    was_nullable, is_nullable = (bool(each.get("nullable")) for each in pair[1:])
    if is_sent and was_nullable and not is_nullable:
        yield f"{pair.where}: may not be null any more"
    if not is_sent and is_nullable and not was_nullable:
        yield f"{pair.where}: may be null now"


def _values(pair: _Pair, *, is_sent: bool) -> Iterator[str]:
    old, new = (set(map(str, each.get("enum", ()))) for each in pair[1:])
    if is_sent and new and (gone := sorted(old - new)):
        yield f"{pair.where}: {', '.join(gone)} is not taken any more"
    if is_sent and new and not old:
        yield f"{pair.where}: takes {', '.join(sorted(new))} only, now"


def present() -> dict[str, Any]:
    """The document of the app as it is; nothing is started for it."""
    with tempfile.TemporaryDirectory() as folder:
        store, bus = Store(Path(folder).as_uri()), MemoryBus(topics.declared(max_partitions=1))
        settings = HttpSettings.model_validate({"secret": "s" * 32})
        return document(create_app(settings, bus, store, Database("postgresql://nowhere/nothing")))


def text(found: Schema) -> str:
    """As it is published."""
    return json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> str | None:
    """Publish the present document; says what forbids it. With `--break`, clients are broken knowingly."""
    now = present()
    if PUBLISHED.exists() and "--break" not in sys.argv:
        broken = Comparison(json.loads(PUBLISHED.read_text("utf-8")), now).breaking()
        if broken:
            return "clients would break:\n" + "\n".join(broken)
    PUBLISHED.write_text(text(now), "utf-8")
    return None


if __name__ == "__main__":
    sys.exit(main())
