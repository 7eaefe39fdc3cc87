"""What callers hand in becomes plain data, or is refused by name."""

import enum
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from agent.clock import as_utc
from agent.errors import BadInput
from agent.storage.plain import DEPTH, plain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    LARGE = 3


class Word(str):
    __slots__ = ()


class Model(BaseModel):
    at: datetime
    size: Size


@dataclass
class Point:
    x: int
    tags: tuple[str, ...]


class Record(msgspec.Struct):
    x: int
    inner: Point


Pair = namedtuple("Pair", "a b")  # noqa: PYI024  # what callers have


@given(JSON)
def test_plain_data_is_itself(value: Any) -> None:
    assert plain(value, "data") is value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, (2,)), [1, [2]]),
        (Pair(1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        (OrderedDict(a=1), {"a": 1}),
        ({2: "a", None: "b", True: "c", 1.5: "d", Colour.RED: "e"}, {"2": "a", "null": "b", "true": "c", "1.5": "d", "red": "e"}),
        ({Word("k"): Word("v")}, {"k": "v"}),
        (Colour.RED, "red"),
        (Size.LARGE, 3),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
        (datetime(2026, 1, 2, 3, 4), as_utc(datetime(2026, 1, 2, 3, 4)).isoformat()),  # noqa: DTZ001  # what callers have
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (timedelta(seconds=90), "PT90S"),
        (Decimal("1.10"), "1.10"),
        (UUID(int=7), str(UUID(int=7))),
        (Path("a/b"), "a/b"),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        (Point(1, ("a",)), {"x": 1, "tags": ["a"]}),
        (Record(1, Point(2, ())), {"x": 1, "inner": {"x": 2, "tags": []}}),
        (Model(at=datetime(2026, 1, 2, tzinfo=UTC), size=Size.LARGE), {"at": "2026-01-02T00:00:00Z", "size": 3}),
        ({UUID(int=7): 1, date(2026, 1, 2): 2}, {str(UUID(int=7)): 1, "2026-01-02": 2}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_known_types_become_plain(value: Any, expected: Any) -> None:
    found = plain({"v": value}, "data")["v"]

    assert found == expected
    assert plain(found, "data") is found


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": [{"b": object()}]}, r"data\['a'\]\[0\]\['b'\] is a object"),
        ({"a": lambda: None}, "is a function"),
        ({"a": Point}, "is a type"),
        ({"a": Model}, "is a ModelMetaclass"),
        ({"a": 1 + 2j}, "is a complex"),
        ({(1, 2): "a"}, "has a tuple as a key"),
        ({1: "a", "1": "b"}, "two keys that become '1'"),
    ],
)
def test_what_json_cannot_hold_is_named(value: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        plain(value, "data")


def test_what_holds_itself_or_is_nested_without_end_is_refused() -> None:
    ring: list[Any] = []
    ring.append(ring)
    deep: Any = 1
    for _ in range(DEPTH + 1):
        deep = [deep]

    for value in (ring, deep, (ring,)):
        with pytest.raises(BadInput, match="nested deeper"):
            plain(value, "data")
    assert plain(deep[0], "data") is deep[0]
