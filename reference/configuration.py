"""Every key of ordersync.toml, section by section."""

from __future__ import annotations

import typing
from datetime import date, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

import pydantic
from pydantic_core import PydanticUndefined

from ordersync import settings
from reference.said import Said, said_of
from reference.tables import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

_TYPES: dict[object, str] = {
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    timedelta: "duration",
    datetime: "time",
    date: "day",
    pydantic.AwareDatetime: "time",
}


class Key(typing.NamedTuple):
    """One key by its dotted path, its field, and what the code says of it."""

    path: str
    field: FieldInfo
    said: Said


def section(name: str) -> str:
    """The table of one section: `sync`, or `accounts`, whose keys stand below a name of yours."""
    keys = [one for one in keys_of(settings.Settings) if one.path.split(".")[0] == name]
    errs = any("Error when" in key.said.more for key in keys)
    heads = ["key", "type", "default", "meaning", *(["error when"] if errs else [])]
    return table(heads, [_row(key)[: len(heads)] for key in keys])


def keys_of(model: type[pydantic.BaseModel], path: str = "") -> Iterator[Key]:
    """Every key that the file may hold."""
    said = said_of(model)
    for name, field in model.model_fields.items():
        here = f"{path}{name}"
        inner = list(_sections_of(field.annotation))
        is_named = typing.get_origin(field.annotation) is dict
        if not inner or not (is_named or inner[0] is field.annotation):
            yield Key(here, field, said[name])
        for kind in inner:
            yield from keys_of(kind, f"{here}.<name>." if is_named else f"{here}.")


def type_of(field: FieldInfo) -> str:
    """What may stand there, in words."""
    return _type_of(field.annotation)


def default_of(field: FieldInfo) -> str:
    """What holds where nothing is written, as it would be written."""
    value = field.default
    if value is PydanticUndefined:
        return "required"
    return "none" if value is None else f"`{_spelled(value)}`"


def _row(key: Key) -> list[str]:
    said = key.said
    typed = said.more.get("Type", type_of(key.field))
    default = said.more.get("Default", default_of(key.field))
    return [f"`{key.path}`", typed, default, said.text, said.more.get("Error when", "")]


def _sections_of(annotation: object) -> Iterator[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for one in typing.get_args(annotation):
        yield from _sections_of(one)


def _type_of(annotation: Any) -> str:  # noqa: ANN401 - whatever an annotation may be
    if typing.get_origin(annotation) is typing.Annotated:
        return _type_of(typing.get_args(annotation)[0])
    parts = [one for one in typing.get_args(annotation) if one not in {type(None), ...}]
    if typing.get_origin(annotation) is tuple:
        inner = _type_of(parts[0])
        return "list of tables" if inner == "table" else f"list of {inner}"
    if typing.get_origin(annotation) is dict:
        return "table"
    if parts:
        return " or ".join(_type_of(one) for one in parts)
    if issubclass(annotation, Enum):
        return ", ".join(f"`{one.value}`" for one in annotation)
    return _TYPES.get(annotation, "table")


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return f'"{_duration(value)}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_spelled, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _duration(span: timedelta) -> str:
    seconds = span.total_seconds()
    if seconds >= 2 * 86_400 and seconds % 86_400 == 0:
        return f"{seconds // 86_400:.0f}d"
    for unit, size in (("h", 3_600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:g}s"
