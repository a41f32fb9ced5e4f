"""Reading what people and programs send: strict JSON and plain forms into the same msgspec Structs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException

from stillwave.errors import BadInput

T = TypeVar("T")


async def check_json(request: Request[Any, Any, Any]) -> None:
    """Before the handler: the JSON body fits the handler's Struct exactly, or BadInput names the field.

    Litestar itself converts leniently ("5" for 5); here a wrong type is a wrong type.
    """
    field = request.route_handler.parsed_data_field
    if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, msgspec.Struct)):
        return
    if request.content_type[0] != "application/json":
        raise HTTPException(status_code=415)
    body = await request.body()
    if not body:
        raise BadInput("body", "is missing", "a JSON object")
    try:
        decoded = msgspec.json.decode(body, type=field.annotation)
    except msgspec.ValidationError as error:
        raise _explained(error, field.annotation) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadInput("body", "is not well-formed JSON in UTF-8", "a JSON object") from None
    except RecursionError:
        raise BadInput("body", "is nested too deeply", "a flat JSON object") from None
    json.loads(body, object_pairs_hook=_once_each)
    _check_text(msgspec.to_builtins(decoded), "")


def _once_each(pairs: list[tuple[str, Any]]) -> None:
    """Raises BadInput for a name that stands twice in one object: readers differ on which of the two counts."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise BadInput(name[:64], "stands there twice", "each field once")
        seen.add(name)


def read_form(form: Mapping[str, Any], shape: type[T], *, lists: tuple[str, ...] = ()) -> T:
    """A form as `shape`: empty fields are left out, numbers are read from text. Raises BadInput."""
    values: dict[str, Any] = {}
    for name, value in form.items():
        if name in lists:
            values[name] = [part for part in (value if isinstance(value, list) else [value]) if part]
        elif isinstance(value, list):
            values[name] = value[-1]
        elif value != "":
            values[name] = value
    _check_text(values, "")
    known = {field.encode_name for field in msgspec.structs.fields(shape)}  # type: ignore[arg-type]
    try:
        return msgspec.convert({k: v for k, v in values.items() if k in known}, shape, strict=False)
    except msgspec.ValidationError as error:
        raise _explained(error, shape) from None


def _check_text(value: object, path: str) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise BadInput(path or "text", "contains a NUL character; please remove it")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadInput(path or "text", "contains half a character; please remove it") from None
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_text(key, path or "key")
            _check_text(inner, f"{path}.{key}".strip("."))
    elif isinstance(value, list):
        for inner in value:
            _check_text(inner, path)


def _explained(error: msgspec.ValidationError, shape: Any) -> BadInput:  # noqa: ANN401
    """Names the field and what is allowed. The value itself is not repeated."""
    message, _, path = str(error).replace(" - at `key` in ", " - at ").partition(" - at `$")
    name = path.strip("`").strip(".").partition("[")[0].partition(".")[0]
    if "missing required field" in message or "unknown field" in message:
        field = message.split("`")[1]
        if "unknown" in message:
            return BadInput(field[:64], "is not a field here", sorted(allowed_values(shape)))
        return BadInput(field, "is missing", allowed_values(shape).get(field))
    if message.startswith("Invalid enum value"):
        message = "is not one of the allowed values"
    return BadInput(name or "body", message.replace("`", "").replace("Expected", "must be"), allowed_values(shape).get(name))


def allowed_values(shape: Any) -> dict[str, object]:  # noqa: ANN401
    """For each field of a Struct what it takes: a list of words, or a range in words."""
    info = msgspec.inspect.type_info(shape)
    if not isinstance(info, msgspec.inspect.StructType):
        return {}
    return {field.encode_name: _allowed(field.type) for field in info.fields}


_PLAIN: dict[type, object] = {
    msgspec.inspect.BoolType: [True, False],
    msgspec.inspect.DateType: "a date like 2026-01-31",
    msgspec.inspect.TimeType: "a time like 07:30:00",
}


def _allowed(kind: msgspec.inspect.Type) -> object:
    found: object = _PLAIN.get(type(kind), type(kind).__name__.removesuffix("Type").lower())
    match kind:
        case msgspec.inspect.LiteralType(values=values):
            found = list(values)
        case msgspec.inspect.UnionType(types=types):
            parts = [_allowed(part) for part in types if not isinstance(part, msgspec.inspect.NoneType)]
            found = parts[0] if len(parts) == 1 else parts
        case msgspec.inspect.IntType(ge=low, le=high) | msgspec.inspect.FloatType(ge=low, le=high):
            word = "a whole number" if isinstance(kind, msgspec.inspect.IntType) else "a number"
            found = word if low is None or high is None else f"{word} from {low:g} to {high:g}"
        case msgspec.inspect.StrType(max_length=most):
            found = "text" if most is None else f"text of at most {most} characters"
        case msgspec.inspect.DictType(value_type=inner):
            found = {"any key of the list": _allowed(inner)}
        case msgspec.inspect.ListType(item_type=inner) | msgspec.inspect.VarTupleType(item_type=inner):
            found = {"a list of": _allowed(inner)}
    return found
