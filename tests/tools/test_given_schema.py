import json
from typing import Any

import pytest

from agent.errors import ConfigInvalid, SchemaUnsupported, ToolArgumentsInvalid
from agent.tools.arguments import parse_arguments
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a-b": {"type": "integer"}, "c": {"type": "string"}}, "required": ["a-b"]}


async def test_a_given_schema_is_shown_and_its_callable_gets_names_or_one_dict() -> None:
    registry = ToolRegistry()
    registry.add("by_name", SCHEMA, lambda **values: values, effect="read", description="Does.")
    registry.add("by_dict", SCHEMA, lambda values: values, effect="read", editable_params=["c"])
    registry.add("plain", {"properties": {"x": {"type": "integer"}}}, lambda x=3: x, effect="read")

    def with_context(ctx: ToolContext, arguments: dict[str, Any]) -> Any:
        return [arguments, ctx.uid]

    async def awaited(ctx: ToolContext, **values: Any) -> Any:
        return [values, ctx.uid]

    registry.add("with_context", SCHEMA, with_context, effect="read")
    registry.add("awaited", SCHEMA, awaited, effect="read")
    registry.add("builtin", {"type": "object", "properties": {}}, dict, effect="read")

    assert await registry.execute("by_name", '{"a-b": 1}') == '{"a-b": 1}'
    assert await registry.execute("by_dict", '{"a-b": 1}') == '{"a-b": 1}'
    assert await registry.execute("plain", "") == "3"
    assert await registry.execute("plain", '{"x": 4}') == "4"
    assert await registry.execute("with_context", '{"a-b": 1}', "ada") == '[{"a-b": 1}, "ada"]'
    assert await registry.execute("awaited", '{"a-b": 1}', "ada") == '[{"a-b": 1}, "ada"]'
    assert await registry.execute("builtin", "{}") == "{}"
    assert registry.get("by_name").description == "Does."
    assert registry.get_schemas(["by_name"])[0]["function"]["parameters"] == {**SCHEMA, "additionalProperties": False}
    assert "additionalProperties" not in SCHEMA


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"properties": {"n": {"type": "integer", "minimum": 1}}}, {"n": 1}, {"n": 0}),
        ({"properties": {"s": {"pattern": "^a+$"}}}, {"s": "aa"}, {"s": "b"}),
        ({"properties": {"s": {"type": "array", "uniqueItems": True}}}, {"s": [{"a": 1}, {"a": 2}]}, {"s": [{"a": 1}, {"a": 1}]}),
        ({"properties": {"s": {"enum": ["a", 1]}}}, {"s": 1}, {"s": "b"}),
        ({"additionalProperties": {"type": "integer"}}, {"x": 1}, {"x": "s"}),
        ({"patternProperties": {"^x": {"type": "integer"}}}, {"x1": 1, "y": "s"}, {"x1": "s"}),
        ({"properties": {"p": {"$ref": "#/$defs/P"}}, "$defs": {"P": {"type": "object", "required": ["q"]}}}, {"p": {"q": 1}}, {"p": {}}),
        ({"properties": {"b": {"type": "boolean"}, "f": {"type": "number"}}}, {"b": True, "f": 1}, {"b": 1}),
        ({"properties": {}}, {}, {"unknown": 1}),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "properties": {"p": {"items": [{"type": "integer"}]}, "q": {"$ref": "#/definitions/Q"}},
                "definitions": {"Q": {}},
            },
            {"p": [1, "x"], "q": 1},
            {"p": ["x"]},
        ),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"n": {"minimum": 1, "exclusiveMinimum": True}}}, {"n": 2}, {"n": 1}),
        ({"$schema": "urn:unknown", "properties": {"n": {"minimum": 1}}}, {"n": 1}, {"n": 0}),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1}, {"a": 1, "b": 2}),
    ],
)
async def test_a_given_schema_is_applied(schema: dict[str, Any], good: dict[str, Any], bad: dict[str, Any]) -> None:
    registry = ToolRegistry()
    registry.add("t", schema, lambda **values: values, effect="read")

    assert json.loads(await registry.execute("t", good)) == good
    with pytest.raises(ToolArgumentsInvalid):
        await registry.execute("t", bad)


async def test_numbers_and_truth_values_in_texts_are_repaired_for_a_given_schema() -> None:
    registry = ToolRegistry()
    registry.add(
        "t",
        {"properties": {"i": {"type": "integer"}, "f": {"type": "number"}, "b": {"type": "boolean"}, "s": {"type": "string"}}},
        lambda **v: v,
        effect="read",
    )

    assert await registry.execute("t", {"i": "5", "f": "0.5", "b": "True", "s": "7"}) == '{"i": 5, "f": 0.5, "b": true, "s": "7"}'
    refused: list[dict[str, Any]] = [{"i": "5.5"}, {"i": "x"}, {"f": "NaN"}, {"b": "yes"}, {"i": []}]
    for bad in refused:
        with pytest.raises(ToolArgumentsInvalid):
            await registry.execute("t", bad)


async def test_a_pattern_that_backtracks_costs_nothing() -> None:
    registry = ToolRegistry()
    registry.add("slow", {"properties": {"s": {"pattern": "^(a+)+$"}, "look": {"pattern": "^(?=x)y"}}}, lambda **values: values, effect="read")

    with pytest.raises(ToolArgumentsInvalid):
        await registry.execute("slow", {"s": "a" * 50_000 + "!"})
    assert await registry.execute("slow", {"look": "anything"}) == '{"look": "anything"}'


@pytest.mark.parametrize(
    ("schema", "part"),
    [
        ([], "of type list"),
        ({"type": "array"}, "describes 'array'"),
        ({"type": "object", "properties": 5}, "not valid"),
        ({"properties": {"a": {"type": "wrong"}}}, "not valid"),
        ({"properties": {"a": {"$ref": "https://example.org/schema.json"}}}, "nothing is fetched"),
        ({"properties": {"a": {"default": float("nan")}}}, "not plain JSON"),
        ({"properties": {"a": {"default": {1, 2}}}}, "not plain JSON"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: Any, part: str) -> None:
    with pytest.raises(SchemaUnsupported, match=part):
        ToolRegistry().add("t", schema, lambda **values: values, effect="read")


def test_a_reference_that_leads_nowhere_is_told_to_the_model() -> None:
    registry = ToolRegistry()
    registry.add("t", {"properties": {"a": {"$ref": "#/$defs/Missing"}}}, lambda **values: values, effect="read")

    assert registry.get_confirmation_flags([{"id": "c", "function": {"name": "t", "arguments": '{"a": 1}'}}]) == [False]


def test_a_schema_that_refers_to_itself_without_end_is_no_way_out() -> None:
    registry = ToolRegistry()
    tool = registry.add("t", {"allOf": [{"$ref": "#"}]}, lambda **values: values, effect="read")

    with pytest.raises(ToolArgumentsInvalid, match="cannot be applied"):
        parse_arguments(tool, "{}")


def test_what_is_wrong_is_told_shortly() -> None:
    tool = ToolRegistry().add("t", {"properties": {str(n): {"type": "integer"} for n in range(50)}}, lambda **values: values, effect="read")

    with pytest.raises(ToolArgumentsInvalid) as caught:
        parse_arguments(tool, {str(n): ["x" * 1000] for n in range(50)})
    assert len(str(caught.value)) < 12_000


def test_a_callable_that_cannot_take_the_schema_is_refused() -> None:
    def two(a: int, b: int) -> None: ...
    def none() -> None: ...
    def by_keyword(*, other: int) -> None: ...

    for function in (two, none, by_keyword):
        with pytest.raises(SchemaUnsupported, match="do not agree on"):
            ToolRegistry().add("t", SCHEMA, function, effect="read")
    with pytest.raises(ConfigInvalid, match="cannot be called"):
        ToolRegistry().add("t", SCHEMA, 5, effect="read")  # type: ignore[arg-type]  # what is refused
