"""What a caller hands in, as plain JSON data (and bytes): what cannot be held without loss is refused, and named."""

import dataclasses
import enum
import json
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import singledispatch
from pathlib import PurePath
from types import NoneType
from typing import Any
from uuid import UUID

import msgspec

from agent.clock import as_utc
from agent.errors import BadInput

DEPTH = 200
"""How deep lists and dicts may be nested."""

MANY = 16  # items that are looked at one by one
_LEAVES = frozenset({str, int, float, bool, NoneType, bytes})
_TEXT = frozenset({str})


def plain(value: Any, where: str) -> Any:
    """Return `value` as str, int, float, bool, None, bytes, lists and dicts with text as keys: itself, where it is that.

    Tuples and sets become lists, moments ISO 8601 (a naive one is local time), dataclasses and models dicts.

    Raises:
        BadInput: something in it is none of these, has two keys that become one, or is nested without end; says where.
    """
    return value if _is_plain(value, DEPTH) else _convert(value, where, DEPTH)


def unheld(data: Mapping[str, Any]) -> str:
    """Return the name of the value that JSON has no digits for."""
    for key, value in data.items():
        try:
            json.dumps(value, default=str)
        except ValueError:
            return f"the value of {key!r}"
    return "the data"


def _is_plain(value: Any, depth: int) -> bool:
    kind = type(value)
    if kind is dict:
        if not _TEXT.issuperset(map(type, value)):
            return False
        items = value.values()
    elif kind is list:
        items = value
    else:
        return kind in _LEAVES
    if not depth:
        return False
    if len(value) > MANY and _LEAVES.issuperset(map(type, items)):  # no Python code per item
        return True
    for item in items:  # no generator: this is asked of every payload
        kind = type(item)
        if kind is dict or kind is list:
            if not _is_plain(item, depth - 1):
                return False
        elif kind not in _LEAVES:
            return False
    return True


def _convert(value: Any, where: str, depth: int) -> Any:
    if type(value) in _LEAVES:
        return value
    if not depth:
        raise BadInput(f"{where[:200]} … is nested deeper than {DEPTH}, or holds itself")
    simpler = _simpler(value)
    if isinstance(simpler, Mapping):
        return _convert_mapping(simpler, where, depth)
    if isinstance(simpler, list):
        return [_convert(item, f"{where}[{n}]", depth - 1) for n, item in enumerate(simpler)]
    if simpler is value:
        raise BadInput(f"{where} is a {type(value).__name__}, which JSON cannot hold: hand in text, numbers, lists or dicts")
    return _convert(simpler, where, depth - 1)


def _convert_mapping(value: Mapping[Any, Any], where: str, depth: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, item in value.items():
        name = _key(key, where)
        if name in out:
            raise BadInput(f"{where} has two keys that become {name!r}: JSON has text as keys only")
        out[name] = _convert(item, f"{where}[{name!r}]", depth - 1)
    return out


def _key(key: Any, where: str) -> str:
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, bool | int | float):
        return msgspec.json.encode(key).decode() if not isinstance(key, int) or isinstance(key, bool) else str(int(key))
    if isinstance(key, UUID | date | Decimal):
        return str(_simpler(key))
    raise BadInput(f"{where} has a {type(key).__name__} as a key ({key!r:.100}): JSON has text as keys only")


@singledispatch
def _simpler(value: Any) -> Any:
    """Return something nearer to plain data; `value` itself where nothing is known."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    dump = getattr(value, "model_dump", None)  # pydantic, without importing it
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    return value


@_simpler.register
def _(value: Mapping) -> Any:  # type: ignore[type-arg]  # singledispatch takes no parameters
    return value


@_simpler.register
def _(value: list) -> Any:  # type: ignore[type-arg]  # as above
    return value


@_simpler.register
def _(value: tuple) -> Any:  # type: ignore[type-arg]  # as above
    return list(value)


@_simpler.register
def _(value: AbstractSet) -> Any:  # type: ignore[type-arg]  # as above
    return _in_order(value)


def _in_order(value: Iterable[Any]) -> list[Any]:
    """Return a set as a list whose order does not change from run to run."""
    return sorted(value, key=lambda item: (type(item).__name__, repr(item)))


@_simpler.register
def _(value: enum.Enum) -> Any:
    return value.value


@_simpler.register
def _(value: str) -> Any:
    return str.__str__(value)


@_simpler.register
def _(value: int) -> Any:
    return int(value)


@_simpler.register
def _(value: float) -> Any:
    return float(value)


@_simpler.register(bytes)
@_simpler.register(bytearray)
@_simpler.register(memoryview)
def _(value: Any) -> Any:
    return bytes(value)


@_simpler.register
def _(value: datetime) -> Any:
    return as_utc(value).isoformat()


@_simpler.register
def _(value: date) -> Any:
    return value.isoformat()


@_simpler.register
def _(value: time) -> Any:
    return value.isoformat()


@_simpler.register(UUID)
@_simpler.register(Decimal)
@_simpler.register(PurePath)
def _(value: Any) -> Any:
    return str(value)


@_simpler.register
def _(value: timedelta) -> Any:
    return msgspec.to_builtins(value)


@_simpler.register
def _(value: msgspec.Struct) -> Any:
    return msgspec.structs.asdict(value)
