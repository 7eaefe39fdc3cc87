"""Results of tools as plain data and as text for the model: whatever a function returned, something readable comes of it."""

import dataclasses
import datetime as dt
import enum
import math
from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

import msgspec

MAX_DEPTH = 50
MAX_DIGITS = 4_000  # of an integer; Python itself refuses to print more than 4300


def readable(value: Any) -> Any:
    """Return `value` as data that JSON can hold. Never raises; what has no form becomes its `str`, or says what it was."""
    return _Reader().read(value, 0)


class _Reader:
    def __init__(self) -> None:
        self.open: set[int] = set()

    def read(self, value: Any, depth: int) -> Any:
        try:
            simple = _simple(value)
            if simple is not _NOT_SIMPLE:
                return simple
            if depth >= MAX_DEPTH:
                return f"<{type(value).__name__}, nested too deep>"
            if id(value) in self.open:
                return f"<{type(value).__name__}, contains itself>"
            self.open.add(id(value))
            try:
                return self._read_container(value, depth + 1)
            finally:
                self.open.discard(id(value))
        except Exception:  # noqa: BLE001  # a stranger's object: its own methods may do anything
            return f"<{type(value).__name__}>"

    def _read_container(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return {_key(key): self.read(item, depth) for key, item in value.items()}
        if isinstance(value, set | frozenset):
            items = [self.read(item, depth) for item in value]
            return sorted(items, key=repr)  # an order that is the same in every process
        if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
            return [self.read(item, depth) for item in value]
        fields = _fields(value)
        if fields is not None:
            return {name: self.read(item, depth) for name, item in fields.items()}
        if isinstance(value, Collection):
            return [self.read(item, depth) for item in islice(value, len(value))]
        return str(value)


_NOT_SIMPLE = object()


def _simple(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return _simple(value.value) if not isinstance(value.value, enum.Enum) else str(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value) if value.bit_length() < 3 * MAX_DIGITS else f"<integer of {value.bit_length()} bits>"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    return _described(value)


def _described(value: Any) -> Any:
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return _NOT_SIMPLE


def _fields(value: Any) -> dict[str, Any] | None:
    """The fields of an object that declares some."""
    if isinstance(value, type):
        return None
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        dumped: dict[str, Any] = dump(mode="json")
        return dumped if isinstance(dumped, dict) else {"root": dumped}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    as_dict = getattr(value, "_asdict", None)
    return dict(as_dict()) if callable(as_dict) else None


def _key(key: Any) -> str:
    simple = _simple(key)
    return simple if isinstance(simple, str) else str(key)
