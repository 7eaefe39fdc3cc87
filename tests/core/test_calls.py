"""Tool calls as models give them become calls that every provider takes back."""

import json
from typing import Any

import pytest

from agent.clock import now
from agent.core.calls import arguments_text, calls_of, safe_name
from agent.core.fold import advance, fold, history, start
from agent.core.messages import Messages
from agent.core.prompt import final_messages
from agent.models.payloads import Input, LlmCall, MemoryRead, Payload, ToolCall
from agent.models.trace import Step
from agent.testing.provider_shapes import shape_faults


def log(*payloads: Payload) -> list[Step]:
    return [Step(f"t/{n}", "t", payload.step_type, n, (), payload.to_data(), now(), 1) for n, payload in enumerate(payloads)]


def asking(*ids: Any) -> LlmCall:
    return LlmCall(tool_calls=[{"id": i, "type": "function", "function": {"name": "look", "arguments": "{}"}} for i in ids])


@pytest.mark.parametrize("ids", [("call_1_1", None), (None, "call_1_0"), ("a", "a"), ("", ""), (None, "call_1_0", "call_1_0_2", None)])
def test_a_call_without_a_usable_id_gets_one_that_no_other_has(ids: tuple[Any, ...]) -> None:
    calls = calls_of(asking(*ids).tool_calls, 1)

    assert len({call.message_id for call in calls}) == len(ids)
    assert [call.call_id for call in calls] == [f"1.{n}" for n in range(len(ids))]


def test_ids_are_unique_over_all_runs_of_a_conversation() -> None:
    turn = log(Input(task="a"), asking(None, None), ToolCall(call_id="1.0"), ToolCall(call_id="1.1"), LlmCall(response="done"))
    first = final_messages(fold(turn))

    second = fold(turn, start(first))

    assert shape_faults(history(second)) == []


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ('{"a": 1}', {"a": 1}),
        (' {"a": "\\ud800"}', {"a": "\ud800"}),
        ({"a": float("nan")}, {"a": "nan"}),
        ({"a": 10**5000}, {"a": "<integer of 16610 bits>"}),
        ('{"a": NaN}', {"a": "nan"}),
        ("[1]", {"malformed_arguments": "[1]"}),
        ("", {}),
        (None, {}),
        (7, {"malformed_arguments": "7"}),
    ],
)
def test_arguments_in_a_history_are_json_text_of_an_object(raw: Any, meant: dict[str, Any]) -> None:
    text = arguments_text(raw)

    assert json.loads(text, parse_constant=pytest.fail) == meant
    assert text.encode()


def test_very_deep_arguments_are_cut_off_and_not_refused() -> None:
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]

    assert json.loads(arguments_text({"a": deep}))


@pytest.mark.parametrize(("name", "safe"), [("look", "look"), ("two words", "two_words"), ("", "unknown_tool"), ("n" * 99, "n" * 64), ("名", "_")])
def test_names_in_a_history_are_those_that_every_provider_takes(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@pytest.mark.parametrize("calls", [5, "x", {"a": 1}, [None], [{"id": ["x"]}], [{}], None])
def test_messages_that_a_caller_made_up_do_not_stop_the_fold(calls: Any) -> None:
    state = fold(log(Input(task="a", messages=[{"role": "assistant", "tool_calls": calls}]), asking(None)))

    assert [call.call.message_id for call in state.turn] == ["call_1_0"]


def test_an_empty_reply_leaves_no_message_that_providers_refuse() -> None:
    ended = fold(log(Input(task="a"), LlmCall(response="")))

    again = advance(start(final_messages(ended)), log(Input(task="b"))[0])

    assert [m["content"] for m in history(again)] == ["a", "b"]
    assert ended.answer == ""


def test_an_empty_reply_with_a_providers_own_state_goes_back_to_it() -> None:
    ended = fold(log(Input(task="a"), LlmCall(response="", provider_state={"provider": "x"})))

    assert history(ended)[-1] == {"role": "assistant", "content": "", "provider_state": {"provider": "x"}}


def test_memory_in_the_system_place_leaves_a_system_message_of_parts_as_it_is() -> None:
    parts = {"role": "system", "content": [{"type": "text", "text": "s"}]}
    state = fold(log(Input(task="a", memory_placement="system"), MemoryRead(block="known")), start(Messages().plus(parts)))

    assert history(state) == [{"role": "system", "content": "known"}, parts, {"role": "user", "content": "a"}]
