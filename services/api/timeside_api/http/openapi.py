"""The OpenAPI document, and a page of reference made from it: no scripts, nothing from elsewhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi

from timeside_api.http.access import PUBLIC
from timeside_api.http.problems import MEDIA_TYPE, ProblemDocument, phrase

_METHODS = ("get", "head", "put", "post", "patch", "delete", "options")
EXAMPLES: dict[str, Any] = json.loads((Path(__file__).parent / "examples.json").read_text("utf-8"))
"""Exchanges that were recorded, by operation."""
_BYTES = {"type": "string", "format": "binary"}
ALWAYS = (401, 422, 429, 500, 503)
"""Whatever is asked for: no credential, a broken rule, too often, a mistake of ours, a part that is away."""
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "code{font-family:ui-monospace,monospace;overflow-wrap:anywhere}section{border-top:1px solid #8885;padding:.5rem 0}"
    "h2{margin-top:2rem}h3{margin:.5rem 0;font-size:1rem}p,ul{margin:.25rem 0}"
)
_PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
"""The style stands in the page itself."""

router = APIRouter()


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route: problems that it answers with."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    return {each: {"description": phrase(each), "content": content} for each in statuses}


@router.get("/openapi.json", operation_id="openapi", include_in_schema=False)
async def openapi(request: Request) -> dict[str, Any]:
    """The OpenAPI document."""
    return document(request.app)


@router.get("/docs", operation_id="docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """Reference."""
    html = b"<!doctype html>" + tostring(_page(document(request.app)), method="html", encoding="utf-8")
    return Response(html, media_type="text/html; charset=utf-8", headers=_PAGE_HEADERS)


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        problem = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= problem.pop("$defs", {}) | {"ProblemDocument": problem}
        made["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        for method, operation in _operations(made):
            summary, _, description = operation.pop("description").partition("\n\n")
            operation["summary"] = summary.removesuffix(".")
            if description:
                operation["description"] = " ".join(description.split())
            operation["security"] = [] if operation["operationId"] in PUBLIC else [{"bearer": []}]
            _complete(operation)
            _show(operation)
            if method == "head":
                for answer in operation["responses"].values():
                    answer.pop("content", None)
        app.openapi_schema = made
    return app.openapi_schema


def _show(operation: dict[str, Any]) -> None:
    """Add what was once said and answered."""
    example = EXAMPLES.get(operation["operationId"], {})
    answer: dict[str, Any] = operation["responses"].get(example.get("status"), {})
    for side, part in {"request": operation.get("requestBody", {}), "response": answer}.items():
        content: dict[str, Any] | None = part.get("content", {}).get("application/json")
        if content is not None and side in example:
            content["example"] = example[side]


def _complete(operation: dict[str, Any]) -> None:
    """Say that a body can be too long, and of each that is no JSON that it is bytes."""
    responses: dict[str, Any] = operation["responses"]
    body = operation.get("requestBody", {})
    for status, answer in errors(413).items() if body else ():
        responses.setdefault(str(status), answer)
    for part in (body, *responses.values()):
        for media_type, content in part.get("content", {}).items():
            content.setdefault("schema", {} if media_type == "application/json" else _BYTES)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in document["paths"].values():
        yield from ((method, path[method]) for method in _METHODS if method in path)


def _page(document: dict[str, Any]) -> Element:
    html = Element("html", lang="en")
    head = SubElement(html, "head")
    SubElement(head, "meta", charset="utf-8")
    SubElement(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    _add(head, "title", document["info"]["title"])
    _add(head, "style", _STYLE)
    body = SubElement(html, "body")
    _add(body, "h1", f"{document['info']['title']} {document['info']['version']}")
    _prose(body, document["info"].get("description", ""))
    link = _add(body, "a", "This reference as OpenAPI")
    link.set("href", "openapi.json")
    tag = ""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["tags"][0] != tag:
                tag = operation["tags"][0]
                _add(body, "h2", tag.capitalize())
            _operation(body, method, path, operation)
    _add(body, "h2", "Schemas")
    for name, schema in document["components"]["schemas"].items():
        _schema(body, name, schema)
    return html


def _operation(body: Element, method: str, path: str, operation: dict[str, Any]) -> None:
    section = SubElement(body, "section", id=operation["operationId"])
    _add(SubElement(section, "h3"), "code", f"{method.upper()} {path}")
    _add(section, "p", operation["summary"] + ("" if operation["security"] else " (no credential needed)"))
    _prose(section, operation.get("description", ""))
    items = SubElement(section, "ul")
    for each in operation.get("parameters", []):
        item = SubElement(items, "li")
        _add(item, "code", each["name"])
        item[-1].tail = f" in {each['in']}. {each.get('description', '')}"
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        _content(items, "Body", media_type, content)
    for status, response in operation["responses"].items():
        for media_type, content in response.get("content", {"": {}}).items():
            _content(items, f"{status} {response['description']}", media_type, content)


def _content(items: Element, what: str, media_type: str, content: dict[str, Any]) -> None:
    item = _add(items, "li", f"{what} {media_type} ")
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    if name:
        _add(item, "a", name).set("href", f"#{name}")


def _schema(body: Element, name: str, schema: dict[str, Any]) -> None:
    section = SubElement(body, "section", id=name)
    _add(SubElement(section, "h3"), "code", name)
    _prose(section, schema.get("description", ""))
    items = SubElement(section, "ul")
    for field, facts in schema.get("properties", {}).items():
        item = SubElement(items, "li")
        _add(item, "code", field)
        item[-1].tail = f" {facts.get('type', '')} {facts.get('description', '')}".rstrip()


def _prose(parent: Element, text: str) -> None:
    for paragraph in filter(None, text.split("\n\n")):
        _add(parent, "p", " ".join(paragraph.split()))


def _add(parent: Element, tag: str, text: str) -> Element:
    element = SubElement(parent, tag)
    element.text = text
    return element
