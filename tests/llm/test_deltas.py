"""Answers of any shape: cut anyhow, and made of anything."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ModelError
from agent.llm.contract import Token
from agent.llm.deltas import Assembly
from agent.llm.endpoints import ENDPOINTS
from agent.llm.faults import Caller
from agent.llm.openai import OpenAICompatible
from agent.llm.replies import reply_of
from agent.llm.wire import Receiver, outgoing_messages, sound_arguments

OPENROUTER = Receiver(ENDPOINTS["openrouter"], "openrouter", "m")

texts = st.text(max_size=12)
numbers = st.integers() | st.floats()
leaves = st.none() | st.booleans() | numbers | texts
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8)
functions = st.dictionaries(st.sampled_from(["name", "arguments"]), values) | values
calls = (
    st.dictionaries(st.sampled_from(["id", "index", "type", "extra_content"]), values)
    | st.fixed_dictionaries({"function": functions, "index": values})
    | values
)
words = ["content", "reasoning", "reasoning_content", "reasoning_details", "extra_content", "refusal", "function_call"]
messages = st.dictionaries(st.sampled_from(words), values) | st.fixed_dictionaries({"tool_calls": st.lists(calls, max_size=3) | values, "content": values})
usages = st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"]), values)
choices = (
    st.fixed_dictionaries({}, optional={"message": messages, "delta": messages, "finish_reason": values, "index": values, "usage": usages | values}) | values
)
payloads = st.fixed_dictionaries({"choices": st.lists(choices, max_size=2) | values}, optional={"usage": usages | values, "id": values, "error": values})


@given(payload=payloads | values)
def test_no_answer_whatever_breaks_anything(payload: Any) -> None:
    try:
        reply = reply_of(payload, Caller("x"), OPENROUTER)
    except ModelError:
        return

    assert reply["content"] is None or isinstance(reply["content"], str)
    assert all(isinstance(call["function"]["arguments"], str) for call in reply["tool_calls"] or ())
    assert len({call["id"] for call in reply["tool_calls"] or ()}) == len(reply["tool_calls"] or ())
    turn = {"role": "assistant", "content": reply["content"], "tool_calls": reply["tool_calls"], "provider_state": reply.get("provider_state")}
    assert outgoing_messages([turn], OPENROUTER)[0]["role"] == "assistant"


@given(chunks=st.lists(payloads, max_size=4))
def test_no_stream_whatever_breaks_anything(chunks: list[dict[str, Any]]) -> None:
    assembly = Assembly()
    tokens = [token for chunk in chunks for token in assembly.add(chunk)]

    assert all(isinstance(token, Token) and isinstance(token.text, str) for token in tokens)
    try:
        reply_of(assembly.payload(), Caller("x"), OPENROUTER)
    except ModelError:
        return


@given(data=st.data(), content=texts, arguments=st.lists(st.text(min_size=1, max_size=8), max_size=3))
def test_a_stream_cut_anywhere_gives_what_would_have_come_whole(data: st.DataObject, content: str, arguments: list[str]) -> None:
    def cut(text: str) -> list[str]:
        at = data.draw(st.integers(0, len(text)))
        return [text[:at], text[at:]]

    deltas: list[dict[str, Any]] = [{"content": piece} for piece in cut(content)]
    for index, text in enumerate(arguments):
        first, second = cut(text)
        deltas.append({"tool_calls": [{"index": index, "id": f"c{index}", "function": {"name": "f", "arguments": first}}]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": second}}]})
    assembly = Assembly()
    for delta in deltas:
        assembly.add({"choices": [{"index": 0, "delta": delta}]})

    message = assembly.payload()["choices"][0]["message"]
    assert message.get("content", "") == content
    assert [call["function"]["arguments"] for call in message.get("tool_calls", [])] == arguments


@given(arguments=values | texts)
def test_arguments_always_go_out_as_a_json_object(arguments: Any) -> None:
    import json

    assert isinstance(json.loads(sound_arguments(arguments)), dict)


def test_content_parts_and_seals_in_a_stream_are_kept() -> None:
    assembly = Assembly()
    parts = [{"type": "text", "text": "4"}, "2", {"type": "image"}, {"text": ""}]

    tokens = assembly.add({"choices": [{"delta": {"content": parts, "extra_content": {"a": 1}}}]})
    assembly.add(
        {"choices": [{"message": {"reasoning_details": ["odd", {"type": "reasoning.summary"}]}, "finish_reason": "stop", "usage": {"prompt_tokens": 1}}]}
    )

    assert tokens == [Token("text", "4"), Token("text", "2")]
    payload = assembly.payload()
    assert payload["choices"][0]["message"] == {"content": "42", "extra_content": {"a": 1}, "reasoning_details": ["odd", {"type": "reasoning.summary"}]}
    assert payload["usage"] == {"prompt_tokens": 1}
    assert assembly.is_whole


async def test_ollamas_cloud_models_are_not_free(chat_server: Any) -> None:
    model = OpenAICompatible(provider="ollama", base_url=chat_server.url)
    costs = []
    for name in ("gpt-oss:120b-cloud", "llama3"):
        chat_server.says({"content": "hi"}, usage={"prompt_tokens": 1, "completion_tokens": 1})
        costs.append((await model([{"role": "user", "content": "hello"}], name))["cost"])

    assert costs == [None, 0.0]


async def test_max_tokens_has_another_name_at_openai_itself() -> None:
    official = OpenAICompatible("m", api_key="sk-test")
    gateway = OpenAICompatible("m", api_key="sk-test", base_url="http://127.0.0.1:1/v1")

    assert official._settings({"max_tokens": 5}, official._receiver(""), has_tools=False) == {"max_completion_tokens": 5}
    assert gateway._settings({"max_tokens": 5}, gateway._receiver(""), has_tools=False) == {"max_tokens": 5}


@pytest.mark.parametrize("priced_as", ["openai", None])
async def test_a_gateway_can_be_told_whose_prices_count(chat_server: Any, priced_as: str | None) -> None:
    chat_server.says({"content": "hi"}, usage={"prompt_tokens": 1000, "completion_tokens": 100})

    reply = await OpenAICompatible("gpt-4o", base_url=chat_server.url, api_key="sk-test", priced_as=priced_as)([])

    assert reply["cost"] == (0.0035 if priced_as else None)
