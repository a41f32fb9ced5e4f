"""The OpenAPI document: Litestar lists the addresses, msgspec describes what goes in and out, and here is what is refused.

Litestar itself would promise its own errors, and its schemas leave out what msgspec checks inside lists and maps.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from litestar import Litestar, Request
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute

from stillwave import __version__
from stillwave.web.problem import Problem

_PLACE: Final = "#/components/schemas/{name}"
# An operation with this stands open to everybody.
OPEN: Final[list[dict[str, list[str]]]] = [{}]
_REFUSED: Final = {
    401: "Nobody is signed in, or not this far.",
    403: "Not allowed now; `next` says where to go.",
    404: "Not there, or not yours.",
    408: "The body did not arrive in time.",
    409: "The state of things does not allow it.",
    413: "The body is larger than 64 kB.",
    415: "The body is not application/json.",
    416: "The range lies outside of the sound.",
    422: "A field is wrong: `errors` names it and what is allowed.",
    429: "A limit is used up: `Retry-After` says for how long.",
    503: "The database is away or busy: try again.",
    507: "The disk is full.",
}
_IDEMPOTENCY: Final = {
    "name": "Idempotency-Key", "in": "header", "required": False, "description": "The same key acts once for a day.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}  # fmt: skip
_RANGE: Final = {
    "name": "Range", "in": "header", "required": False, "description": "One range of bytes.",
    "schema": {"type": "string", "pattern": "^bytes=[0-9]{1,12}-[0-9]{0,12}$"},
}  # fmt: skip
_FORMATS: Final = {
    dt.datetime: {"format": "date-time"},
    dt.time: {"pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"},
}


class Document(JsonRenderPlugin):
    """Serves the document as it is described here."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return msgspec.json.encode(described(request.app, openapi_schema))


def config(path: str) -> OpenAPIConfig:
    """Where the document is served, and how one signs in."""
    token = SecurityScheme(type="http", scheme="bearer", description="The token of POST /api/v1/logins.")
    return OpenAPIConfig(
        title="Stillwave",
        version=__version__,
        path=path,
        render_plugins=[Document(path="/openapi.json")],
        components=Components(security_schemes={"token": token}),
        security=[{"token": []}],
        description="Plan, hear and rate listening sessions. Not a medical device.",
    )


def described(app: Litestar, drawn: dict[str, Any]) -> dict[str, Any]:
    """The whole document, from the one that Litestar drew; `drawn` itself stays as it is."""
    paths: dict[str, dict[str, Any]] = {path: dict(operations) for path, operations in drawn["paths"].items()}
    shapes: list[Any] = [Problem]
    for path, method, handler in _handlers(app):
        operation = paths[path][method.lower()]
        paths[path][method.lower()] = _operation(operation, method, handler)
        shapes += [
            field.annotation
            for field in (handler.parsed_data_field, handler.parsed_fn_signature.return_type)
            if field is not None
        ]
        shapes += [spec.data_container for spec in (handler.responses or {}).values()]
    return {**drawn, "paths": paths, "components": {**drawn["components"], "schemas": _schemas(shapes)}}


def _handlers(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                if handler.resolve_include_in_schema():
                    for method in sorted(handler.http_methods - {"OPTIONS"}):
                        yield route.path_format, str(method), handler


def _operation(drawn: dict[str, Any], method: str, handler: HTTPRouteHandler) -> dict[str, Any]:
    parameters = [_plain(parameter) for parameter in drawn.get("parameters", [])]
    responses = {status: answer for status, answer in drawn["responses"].items() if status != "400"}
    for answer in responses.values():
        if answer.get("content", {}).get("application/json", {}).get("schema") == {"type": "null"}:
            answer.pop("content")
    if handler.opt.get("once"):
        parameters.append(_IDEMPOTENCY)
    if handler.opt.get("ranges"):
        parameters.append(_RANGE)
        responses["206"] = {**responses["200"], "description": "The part that was asked for."}
    refused = {status: _REFUSED[status] for status in _refusals(method, handler, parameters)}
    problem = {"application/problem+json": {"schema": {"$ref": _PLACE.format(name="Problem")}}}
    responses |= {str(status): {"description": why, "content": problem} for status, why in refused.items()}
    return {**drawn, **({"parameters": parameters} if parameters else {}), "responses": dict(sorted(responses.items()))}


def _refusals(method: str, handler: HTTPRouteHandler, parameters: list[dict[str, Any]]) -> list[int]:
    """Every status this operation may refuse with."""
    found = [403, 503]
    if handler.security != OPEN or any("/logins" in path for path in handler.paths):
        found.append(401)
    if any(parameter["in"] == "path" for parameter in parameters):
        found.append(404)
    if handler.parsed_data_field is not None:
        found += [408, 413, 415]
    if handler.parsed_data_field is not None or any(parameter["in"] != "path" for parameter in parameters):
        found.append(422)
    if method != "GET":
        found += [409, 429, 507]
    return sorted({*found, *([416] if handler.opt.get("ranges") else []), *handler.opt.get("refuses", ())})


def _plain(parameter: dict[str, Any]) -> dict[str, Any]:
    """The parameter without null, which no address can hold."""
    schema = dict(parameter["schema"])
    kinds = [kind for kind in schema.pop("oneOf", []) if kind != {"type": "null"}]
    return {**parameter, "schema": {**schema, **(kinds[0] if kinds else {})}}


def _schemas(shapes: list[Any]) -> dict[str, Any]:
    """What msgspec says of every Struct that goes in or out, by name; times with their form."""
    known = _structs(shapes)
    schemas = msgspec.json.schema_components(list(known.values()), ref_template=_PLACE)[1]
    for name, shape in known.items():
        for field in msgspec.structs.fields(shape):
            kinds = set(getattr(field.type, "__args__", ())) or {field.type}
            told = schemas[name]["properties"][field.encode_name]
            for kind in kinds & _FORMATS.keys():
                next(each for each in (told, *told.get("anyOf", ())) if each.get("type") == "string").update(_FORMATS[kind])
    return dict(sorted(schemas.items()))


def _structs(shapes: list[Any]) -> dict[str, type[msgspec.Struct]]:
    """Every Struct in `shapes` and inside of them, by name."""
    found: dict[str, type[msgspec.Struct]] = {}
    waiting = list(shapes)
    while waiting:
        shape = waiting.pop()
        if isinstance(shape, type) and issubclass(shape, msgspec.Struct):
            if found.setdefault(shape.__name__, shape) is shape:
                waiting += [field.type for field in msgspec.structs.fields(shape) if field.type is not shape]
            else:
                raise TypeError(f"Two shapes of the API are called {shape.__name__}.")
        else:
            waiting += getattr(shape, "__args__", ())
    return found
