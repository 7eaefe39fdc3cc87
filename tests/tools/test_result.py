import collections
import datetime as dt
import enum
import json
import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel

from agent.models.value import Value
from agent.tools.invoke import to_text


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Name(str):  # noqa: SLOT000  # a subclass as users write them
    def __str__(self) -> str:
        raise RuntimeError


@dataclass
class Point:
    x: int
    when: dt.date


class Pair(NamedTuple):
    left: int
    right: str


class Fact(Value, frozen=True):
    text: str


class Model(BaseModel):
    moment: dt.datetime
    colour: Colour


class Numbers(RootModel[list[int]]): ...


class Rude:
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError


class Endless(collections.abc.Collection[int]):
    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[int]:
        while True:
            yield 1

    def __contains__(self, item: object) -> bool:
        return False


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("as it is\n", "as it is\n"),
        (Name("subclass"), "subclass"),
        (None, ""),
        ("", ""),
        (True, "true"),
        (5, "5"),
        (0.5, "0.5"),
        (math.inf, "inf"),
        ([1, "é", None], '[1, "é", null]'),
        ({"a": {1: (2, 3)}}, '{"a": {"1": [2, 3]}}'),
        ({"s": {3, 1, 2}}, '{"s": [1, 2, 3]}'),
        (Colour.RED, "red"),
        ([Level.HIGH], "[3]"),
        (Point(1, dt.date(2026, 1, 2)), '{"x": 1, "when": "2026-01-02"}'),
        (Pair(1, "r"), '{"left": 1, "right": "r"}'),
        (Fact("x"), '{"text": "x"}'),
        (Model(moment=dt.datetime(2026, 1, 2, tzinfo=dt.UTC), colour=Colour.RED), '{"moment": "2026-01-02T00:00:00Z", "colour": "red"}'),
        (Numbers([1, 2]), '{"root": [1, 2]}'),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00+00:00"),
        (b"\x00\xff", "<2 bytes>"),
        ([bytearray(3)], '["<3 bytes>"]'),
        (Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path("a/b"), "a/b"),
        (MappingProxyType({"a": 1}), '{"a": 1}'),
        (collections.deque([1]), "[1]"),
        (ValueError("bad"), "ValueError: bad"),
        (Endless(), "[1, 1, 1]"),
        ("half \ud800 pair", "half ? pair"),
        (["\udfff"], '["?"]'),
        ({Point: 1}, '{"' + str(Point) + '": 1}'),
    ],
)
def test_a_result_has_a_text(result: Any, text: str) -> None:
    assert to_text(result) == text


def test_what_cannot_be_written_has_a_text() -> None:
    assert to_text(Rude()) == "<Rude>"
    assert to_text([Rude()]) == '["<Rude>"]'
    assert to_text(10**5000) == f"<integer of {(10**5000).bit_length()} bits>"


def test_what_contains_itself_or_is_deep_has_a_text() -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    assert to_text(loop) == '["<list, contains itself>"]'
    assert "nested too deep" in to_text(deep)


def test_a_part_that_is_given_twice_is_written_twice() -> None:
    part = {"a": 1}

    assert to_text([part, part]) == '[{"a": 1}, {"a": 1}]'


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | st.binary() | st.dates(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)), inner) | st.tuples(inner) | st.frozensets(st.integers()),
        max_leaves=10,
    )
)
def test_any_result_has_a_text_that_can_be_stored(result: Any) -> None:
    text = to_text(result)

    text.encode()
    if isinstance(result, dict | list | tuple):
        json.loads(text)
