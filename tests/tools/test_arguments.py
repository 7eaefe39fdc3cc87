import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import ToolArgumentsInvalid
from agent.tools.arguments import needs_confirmation, parse_arguments
from agent.tools.context import ToolContext
from agent.tools.json_text import JsonLimits, NotJson, parse_json
from agent.tools.registry import ToolRegistry
from agent.tools.tool import Tool

DATA = Path(__file__).parent.parent / "data"
SUITE: dict[str, str] = json.loads((DATA / "json_test_suite/cases.json").read_text())
NAUGHTY: list[str] = json.loads((DATA / "naughty_strings/blns.json").read_text())


def order(to: str, count: int = 1, price: float = 0.0, tags: list[str] | None = None) -> str:
    return f"{count} x {price} to {to} {tags}"


def note(text: str) -> str:
    return text


def anything() -> None:
    """Take nothing."""


REGISTRY = ToolRegistry()
ORDER = REGISTRY.register(order, effect="read")
NOTE = REGISTRY.register(note, effect="read")
NOTHING = REGISTRY.register(anything, effect="read")
FREE = REGISTRY.add("free", {"type": "object", "additionalProperties": True}, lambda **values: values, effect="read")
GIVEN = REGISTRY.add(
    "given", {"type": "object", "properties": {"n": {"type": "integer"}, "l": {"type": "array"}}, "required": ["n"]}, lambda **values: values, effect="read"
)
TOOLS = [ORDER, NOTE, NOTHING, FREE, GIVEN]


def refusal(tool: Tool, raw: Any, **options: Any) -> str:
    with pytest.raises(ToolArgumentsInvalid) as caught:
        parse_arguments(tool, raw, **options)
    return str(caught.value)


@pytest.mark.parametrize("raw", [None, "", "  \n", "{}", {}])
def test_no_arguments_are_an_empty_object(raw: Any) -> None:
    assert parse_arguments(NOTHING, raw).arguments == {}


def test_what_fits_comes_back_as_it_was_given() -> None:
    parsed = parse_arguments(ORDER, '{"to": "bob", "price": 5}')

    assert parsed.arguments == {"to": "bob", "price": 5}
    assert not parsed.was_repaired


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ('{"to": "bob", "count": "5"}', {"to": "bob", "count": 5}),
        ('{"to": "bob", "count": 5.0}', {"to": "bob", "count": 5}),
        ('{"to": "bob", "tags": "[\\"a\\"]"}', {"to": "bob", "tags": ["a"]}),
        ('"{\\"to\\": \\"bob\\"}"', {"to": "bob"}),
    ],
)
def test_what_was_probably_meant_is_marked_as_repaired(raw: str, meant: dict[str, Any]) -> None:
    parsed = parse_arguments(ORDER, raw)

    assert parsed.arguments == meant
    assert parsed.was_repaired


def test_a_given_schema_is_repaired_in_the_same_way() -> None:
    assert parse_arguments(GIVEN, '{"n": "3", "l": "[1]"}').arguments == {"n": 3, "l": [1]}
    assert "'n'" in refusal(GIVEN, '{"n": "three"}')


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        ("[]", "a list"),
        ("5", "a number"),
        ("true", "a truth value"),
        ("null", "null"),
        ('"text"', "a text"),
        ("{", "not valid JSON"),
        ('{"to": NaN}', "NaN"),
        ('{"to": "x", "price": Infinity}', "Infinity"),
        ('{"to": "x", "price": 1e999}', "too large"),
        ('{"to": "x", "to": "y"}', "given twice"),
        ('{"to": "x", "count": 99999999999999999999999}', "64 bits"),
        ('{"to": "\\ud800"}', "surrogate"),
        ("{}", "'to' is required"),
        ('{"to": "x", "other": 1}', "'other' is not a parameter"),
        ('{"to": 5}', "valid string"),
        ('{"to": "x"} trailing', "not valid JSON"),
        ("{'to': 'x'}", "not valid JSON"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_shows_the_schema(raw: str, part: str) -> None:
    message = refusal(ORDER, raw)

    assert part in message
    assert '"required":["to"]' in message


@pytest.mark.parametrize(
    "raw",
    [
        {"to": float("nan")},
        {"to": "x", "price": float("inf")},
        {1: "x"},
        {"to": b"bytes"},
        {"to": ("a",)},
        {"to": {"a", "b"}},
        {"to": "\ud800"},
        {"to": 2**70},
        [],
        5,
        b"{}",
    ],
)
def test_a_value_that_is_no_json_is_refused_like_text(raw: Any) -> None:
    assert refusal(FREE, raw)


def test_the_dict_of_the_caller_is_copied() -> None:
    given_dict = {"to": "x", "tags": ["a"]}

    parsed = parse_arguments(ORDER, given_dict)
    parsed.arguments["tags"].append("b")

    assert given_dict == {"to": "x", "tags": ["a"]}


@pytest.mark.parametrize("depth", [101, 100_000])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_deep_nesting_is_refused_and_nothing_overflows(depth: int, brackets: str) -> None:
    opening = "[" if brackets == "[]" else '{"a":'
    text = '{"a":' + opening * depth + "1" + brackets[1] * depth + "}"

    assert "nested deeper than 100" in refusal(FREE, text)
    assert "nested deeper than 100" in refusal(FREE, "[" * depth)
    assert "nested deeper than 100" in refusal(FREE, '[{"":' * depth)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    wide: list[Any] = []
    for _ in range(60):
        wide = [wide, wide]

    assert "contains itself" in refusal(FREE, loop)
    assert "larger than 1000" in refusal(FREE, {"a": wide}, limits=JsonLimits(max_chars=1000))


def test_brackets_inside_a_text_are_no_nesting() -> None:
    text = "[{" * 1000 + '\\"' + "]" * 3

    assert parse_arguments(NOTE, json.dumps({"text": text})).arguments == {"text": text}


def test_a_text_of_many_quotes_is_scanned_in_linear_time() -> None:
    started_at = time.process_time()
    refusal(FREE, '{"a": "' + '\\"' * 1_000_000 + "[" * 200)

    assert time.process_time() - started_at < 2


def test_a_large_text_passes_and_a_larger_one_is_refused_by_name_of_the_limit() -> None:
    text = json.dumps({"text": "x" * 3_000_000})

    assert len(parse_arguments(NOTE, text).arguments["text"]) == 3_000_000
    assert "4000000" in refusal(NOTE, json.dumps({"text": "x" * 10_000_000}))
    assert "4000000" in refusal(NOTE, {"text": "x" * 10_000_000})
    assert "at most 10" in refusal(NOTE, text, limits=JsonLimits(max_chars=10))


def as_text(name: str) -> str | None:
    try:
        return SUITE[name].encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return None  # what is no UTF-8 never becomes the text of a reply


# strict JSON forbids nothing here that the suite accepts, but for keys that are given twice
@pytest.mark.parametrize("name", [name for name in SUITE if name.startswith("y_")])
def test_every_text_that_must_parse_parses(name: str) -> None:
    text = as_text(name)
    assert text is not None
    if "duplicated_key" in name:
        assert "given twice" in refusal(FREE, text)
        return

    value = parse_json(text)

    assert value == json.loads(text)
    if isinstance(value, dict):
        assert parse_arguments(FREE, text).arguments == value
    else:
        assert "must be one JSON object" in refusal(FREE, text)


@pytest.mark.parametrize("name", [name for name in SUITE if name.startswith("n_")])
def test_every_text_that_must_not_parse_is_refused(name: str) -> None:
    text = as_text(name)
    if text is None or not text.strip(" \t\n\r"):  # nothing at all is no arguments
        return

    with pytest.raises(NotJson):
        parse_json(text)
    assert refusal(FREE, text)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_naughty_strings_as_arguments_do_no_harm(tool: Tool) -> None:
    for text in NAUGHTY:
        for raw in (text, json.dumps({"text": text}), {"text": text}, {text: text}, '{"to": "' + text + '"}'):
            try:
                parse_arguments(tool, raw)
            except ToolArgumentsInvalid as error:
                str(error).encode()  # can be stored


def test_naughty_strings_pass_through_unchanged() -> None:
    for text in NAUGHTY:
        assert parse_arguments(NOTE, json.dumps({"text": text})).arguments == {"text": text}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec=None), max_size=4) | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(raw=st.text(st.characters(codec=None)) | JSON, place=st.integers(0, len(TOOLS) - 1))
def test_whatever_is_given_only_one_error_comes_out(raw: Any, place: int) -> None:
    tool = TOOLS[place]
    for given_value in (raw, json.dumps(raw)):
        try:
            parsed = parse_arguments(tool, given_value)
        except ToolArgumentsInvalid as error:
            str(error).encode()  # can be stored
            continue
        again = parse_arguments(tool, json.dumps(parsed.arguments))
        assert again == parse_arguments(tool, parsed.arguments)
        assert not again.was_repaired


@settings(max_examples=100, deadline=None)
@given(
    values=st.dictionaries(
        st.text(max_size=5), st.integers(-(2**63), 2**63) | st.text() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False)
    )
)
def test_any_plain_object_survives_the_way_through_text(values: dict[str, Any]) -> None:
    assert parse_arguments(FREE, json.dumps(values)).arguments == values


def test_a_validator_of_the_tool_author_may_raise_anything() -> None:
    from typing import Annotated

    from pydantic import AfterValidator

    def broken(value: int) -> int:
        raise KeyError(value)

    def picky(n: Annotated[int, AfterValidator(broken)]) -> int:
        return n

    tool = ToolRegistry().register(picky, effect="read")

    assert "KeyError" in refusal(tool, '{"n": 1}')


# ---- who must agree


def tool_that_asks(rule: Any) -> Tool:
    return ToolRegistry().register(order, effect="unsafe", requires_confirmation=rule)


def test_a_rule_sees_the_arguments_and_where_it_wants_the_context() -> None:
    cheap = tool_that_asks(lambda arguments: arguments["price"] > 100)
    own = tool_that_asks(lambda _arguments, context: context is None or context.uid != "ada")

    assert needs_confirmation(cheap, {"price": 101})
    assert not needs_confirmation(cheap, {"price": 1})
    assert not needs_confirmation(own, {}, ToolContext(uid="ada"))
    assert needs_confirmation(own, {})
    above: Any = lambda arguments, limit=100: arguments["price"] > limit  # noqa: E731  # as users write them
    wanted: Any = lambda arguments, context=None: context is not None  # noqa: E731
    assert needs_confirmation(tool_that_asks(above), {"price": 101}, ToolContext())
    assert not needs_confirmation(tool_that_asks(above), {"price": 1}, ToolContext())
    assert needs_confirmation(tool_that_asks(wanted), {}, ToolContext())
    assert not needs_confirmation(tool_that_asks(bool), {})
    assert needs_confirmation(tool_that_asks(True), {})
    assert not needs_confirmation(tool_that_asks(False), {})


def test_a_rule_that_fails_asks() -> None:
    class Odd:
        def __bool__(self) -> bool:
            raise RuntimeError

    async def later() -> bool:
        return False

    assert needs_confirmation(tool_that_asks(lambda arguments: arguments["missing"]), {})
    assert needs_confirmation(tool_that_asks(lambda _: Odd()), {})
    assert needs_confirmation(tool_that_asks(lambda _: later()), {})


def test_a_rule_cannot_change_the_arguments() -> None:
    arguments = {"tags": ["a"]}

    needs_confirmation(tool_that_asks(lambda given_arguments: given_arguments["tags"].clear()), arguments)

    assert arguments == {"tags": ["a"]}
