"""The adapter for chat completions: whole answers, and turns that go back."""

import json
from typing import Any

import pytest

from agent.llm.openai import OpenAICompatible

USER = [{"role": "user", "content": "hello"}]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]
RED_DOT = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4"


def call(name: str, arguments: Any, call_id: str | None = "c1", **more: Any) -> dict[str, Any]:
    made = {"type": "function", "function": {"name": name, "arguments": arguments}, **more}
    return made if call_id is None else {"id": call_id, **made}


def model_at(server: Any, provider: str = "openai", name: str | None = "m", **options: Any) -> OpenAICompatible:
    return OpenAICompatible(name, provider=provider, base_url=server.url, api_key=options.pop("api_key", "sk-test-0123456789abcdef"), **options)


async def test_an_answer_becomes_a_reply_with_tokens_and_where_it_came_from(chat_server: Any) -> None:
    usage = {
        "prompt_tokens": 30,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    chat_server.says({"content": "hi"}, usage=usage)
    model = model_at(chat_server)

    reply = await model(messages=USER, model="gpt-4o", temperature=0.5, seed=None)
    await model.aclose()

    assert reply["content"] == "hi"
    assert reply["tool_calls"] is None
    assert (reply["prompt_tokens"], reply["completion_tokens"]) == (30, 7)
    assert reply["usage"] == {"cache_read_tokens": 20, "cache_write_tokens": 4, "reasoning_tokens": 3}
    assert (reply["finish_reason"], reply["response_id"], reply["model"]) == ("stop", "chatcmpl-1", "openai:m")
    assert reply["cost"] is None
    assert "provider_state" not in reply
    assert chat_server.paths == ["/v1/chat/completions"]
    assert chat_server.requests == [{"model": "m", "messages": USER, "temperature": 0.5}]
    assert chat_server.headers[0]["authorization"] == "Bearer sk-test-0123456789abcdef"


async def test_settings_go_to_the_server_and_the_clients_own_ones_do_not(chat_server: Any) -> None:
    chat_server.says({"content": "hi"})
    settings = {"max_tokens": 5, "stop": ["x"], "response_format": {"type": "json_object"}, "tool_choice": "auto", "top_k": 3}

    await model_at(chat_server)(USER, "", TOOLS, **settings, timeout=9, extra_headers={"X-Mine": "yes"}, extra_body={"enable_thinking": True})

    assert chat_server.requests[0] == {"model": "m", "messages": USER, "tools": TOOLS, **settings, "enable_thinking": True}
    assert chat_server.headers[0]["x-mine"] == "yes"


async def test_tool_settings_stay_home_when_there_are_no_tools(chat_server: Any) -> None:
    chat_server.says({"content": "hi"})

    await model_at(chat_server)(USER, "", [], tool_choice="auto", parallel_tool_calls=False)

    assert chat_server.requests[0] == {"model": "m", "messages": USER}


async def test_parallel_calls_come_in_order_each_with_an_id_of_its_own(chat_server: Any) -> None:
    calls = [call("add", '{"a":1}', "x"), call("add", '{"a":2}', "x"), call("add", {"a": 3}, None), call("add", '{"a": oops', "y")]
    chat_server.says({"content": None, "tool_calls": calls}, finish_reason="tool_calls")

    reply = await model_at(chat_server)(USER, "", TOOLS)

    ids = [made["id"] for made in reply["tool_calls"]]
    assert (ids[0], ids[3]) == ("x", "y")
    assert len(set(ids)) == 4
    assert [made["function"]["arguments"] for made in reply["tool_calls"]] == ['{"a":1}', '{"a":2}', '{"a":3}', '{"a": oops']
    assert all(set(made) == {"id", "type", "function"} for made in reply["tool_calls"])


async def test_malformed_arguments_go_back_as_an_object_that_tells_them(chat_server: Any) -> None:
    chat_server.says({"content": "sorry"})
    calls = [call("add", '{"a": oops', "x"), call("add", "", "y"), call("add", {"a": 1}, "z"), call("add", "[1]", "w")]
    history: list[dict[str, Any]] = [*USER, {"role": "assistant", "content": None, "tool_calls": calls}]
    before = json.dumps(history)

    await model_at(chat_server)(history)

    sent = [json.loads(made["function"]["arguments"]) for made in chat_server.requests[0]["messages"][1]["tool_calls"]]
    assert sent == [{"malformed_arguments": '{"a": oops'}, {}, {"a": 1}, {"malformed_arguments": "[1]"}]
    assert json.dumps(history) == before


async def test_only_keys_of_the_format_are_sent(chat_server: Any) -> None:
    chat_server.says({"content": "ok"})
    history: list[dict[str, Any]] = [
        {"role": "system", "content": "be kind", "cached": True},
        {"role": "assistant", "content": "x", "tool_calls": None, "provider_state": {"provider": "anthropic", "blocks": []}, "step_id": "s"},
        {"role": "assistant", "content": None, "tool_calls": [call("add", "{}", extra="no")]},
        {"role": "tool", "tool_call_id": "c1", "name": "add", "content": "3", "took_s": 1},
    ]

    await model_at(chat_server)(history)

    assert chat_server.requests[0]["messages"] == [
        {"role": "system", "content": "be kind"},
        {"role": "assistant", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [call("add", "{}")]},
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
    ]


async def test_images_are_passed_through(chat_server: Any) -> None:
    chat_server.says({"content": "a red dot"})
    parts = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": RED_DOT, "detail": "low"}}]

    await model_at(chat_server)([{"role": "user", "content": parts}])

    assert chat_server.requests[0]["messages"][0]["content"] == parts


@pytest.mark.parametrize(("provider", "field"), [("deepseek", "reasoning_content"), ("qwen", "reasoning_content"), ("vllm", "reasoning")])
async def test_thoughts_go_back_on_the_second_turn_even_after_a_restart(chat_server: Any, provider: str, field: str) -> None:
    chat_server.says({"content": "", field: "let me add", "tool_calls": [call("add", "{}")]}, finish_reason="tool_calls")
    chat_server.says({"content": "3"})
    first = await model_at(chat_server, provider)(USER, "", TOOLS)
    stored = json.loads(json.dumps(first))

    turn = {"role": "assistant", "content": stored["content"], "tool_calls": stored["tool_calls"], "provider_state": stored["provider_state"]}
    await model_at(chat_server, provider, "another-model")([*USER, turn, {"role": "tool", "tool_call_id": "c1", "content": "3"}], "", TOOLS)

    assert first["reasoning"] == "let me add"
    assert first["provider_state"]["provider"] == provider
    sent = chat_server.requests[1]["messages"][1]
    assert sent == {"role": "assistant", "content": "", "tool_calls": [call("add", "{}")], field: "let me add"}


@pytest.mark.parametrize(("provider", "filler"), [("deepseek", ""), ("moonshot", " ")])
async def test_a_provider_that_insists_on_thoughts_gets_a_filler_for_calls_that_another_made(chat_server: Any, provider: str, filler: str) -> None:
    chat_server.says({"content": "3"})
    turn = {"role": "assistant", "content": None, "tool_calls": [call("add", "{}")], "provider_state": {"provider": "openrouter", "format": "chat"}}

    await model_at(chat_server, provider)([*USER, turn, {"role": "assistant", "content": "so"}])

    sent = chat_server.requests[0]["messages"]
    assert sent[1]["reasoning_content"] == filler
    assert "reasoning_content" not in sent[2]


async def test_sealed_thoughts_go_back_to_the_model_that_made_them_and_to_no_other(chat_server: Any) -> None:
    details = [{"type": "reasoning.encrypted", "data": "AAAA", "index": 0}]
    signed = call("add", "{}", extra_content={"google": {"thought_signature": "SIG"}})
    chat_server.says({"content": None, "reasoning": "hm", "reasoning_details": details, "tool_calls": [signed]}, finish_reason="tool_calls")
    chat_server.says({"content": "3"})
    chat_server.says({"content": "3"})
    first = await model_at(chat_server, "openrouter")(USER, "", TOOLS)
    turn = {"role": "assistant", **{key: first[key] for key in ("content", "tool_calls", "provider_state")}}

    await model_at(chat_server, "openrouter")([*USER, turn])
    await model_at(chat_server, "openrouter", "other")([*USER, turn])

    same, other = (request["messages"][1] for request in chat_server.requests[1:])
    assert same == {"role": "assistant", "content": None, "reasoning_details": details, "tool_calls": [signed]}
    assert other == {"role": "assistant", "content": None, "reasoning": "hm", "tool_calls": [call("add", "{}")]}


async def test_openai_itself_is_never_sent_thoughts(chat_server: Any) -> None:
    chat_server.says({"content": "ok"})
    state = {"provider": "openai", "format": "chat", "model": "m", "message": {"reasoning_content": "hm"}}

    await model_at(chat_server)([*USER, {"role": "assistant", "content": "x", "provider_state": state}])

    assert chat_server.requests[0]["messages"][1] == {"role": "assistant", "content": "x"}


async def test_old_forms_are_understood(chat_server: Any) -> None:
    chat_server.says({"content": None, "function_call": {"name": "add", "arguments": "{}"}}, finish_reason="function_call")
    chat_server.says({"content": ["4", {"type": "thinking", "thinking": "hm"}, "2", 7]})
    model = model_at(chat_server)

    called, said = await model(USER, "", TOOLS), await model(USER)

    assert called["tool_calls"][0]["function"] == {"name": "add", "arguments": "{}"}
    assert (said["content"], said["reasoning"]) == ("42", "hm")


async def test_a_tools_name_goes_to_those_who_want_it(chat_server: Any) -> None:
    for _ in range(2):
        chat_server.says({"content": "ok"})
    history: list[dict[str, Any]] = [{"role": "tool", "tool_call_id": "c1", "name": "add", "content": None}]

    await model_at(chat_server, "openai-compatible")(history)
    await model_at(chat_server, "cerebras")(history)

    sent = [request["messages"][0] for request in chat_server.requests]
    assert sent == [{"role": "tool", "tool_call_id": "c1", "name": "add", "content": ""}, {"role": "tool", "tool_call_id": "c1", "content": ""}]


async def test_content_in_parts_is_read_as_text_and_thoughts(chat_server: Any) -> None:
    content = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "4"}, {"type": "text", "text": "2"}]
    chat_server.says({"content": content})
    chat_server.says({"content": "ok"})
    model = model_at(chat_server, "openai-compatible")

    reply = await model(USER)
    await model([*USER, {"role": "assistant", "content": reply["content"], "provider_state": reply["provider_state"]}])

    assert (reply["content"], reply["reasoning"]) == ("42", "hm")
    assert chat_server.requests[1]["messages"][1]["content"] == content


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": None, "completion_tokens": None, "prompt_tokens_details": None},
        {"prompt_tokens": "many", "completion_tokens": float("inf")},
        {"prompt_tokens": -1},
        [],
        "none",
    ],
)
async def test_unknown_token_counts_stay_unknown(chat_server: Any, usage: Any) -> None:
    chat_server.says({"content": "hi"}, usage=usage)

    reply = await model_at(chat_server)(USER)

    assert (reply["prompt_tokens"], reply["completion_tokens"], reply["cost"], reply["usage"]) == (None, None, None, {})


async def test_reasoning_that_is_counted_apart_is_added_to_what_is_paid_for(chat_server: Any) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115, "completion_tokens_details": {"reasoning_tokens": 100}}
    chat_server.says({"content": "hi"}, usage=usage)

    assert (await model_at(chat_server)(USER))["completion_tokens"] == 105


async def test_a_refusal_is_the_content(chat_server: Any) -> None:
    chat_server.says({"content": None, "refusal": "I will not."})

    reply = await model_at(chat_server)(USER)

    assert (reply["content"], reply["finish_reason"]) == ("I will not.", "refusal")
