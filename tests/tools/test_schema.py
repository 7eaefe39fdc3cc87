import enum
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Optional, TypedDict
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field

from agent.errors import ToolArgumentsInvalid
from agent.tools.arguments import Parsed, parse_arguments
from agent.tools.context import ToolContext
from agent.tools.invoke import invoke
from agent.tools.registry import ToolRegistry
from agent.tools.tool import Tool


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Address(BaseModel):
    """Where someone lives."""

    street: str
    title: str = ""


class Person(BaseModel):
    name: str
    home: Address
    work: Address | None = None


class Node(BaseModel):
    value: int
    children: list["Node"] = []


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    known: int = 0


@dataclass
class Point:
    x: int
    y: int = 0


class Window(TypedDict):
    width: int
    height: NotRequired[int]


def made(function: Callable[..., Any], **options: Any) -> Tool:
    return ToolRegistry().register(function, effect="read", **options)


def properties(function: Callable[..., Any]) -> dict[str, Any]:
    found: dict[str, Any] = made(function).parameters["properties"]
    return found


def simple(text: str, count: int, ratio: float, flag: bool, items: list[int], table: dict[str, int], free: Any) -> None: ...


def test_plain_types_have_small_schemas() -> None:
    assert made(simple).parameters == {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "count": {"type": "integer"},
            "ratio": {"type": "number"},
            "flag": {"type": "boolean"},
            "items": {"type": "array", "items": {"type": "integer"}},
            "table": {"type": "object", "additionalProperties": {"type": "integer"}},
            "free": {},
        },
        "required": ["text", "count", "ratio", "flag", "items", "table", "free"],
        "additionalProperties": False,
    }


def test_defaults_and_choices_are_in_the_schema() -> None:
    def choose(size: Literal["s", "m"], colour: Colour = Colour.RED, old: Optional[int] = None, none: int = None, odd: Any = object) -> None:  # type: ignore[assignment]  # noqa: RUF013, UP045
        ...

    found = properties(choose)

    assert found["size"] == {"enum": ["s", "m"], "type": "string"}
    assert found["colour"] == {"enum": ["red", "blue"], "type": "string", "default": "red"}
    assert found["old"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert found["none"] == found["old"]
    assert found["odd"] == {}
    assert made(choose).parameters["required"] == ["size"]


def test_models_are_put_in_place_and_closed_and_keep_a_property_called_title() -> None:
    def invite(person: Person, cat: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None: ...

    parameters = made(invite).parameters

    home = {
        "type": "object",
        "description": "Where someone lives.",
        "properties": {"street": {"type": "string"}, "title": {"type": "string", "default": ""}},
        "required": ["street"],
        "additionalProperties": False,
    }
    assert parameters["properties"]["person"]["properties"]["home"] == home
    assert parameters["properties"]["person"]["properties"]["work"] == {"anyOf": [home, {"type": "null"}], "default": None}
    assert "$defs" not in parameters
    assert "$ref" not in json.dumps(parameters)


def test_a_default_of_none_allows_none() -> None:
    def take(a: Any = None, b: Any = None, c: Any = None) -> None: ...

    take.__annotations__.update(a=Annotated[int, Field(ge=1)], b=Literal["x"], c=Annotated[list[int], "y"])

    tool = made(take)

    assert tool.parameters["properties"]["b"] == {"anyOf": [{"const": "x", "type": "string"}, {"type": "null"}]}
    assert parse_arguments(tool, {"a": None, "b": None, "c": None}).arguments == {"a": None, "b": None, "c": None}
    with pytest.raises(ToolArgumentsInvalid):
        parse_arguments(tool, {"a": 0})


def test_many_complaints_are_cut() -> None:
    def take(items: list[int]) -> None: ...

    with pytest.raises(ToolArgumentsInvalid, match="and 90 more"):
        parse_arguments(made(take), {"items": ["x"] * 100})


def test_a_recursive_model_keeps_its_definition() -> None:
    def grow(tree: Node) -> int:
        return len(tree.children)

    parameters = made(grow).parameters

    assert parameters["properties"]["tree"] == {"$ref": "#/$defs/Node"}
    assert set(parameters["$defs"]) == {"Node"}
    assert parameters["$defs"]["Node"]["additionalProperties"] is False


def test_definitions_that_would_grow_beyond_bounds_stay_definitions() -> None:
    from pydantic import create_model

    model: Any = create_model("Level0", value=(int, ...))
    for level in range(1, 25):
        model = create_model(f"Level{level}", left=(model, ...), right=(model, ...))

    def deep(tree: Any) -> None: ...

    deep.__annotations__["tree"] = model

    assert len(made(deep).schema_json) < 20_000
    assert len(made(deep).parameters["$defs"]) == 25


def test_a_model_that_allows_extra_keys_gets_them() -> None:
    def take(loose: Loose) -> dict[str, Any]:
        return loose.model_dump()

    tool = made(take)

    assert tool.checker.bind({"loose": {"known": 1, "more": 2}})[1]["loose"].model_extra == {"more": 2}
    with pytest.raises(ToolArgumentsInvalid):
        tool.checker.bind({"loose": {}, "more": 2})


TYPED: list[tuple[Any, Any, Any]] = [
    (Person, {"name": "Ada", "home": {"street": "s"}}, Person(name="Ada", home=Address(street="s"))),
    (Point, {"x": 1}, Point(1)),
    (Window, {"width": 2}, {"width": 2}),
    (list[Window | None], [{"width": 1, "height": 2}, None], [{"width": 1, "height": 2}, None]),
    (Annotated[Window, "x"], {"width": 2}, {"width": 2}),
    (Colour, "blue", Colour.BLUE),
    (date, "2026-01-02", date(2026, 1, 2)),
    (datetime, "2026-01-02T03:04:05+00:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    (UUID, "12345678123456781234567812345678", UUID("12345678123456781234567812345678")),
    (Decimal, "1.50", Decimal("1.50")),
    (Path, "a/b", Path("a/b")),
    (tuple[int, str], [1, "x"], (1, "x")),
    (set[str], ["a", "a"], {"a"}),  # of one: the order of two differs from one process to the next, and with it the name of the test
    (dict[int, str], {"1": "a"}, {1: "a"}),
    (bytes, "abc", b"abc"),
    (int | str, "5", "5"),
]


@pytest.mark.parametrize(("kind", "written", "typed"), TYPED, ids=lambda value: str(value)[:20])
async def test_functions_get_typed_values_and_the_record_plain_ones(kind: Any, written: Any, typed: Any) -> None:
    seen: list[Any] = []

    def take(value: Any) -> None:
        seen.append(value)

    take.__annotations__["value"] = kind
    tool = made(take)
    parsed = parse_arguments(tool, {"value": written})
    await invoke(tool, parsed.arguments, ToolContext(), default_timeout_s=None)

    assert parsed == Parsed({"value": written})
    assert seen == [typed]
    assert type(seen[0]) is type(typed)


def test_field_says_more_than_the_docstring() -> None:
    def book(
        seats: Annotated[int, Field(ge=1, le=9, description="how many")],
        row: int = Field(default=3, lt=100),
        origin: Annotated[str, Field(alias="from")] = "here",
        needed: str = Field(..., max_length=5),
    ) -> None:
        """Book seats.

        Args:
            seats: from the docstring
            row: which row
            origin: where from
            needed: as Field has none
        """

    tool = made(book, editable_params=["from"])

    assert tool.parameters["properties"] == {
        "seats": {"type": "integer", "minimum": 1, "maximum": 9, "description": "how many"},
        "row": {"type": "integer", "exclusiveMaximum": 100, "default": 3, "description": "which row"},
        "from": {"type": "string", "default": "here", "description": "where from"},
        "needed": {"type": "string", "maxLength": 5, "description": "as Field has none"},
    }
    assert tool.parameters["required"] == ["seats", "needed"]
    assert tool.checker.bind({"seats": 1, "needed": "x", "from": "there"})[1] == {"seats": 1, "row": 3, "needed": "x", "origin": "there"}


GOOGLE = """Find things.

    In all places.

    Args:
        query: what to
            look for
        limit (int): how many

    Returns:
        list: things
    """
NUMPY = """Find things.

    In all places.

    Parameters
    ----------
    query : str
        what to look for
    limit : int, optional
        how many

    Returns
    -------
    list
        things
    """
SPHINX = """Find things.

    In all places.

    :param query: what to look for
    :param int limit: how many
    :returns: things
    """


@pytest.mark.parametrize("doc", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_docstrings_of_three_styles_are_read(doc: str) -> None:
    def find(query: str, limit: int = 5) -> None: ...

    find.__doc__ = doc
    tool = made(find)

    assert tool.description == "Find things.\n\nIn all places."
    assert tool.parameters["properties"]["query"]["description"] == "what to look for"
    assert tool.parameters["properties"]["limit"]["description"] == "how many"


def test_a_docstring_that_describes_no_parameter_is_the_description() -> None:
    def pay(to: str) -> None: ...

    pay.__doc__ = "Pay someone.\n\nArgs:\n    to: who is paid\n    ghost: not there"

    assert made(pay).description == "Pay someone."
    assert properties(pay) == {"to": {"type": "string", "description": "who is paid"}}
    assert made(lambda: None, name="none").description == ""
    assert made(pay, description="Mine").description == "Mine"


def test_the_schema_hash_changes_with_what_the_model_sees_and_only_then() -> None:
    def search(query: str) -> int:
        return 1

    def other() -> Callable[..., Any]:
        def search(query: str) -> int:
            return 2

        return search

    assert made(search).schema_hash == made(other(), timeout_s=3).schema_hash
    assert made(search).schema_hash != made(search, description="x").schema_hash
    assert made(search).schema_hash != made(search, name="find").schema_hash
    assert len(made(search).schema_hash) == 64
