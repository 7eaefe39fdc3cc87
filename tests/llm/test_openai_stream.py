"""The adapter for chat completions: streams."""

import asyncio
import contextlib
import json
from typing import Any

import pytest

from agent.errors import ModelRejected, ModelUnavailable
from agent.llm.contract import StreamingModel, Token
from agent.llm.openai import OpenAICompatible

USER = [{"role": "user", "content": "hello"}]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]


def model_at(server: Any, provider: str = "openai", **options: Any) -> OpenAICompatible:
    return OpenAICompatible("m", provider=provider, base_url=server.url, api_key="sk-test-0123456789abcdef", **options)


def piece(name: str | None = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {"tool_calls": [{"function": function, **more}]}


async def everything(model: OpenAICompatible, *args: Any, **settings: Any) -> tuple[list[Token], dict[str, Any]]:
    *tokens, reply = [part async for part in model.stream(USER, *args, **settings)]
    assert all(isinstance(token, Token) for token in tokens)
    assert isinstance(reply, dict)
    return [token for token in tokens if isinstance(token, Token)], reply


async def test_text_comes_in_tokens_and_the_reply_last(chat_server: Any) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}
    chat_server.streams({"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"}, usage=usage)
    model = model_at(chat_server)

    tokens, reply = await everything(model, "", TOOLS, temperature=0)

    assert isinstance(model, StreamingModel)
    assert tokens == [Token("text", "Hel"), Token("text", "lo")]
    assert (reply["content"], reply["tool_calls"], reply["finish_reason"], reply["model"]) == ("Hello", None, "stop", "openai:m")
    assert (reply["prompt_tokens"], reply["completion_tokens"], reply["usage"]) == (3, 2, {"cache_read_tokens": 1})
    assert chat_server.requests == [
        {"model": "m", "messages": USER, "tools": TOOLS, "temperature": 0, "stream": True, "stream_options": {"include_usage": True}}
    ]


async def test_a_stream_gives_the_same_reply_as_a_call(chat_server: Any) -> None:
    made = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    chat_server.says({"content": "I add", "reasoning_content": "hm hm", "tool_calls": [made]}, finish_reason="tool_calls")
    chat_server.streams(
        {"reasoning_content": "hm "},
        {"reasoning_content": "hm"},
        {"content": "I "},
        {"content": "add"},
        piece("add", "", id="c", index=0),
        piece(None, '{"a"', index=0),
        piece(None, ":1}", index=0),
        finish_reason="tool_calls",
    )
    model = model_at(chat_server, "deepseek")

    whole = await model(USER, "", TOOLS)
    tokens, streamed = await everything(model, "", TOOLS)

    assert streamed == whole
    assert [token.kind for token in tokens] == ["reasoning", "reasoning", "text", "text", "tool_arguments", "tool_arguments"]


@pytest.mark.parametrize(
    ("what", "deltas"),
    [
        (
            "pieces of two calls, interleaved",
            [
                piece("add", "", id="a", index=0),
                piece("sub", "", id="b", index=1),
                piece(None, '{"x"', index=0),
                piece(None, '{"y":2}', index=1),
                piece(None, ":1}", index=0),
            ],
        ),
        (
            "whole calls in one delta",
            [
                {
                    "tool_calls": [
                        {"id": "a", "index": 0, "function": {"name": "add", "arguments": '{"x":1}'}},
                        {"id": "b", "index": 1, "function": {"name": "sub", "arguments": '{"y":2}'}},
                    ]
                }
            ],
        ),
        ("whole calls, no index", [piece("add", '{"x":1}', id="a"), piece("sub", '{"y":2}', id="b")]),
        ("whole calls, the same index", [piece("add", '{"x":1}', id="a", index=0), piece("sub", '{"y":2}', id="b", index=0)]),
        (
            "pieces, no index, id only at first",
            [piece("add", "", id="a"), piece(None, '{"x"'), piece(None, ":1}"), piece("sub", "", id="b"), piece(None, '{"y":2}')],
        ),
        (
            "id and name repeated with each piece",
            [
                piece("add", '{"x"', id="a", index=0),
                piece("add", ":1}", id="a", index=0),
                piece("sub", '{"y":', id="b", index=1),
                piece("sub", "2}", id="b", index=1),
            ],
        ),
        ("arguments as objects", [piece("add", {"x": 1}, id="a"), piece("sub", {"y": 2}, id="b")]),
        ("indices that begin at 1", [piece("add", '{"x":1}', id="a", index=1), piece("sub", '{"y":2}', id="b", index=2)]),
    ],
)
async def test_tool_calls_are_put_together_however_a_server_cuts_them(chat_server: Any, what: str, deltas: list[dict[str, Any]]) -> None:
    chat_server.streams(*deltas, finish_reason="tool_calls")

    tokens, reply = await everything(model_at(chat_server), "", TOOLS)

    assert [(made["id"], made["function"]["name"], made["function"]["arguments"]) for made in reply["tool_calls"]] == [
        ("a", "add", '{"x":1}'),
        ("b", "sub", '{"y":2}'),
    ], what
    arguments = ["", ""]
    for token in tokens:
        arguments[token.index] += token.text
    assert arguments == ['{"x":1}', '{"y":2}']


@pytest.mark.parametrize("marks", [{"index": 0}, {}])
async def test_a_name_repeated_with_each_piece_is_one_call(chat_server: Any, marks: dict[str, Any]) -> None:
    chat_server.streams(piece("add", '{"x"', **marks), piece("add", ":1}", **marks), piece("add", "", **marks), finish_reason="tool_calls")

    _, reply = await everything(model_at(chat_server), "", TOOLS)

    assert [made["function"]["arguments"] for made in reply["tool_calls"]] == ['{"x":1}']


@pytest.mark.parametrize("marks", [{"index": 0}, {}])
async def test_whole_calls_of_one_tool_without_ids_stay_apart(chat_server: Any, marks: dict[str, Any]) -> None:
    chat_server.streams(piece("add", '{"x":1}', **marks), piece("add", '{"x":2}', **marks), finish_reason="tool_calls")

    _, reply = await everything(model_at(chat_server), "", TOOLS)

    assert [made["function"]["arguments"] for made in reply["tool_calls"]] == ['{"x":1}', '{"x":2}']
    assert len({made["id"] for made in reply["tool_calls"]}) == 2


async def test_malformed_arguments_come_as_the_model_gave_them(chat_server: Any) -> None:
    chat_server.streams(piece("add", '{"x": 1', id="a", index=0), finish_reason="tool_calls")

    _, reply = await everything(model_at(chat_server), "", TOOLS)

    assert reply["tool_calls"][0]["function"]["arguments"] == '{"x": 1'


async def test_a_thought_told_under_two_names_is_one_token(chat_server: Any) -> None:
    chat_server.streams({"reasoning": "hm", "reasoning_content": "hm"}, {"content": "4"})

    tokens, reply = await everything(model_at(chat_server, "vllm"))

    assert tokens == [Token("reasoning", "hm"), Token("text", "4")]
    assert reply["reasoning"] == "hm"


async def test_sealed_thoughts_are_joined_as_they_would_have_come_whole(chat_server: Any) -> None:
    text = {"type": "reasoning.text", "index": 0, "format": "anthropic-claude-v1"}
    sealed = {"type": "reasoning.encrypted", "data": "AA", "index": 1}
    signature = {"google": {"thought_signature": "SIG"}}
    chat_server.streams(
        {"reasoning": "let ", "reasoning_details": [{**text, "text": "let "}]},
        {"reasoning": "me", "reasoning_details": [{**text, "text": "me"}]},
        {"reasoning_details": [{**text, "signature": "S"}]},
        {"reasoning_details": [sealed]},
        {"reasoning_details": [{**sealed, "data": "BB"}]},
        piece("add", "{}", id="a", index=0, extra_content=signature),
        finish_reason="tool_calls",
    )
    chat_server.says({"content": "done"})
    model = model_at(chat_server, "openrouter")

    _, reply = await everything(model, "", TOOLS)
    stored = json.loads(json.dumps(reply))
    await model([*USER, {"role": "assistant", **{key: stored[key] for key in ("content", "tool_calls", "provider_state")}}])

    sent = chat_server.requests[1]["messages"][1]
    assert sent["reasoning_details"] == [{**text, "text": "let me", "signature": "S"}, sealed, {**sealed, "data": "BB"}]
    assert sent["tool_calls"][0]["extra_content"] == signature


@pytest.mark.parametrize("ends", ["silent", "broken"])
@pytest.mark.parametrize("deltas", [(), ({"content": "Hel"},), ({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "add", "arguments": "{"}}]},)])
async def test_a_stream_cut_in_the_middle_may_be_tried_again(chat_server: Any, ends: str, deltas: tuple[dict[str, Any], ...]) -> None:
    chat_server.streams(*deltas, ends=ends)

    with pytest.raises(ModelUnavailable, match=r"cut|broke the connection"):
        await everything(model_at(chat_server))


async def test_counts_at_the_end_are_an_ending_too(chat_server: Any) -> None:
    chat_server.streams({"content": "hi"}, finish_reason=None, usage={"prompt_tokens": 1, "completion_tokens": 1})

    _, reply = await everything(model_at(chat_server))

    assert (reply["content"], reply["finish_reason"]) == ("hi", None)


@pytest.mark.parametrize(
    ("chunk", "kind"),
    [
        ({"error": {"message": "overloaded", "code": 502}}, ModelUnavailable),
        ({"error": {"message": "bad", "type": "invalid_request_error"}}, ModelRejected),
        ('{"choi', ModelUnavailable),
    ],
)
async def test_an_error_in_the_stream_is_raised(chat_server: Any, chunk: Any, kind: type[Exception]) -> None:
    chat_server.streams({"content": "Hel"}, finish_reason=None, tail=(chunk,))

    with pytest.raises(kind, match=r"overloaded|bad|not JSON"):
        await everything(model_at(chat_server))


async def test_odd_chunks_are_passed_over(chat_server: Any) -> None:
    chat_server.streams(
        {"content": "hi"}, tail=([], "3", {"choices": None}, {"choices": [{"index": 1, "delta": {"content": "second"}}]}, {"choices": [{"delta": None}]})
    )

    tokens, reply = await everything(model_at(chat_server))

    assert (tokens, reply["content"]) == ([Token("text", "hi")], "hi")


async def test_a_server_that_refuses_stream_options_can_be_spared_them(chat_server: Any) -> None:
    chat_server.streams({"content": "hi"})

    await everything(model_at(chat_server), stream_options=None)

    assert chat_server.requests[0] == {"model": "m", "messages": USER, "stream": True}


async def test_an_empty_stream_may_be_tried_again(chat_server: Any) -> None:
    chat_server.streams({"content": ""})

    with pytest.raises(ModelUnavailable, match="empty answer"):
        await everything(model_at(chat_server))


@pytest.mark.parametrize("limits", [{"timeout_s": 0.2}, {"silence_s": 0.1}])
async def test_a_stream_that_falls_silent_runs_out_of_time(chat_server: Any, limits: dict[str, Any]) -> None:
    chat_server.stalls({"content": "Hel"})
    model = model_at(chat_server, **limits)
    parts = model.stream(USER)

    assert await anext(parts) == Token("text", "Hel")
    with pytest.raises(ModelUnavailable, match=r"timeout_s|silence_s"):
        await anext(parts)


async def test_a_stream_left_early_is_closed(chat_server: Any) -> None:
    chat_server.stalls({"content": "Hel"})
    model = model_at(chat_server)

    async with contextlib.aclosing(model.stream(USER)) as parts:
        async for _ in parts:
            break

    await asyncio.wait_for(model.aclose(), 5)


async def test_a_status_before_the_stream_is_mapped_as_for_a_call(chat_server: Any) -> None:
    chat_server.sends({"error": {"message": "slow down"}}, status=429, headers={"retry-after-ms": "1500"})

    with pytest.raises(ModelUnavailable, match="slow down") as failed:
        await everything(model_at(chat_server))

    assert (failed.value.status, failed.value.retry_after_s) == (429, 1.5)


async def test_old_style_function_calls_are_understood(chat_server: Any) -> None:
    chat_server.streams({"function_call": {"name": "add", "arguments": '{"x"'}}, {"function_call": {"arguments": ":1}"}}, finish_reason="function_call")

    _, reply = await everything(model_at(chat_server))

    assert reply["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"x":1}'}


async def test_a_refusal_streams_as_text(chat_server: Any) -> None:
    chat_server.streams({"refusal": "I will "}, {"refusal": "not."})

    tokens, reply = await everything(model_at(chat_server))

    assert "".join(token.text for token in tokens) == reply["content"] == "I will not."
