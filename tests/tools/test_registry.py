import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import BadInput, ConfigInvalid, ToolArgumentsInvalid, ToolFailed, ToolNotFound, ToolTimeout
from agent.tools import ToolContext, ToolRegistry, get_tool_registry
from agent.tools.tool import EffectUndeclared

NAUGHTY: list[str] = json.loads((Path(__file__).parent.parent / "data/naughty_strings/blns.json").read_text())


def shop() -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool(effect="unsafe", requires_confirmation=True, editable_params=["amount"], timeout_s=30, probe=None)
    async def pay(ctx: ToolContext, to: str, amount: float) -> str:
        """Pay someone.

        Args:
            to: who is paid
            amount: in euros
        """
        return f"{amount} to {to} by {ctx.uid}"

    @registry.tool(effect="read")
    def search(query: str, limit: int = 5) -> list[str]:
        """Search."""
        return [query] * limit

    @registry.tool(effect="unsafe", requires_confirmation=lambda arguments: arguments["n"] > 10)
    def delete(n: int) -> str:
        """Delete some."""
        return f"deleted {n}"

    return registry


def call(name: Any, arguments: Any = "{}", call_id: Any = "c1") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


PAY = '{"to": "bob", "amount": 5}'


def test_a_function_becomes_a_schema_as_providers_take_it() -> None:
    assert shop().get_schemas(["pay"]) == [
        {
            "type": "function",
            "function": {
                "name": "pay",
                "description": "Pay someone.",
                "parameters": {
                    "type": "object",
                    "properties": {"to": {"type": "string", "description": "who is paid"}, "amount": {"type": "number", "description": "in euros"}},
                    "required": ["to", "amount"],
                    "additionalProperties": False,
                },
            },
        }
    ]


def test_schemas_are_fresh_in_order_and_each_once() -> None:
    registry = shop()
    first = registry.get_schemas(["search", "pay", "search"])
    first[0]["function"]["parameters"].clear()

    assert [schema["function"]["name"] for schema in first] == ["search", "pay"]
    assert registry.get_schemas(["search"])[0]["function"]["parameters"]["required"] == ["query"]
    assert registry.get_schemas([]) == []


def test_an_unknown_name_is_named_with_the_nearest() -> None:
    registry = shop()

    with pytest.raises(ToolNotFound, match="did you mean 'search'"):
        registry.get_schemas(["serch"])
    with pytest.raises(ToolNotFound, match="there are delete, pay, search"):
        registry.get("zzz")
    with pytest.raises(ToolNotFound, match="no tool is registered"):
        ToolRegistry().get("x")
    with pytest.raises(BadInput, match=r"\['search'\]"):
        registry.get_schemas("search")


def test_the_registry_tells_its_names() -> None:
    registry = shop()

    assert registry.names() == ["pay", "search", "delete"]
    assert [tool.name for tool in registry] == registry.names()
    assert len(registry) == 3
    assert "pay" in registry
    assert "nope" not in registry
    assert 5 not in registry
    assert ToolRegistry()  # `registry or default` must not pass an empty one over


def test_the_decorator_gives_the_function_back() -> None:
    registry = ToolRegistry()

    def search(query: str) -> str:
        return query

    with pytest.warns(EffectUndeclared):
        assert registry.tool(search) is search
    assert registry.tool(effect="read", name="find", description="Finds.")(search) is search
    assert registry.get("find").description == "Finds."
    assert search("x") == "x"


def test_a_tool_without_an_effect_is_unsafe_and_says_so_where_it_is_registered() -> None:
    registry = ToolRegistry()

    with pytest.warns(EffectUndeclared, match="declares no effect .* Declare effect='read'") as caught:

        @registry.tool
        def act() -> None: ...

    with pytest.warns(EffectUndeclared) as caught_again:
        registry.register(act, name="act2")

    assert registry.get("act").effect == "unsafe"
    assert [Path(warning.filename).name for warning in [*caught, *caught_again]] == ["test_registry.py"] * 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.register(act, name="act3", effect="unsafe")


def test_a_name_is_registered_once_unless_it_is_to_be_replaced() -> None:
    registry = shop()

    def search() -> str:
        return "new"

    with pytest.raises(ConfigInvalid, match="registered already"):
        registry.register(search, effect="read")
    registry.register(search, effect="read", replace=True)
    registry.add("search", {"type": "object"}, lambda **_: "newer", effect="read", replace=True)

    assert registry.names() == ["pay", "search", "delete"]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"effect": "harmless"}, "effect='harmless' is none of read, idempotent, unsafe, transactional"),
        ({"editable_params": ["ammount"]}, "'ammount', which is no parameter; its parameters: a, b"),
        ({"editable_params": "a"}, "no list of names"),
        ({"editable_params": [1]}, "no list of names"),
        ({"timeout_s": 0}, "timeout_s=0"),
        ({"timeout_s": -1}, "timeout_s=-1"),
        ({"timeout_s": float("nan")}, "timeout_s=nan"),
        ({"timeout_s": float("inf")}, "timeout_s=inf"),
        ({"timeout_s": "3"}, "timeout_s='3'"),
        ({"timeout_s": True}, "timeout_s=True"),
        ({"expires": 0}, "expires=0"),
        ({"probe": "p"}, "probe='p'"),
        ({"max_result_chars": 0}, "max_result_chars=0"),
        ({"requires_confirmation": "yes"}, "requires_confirmation='yes'"),
        ({"timeout": 3}, "no option 'timeout'"),
        ({"name": "has space"}, "cannot be called 'has space'"),
        ({"name": ""}, "cannot be called ''"),
        ({"name": "x" * 65}, "1 to 64"),
        ({"name": "天气"}, "give another with name="),
        ({"name": "new\n"}, "cannot be called"),
    ],
)
def test_a_bad_option_is_refused_at_registration(options: dict[str, Any], part: str) -> None:
    registry = ToolRegistry()

    def act(a: int, b: int) -> None: ...

    with pytest.raises(ConfigInvalid) as caught:
        registry.register(act, **{"effect": "read", **options})

    assert part in str(caught.value)
    assert registry.names() == []


def test_a_rule_that_cannot_answer_at_once_is_refused() -> None:
    async def ask(arguments: dict[str, Any]) -> bool:
        return False

    with pytest.raises(ConfigInvalid, match="async function"):
        ToolRegistry().register(lambda: None, name="x", effect="read", requires_confirmation=ask)  # type: ignore[arg-type]  # what is refused
    with pytest.raises(ConfigInvalid, match="cannot be called '<lambda>'"):
        ToolRegistry().register(lambda: None, effect="read")


def test_all_options_stand_in_the_tool() -> None:
    def done(key: str) -> bool:
        return bool(key)

    def act(a: int) -> int:
        return a

    tool = ToolRegistry().register(
        act,
        effect="idempotent",
        requires_confirmation=True,
        editable_params=["a", "a"],
        timeout_s=3,
        expires=60,
        probe=done,
        max_result_chars=9,
        untrusted=True,
    )

    assert (tool.effect, tool.requires_confirmation, tool.editable_params) == ("idempotent", True, ("a",))
    assert (tool.timeout_s, tool.expires_s, tool.probe, tool.max_result_chars, tool.is_untrusted) == (3.0, 60.0, done, 9, True)


def test_naughty_strings_as_names_are_refused_or_fit() -> None:
    registry = shop()
    for text in dict.fromkeys(NAUGHTY):
        with pytest.raises(ToolNotFound):
            registry.get(text)
        try:
            registry.register(lambda: None, name=text, effect="read", replace=True)
        except ConfigInvalid:
            assert text not in registry
        else:
            assert registry.get(text).name == text


# ---- what a model asked for


def test_flags_stand_in_the_order_of_the_calls() -> None:
    registry = shop()
    calls = [call("search", '{"query": "x"}'), call("pay", PAY), call("delete", '{"n": 3}'), call("delete", '{"n": 30}')]

    assert registry.get_confirmation_flags(calls) == [False, True, False, True]
    assert registry.check_confirmation_required(calls)
    assert not registry.check_confirmation_required(calls[:1])
    assert not registry.check_confirmation_required([])


def test_repaired_arguments_of_an_unsafe_tool_need_a_person() -> None:
    assert shop().get_confirmation_flags([call("delete", '{"n": "3"}'), call("search", '{"query": "x", "limit": "3"}')]) == [True, False]


def test_a_call_that_cannot_run_is_not_asked_about() -> None:
    calls = [call("unknown"), call("pay", "{"), call("pay", "[]"), call("pay", '{"to": 1}')]

    assert shop().get_confirmation_flags(calls) == [False] * 4


HOSTILE: list[Any] = [
    None,
    5,
    "pay",
    [],
    {},
    {"id": None, "function": None},
    {"id": 7, "function": {"name": 7, "arguments": 7}},
    {"function": {"name": ["pay"]}},
    {"id": {}, "function": {"name": "pay", "arguments": {"to": float("nan")}}},
    call("pay", None),
    call(None),
    {"function": "pay"},
]


def test_hostile_calls_do_no_harm() -> None:
    registry = shop()

    assert registry.get_confirmation_flags(HOSTILE) == [False] * len(HOSTILE)
    assert registry.get_editable_params_map([*HOSTILE[:3], call("pay")]) == {"0": [], "1": [], "2": [], "c1": ["amount"]}
    for calls in (None, "pay", 5, {}, {"pay": 1}):
        assert registry.get_confirmation_flags(calls) == []
        assert registry.get_editable_params_map(calls) == {}
        assert not registry.check_confirmation_required(calls)


@given(
    st.lists(
        st.none()
        | st.text()
        | st.fixed_dictionaries(
            {"id": st.sampled_from(["0", "1", "a", "", None]), "function": st.dictionaries(st.sampled_from(["name", "arguments"]), st.text() | st.integers())}
        ),
        max_size=6,
    )
)
def test_each_call_has_a_key_of_its_own(calls: list[Any]) -> None:
    registry = shop()

    assert len(registry.get_editable_params_map(calls)) == len(calls)
    assert len(registry.get_confirmation_flags(calls)) == len(calls)


def test_editable_parameters_are_found_by_id_or_else_by_position() -> None:
    registry = shop()

    assert registry.get_editable_params_map([call("pay", call_id="a"), call("search", call_id="b")]) == {"a": ["amount"], "b": []}
    assert registry.get_editable_params_map([call("pay", call_id=None), call("search", call_id="")]) == {"0": ["amount"], "1": []}
    assert registry.get_editable_params_map([call("pay", call_id="a"), call("search", call_id="a")]) == {"a": ["amount"], "1": []}
    assert registry.get_editable_params_map([call("pay", call_id="1"), call("search", call_id=None)]) == {"0": ["amount"], "1": []}


# ---- running


async def test_execute_gives_text_for_the_uid() -> None:
    registry = shop()

    assert await registry.execute("pay", PAY, uid="ada") == "5.0 to bob by ada"
    assert await registry.execute("pay", {"to": "bob", "amount": 5}) == "5.0 to bob by None"
    assert await registry.execute("search", '{"query": "x", "limit": 2}', "ada") == '["x", "x"]'
    assert await registry.execute("delete", '{"n": "30"}') == "deleted 30"


async def test_execute_says_what_failed() -> None:
    registry = ToolRegistry()

    @registry.tool(effect="read")
    def fail() -> None:
        raise KeyError("gone")

    @registry.tool(effect="read")
    def refuse() -> None:
        raise ToolFailed("not today")

    @registry.tool(effect="read", max_result_chars=5)
    def talk() -> str:
        return "word " * 100

    with pytest.raises(ToolFailed, match="'fail' failed: KeyError: 'gone'") as caught:
        await registry.execute("fail", None)
    assert isinstance(caught.value.__cause__, KeyError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with pytest.raises(ToolFailed, match="not today"):
        await registry.execute("refuse", None)
    with pytest.raises(ToolNotFound):
        await registry.execute("nothing", None)
    with pytest.raises(ToolArgumentsInvalid):
        await registry.execute("fail", '{"a": 1}')
    assert "495 of 500 characters left out" in await registry.execute("talk", None)


async def test_execute_bounds_the_time_where_asked() -> None:
    import asyncio

    registry = ToolRegistry()

    @registry.tool(effect="read")
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(ToolTimeout):
        await registry.execute("wait", None, timeout_s=0.05)


def test_the_registry_of_the_process_is_one() -> None:
    assert get_tool_registry() is get_tool_registry()
