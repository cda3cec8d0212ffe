"""`/docs`: the OpenAPI document as a page for people. No script, nothing from strangers."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastapi import FastAPI

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-top: 1px solid #8886; padding-top: 1rem; font-size: 1.1rem; }
code { font: 0.9em ui-monospace, monospace; }
.method { display: inline-block; min-width: 3.5rem; font-weight: 700; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 0.8rem 0.2rem 0; }
th { font-weight: 600; } tr + tr { border-top: 1px solid #8884; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

Schema = dict[str, Any]


def page(app: FastAPI) -> HTMLResponse:
    """The page, made of the document as it is."""
    document = app.openapi()
    shapes: Mapping[str, Schema] = document["components"]["schemas"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<title>ordersync API</title><style>{_STYLE}</style>",
        f"<h1>ordersync {escape(document['info']['version'])}: API</h1>",
        f"<p>{escape(document['info']['description'])}</p>",
        "<p>For programs the same is at <a href=/openapi.json>/openapi.json</a> (OpenAPI 3.1).</p>",
        "<h2>Calls</h2><ul>",
    ]
    calls = list(_calls(document))
    parts += [
        f"<li><a href='#{call['operationId']}'><code>{method} {escape(path)}</code></a>"
        f" {escape(call.get('summary', ''))}</li>"
        for path, method, call in calls
    ]
    parts.append("</ul>")
    for path, method, call in calls:
        parts += _call(path, method, call)
    for name, shape in sorted(shapes.items()):
        parts += _shape(name, shape)
    return HTMLResponse("".join(parts), headers={"content-security-policy": _POLICY})


def _calls(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            yield path, method.upper(), call


def _call(path: str, method: str, call: Schema) -> Iterator[str]:
    yield f"<h2 id='{call['operationId']}'><span class=method>{method}</span>"
    yield f" <code>{escape(path)}</code></h2>"
    yield f"<p>{escape(call.get('description', ''))}</p>"
    parameters = call.get("parameters", [])
    if parameters:
        yield "<table><tr><th>parameter<th>type<th>meaning"
        for one in parameters:
            yield _line(one["name"], one.get("schema", {}), one.get("description", ""))
        yield "</table>"
    body = call.get("requestBody", {}).get("content", {}).get("application/json", {})
    if body:
        yield f"<p>Body: {_type(body['schema'])}</p>"
    for status, answer in call["responses"].items():
        for kind, content in answer.get("content", {}).items():
            if status.startswith("2"):
                yield f"<p>{status}: {_type(content.get('schema', {}))} ({escape(kind)})</p>"
    problems = [status for status in call["responses"] if not status.startswith("2")]
    if problems:
        yield f"<p>Problems: {', '.join(sorted(problems))}</p>"


def _shape(name: str, shape: Schema) -> Iterator[str]:
    yield f"<h2 id='{name}'>{name}</h2><p>{escape(shape.get('description', ''))}</p>"
    if "enum" in shape:
        yield f"<p>One of: {', '.join(f'<code>{escape(str(v))}</code>' for v in shape['enum'])}</p>"
    if shape.get("properties"):
        yield "<table><tr><th>field<th>type<th>meaning"
        for field, about in shape["properties"].items():
            yield _line(field, about, about.get("description", ""))
        yield "</table>"


def _line(name: str, schema: Schema, meaning: str) -> str:
    return f"<tr><td><code>{escape(name)}</code><td>{_type(schema)}<td>{escape(meaning)}"


def _type(schema: Schema | bool) -> str:  # noqa: FBT001 - a schema may be true: anything
    """A schema in one word or two, with a link to where it is described."""
    if isinstance(schema, bool):
        return "any"
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_type(one) for one in schema[several])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"{_type(schema['additionalProperties'])} by name"
    return escape(str(schema.get("format") or schema.get("type") or "any"))
