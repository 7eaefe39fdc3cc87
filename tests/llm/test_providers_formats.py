"""Each provider's own format, spoken by a server in this process: what it sends is understood, and goes back on turn 2."""

import asyncio
import binascii
import json
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

pytest.importorskip("pydantic_ai", reason="needs the extra providers")

from agent.errors import ModelUnavailable
from agent.llm.contract import Reply, Token
from agent.llm.providers import ProviderModel

KEY = "sk-test-0123456789abcdef"
TOOL = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Read.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    },
}
A, B = {"path": "a.txt"}, {"path": "b.txt"}


def anthropic(*, done: bool = False) -> dict[str, Any]:
    parts = [
        {"type": "thinking", "thinking": "Hmm", "signature": "U0lHTg=="},
        {"type": "text", "text": "Looking"},
        {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": A},
        {"type": "tool_use", "id": "toolu_2", "name": "read_file", "input": B},
    ]
    usage = {"input_tokens": 3, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 20}
    content = [{"type": "text", "text": "Done"}] if done else parts
    reason = "end_turn" if done else "tool_use"
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }


def anthropic_stream() -> list[tuple[str, dict[str, Any]]]:
    whole = anthropic()
    events: list[tuple[str, dict[str, Any]]] = [("message_start", {"message": {**whole, "content": [], "stop_reason": None}})]
    for index, part in enumerate(whole["content"]):
        empty = {**part, **{key: {} if key == "input" else "" for key in ("thinking", "signature", "text", "input") if key in part}}
        deltas = {
            "thinking": [{"type": "thinking_delta", "thinking": "Hmm"}, {"type": "signature_delta", "signature": "U0lHTg=="}],
            "text": [{"type": "text_delta", "text": "Loo"}, {"type": "text_delta", "text": "king"}],
            "tool_use": [{"type": "input_json_delta", "partial_json": json.dumps(part.get("input"))}],
        }
        events.append(("content_block_start", {"index": index, "content_block": empty}))
        events += [("content_block_delta", {"index": index, "delta": delta}) for delta in deltas[part["type"]]]
        events.append(("content_block_stop", {"index": index}))
    events.append(("message_delta", {"delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 20}}))
    return [*events, ("message_stop", {})]


def google(*, done: bool = False) -> dict[str, Any]:
    parts = [
        {"text": "Hmm", "thought": True},
        {"text": "Looking"},
        {"functionCall": {"name": "read_file", "args": A}, "thoughtSignature": "U0lHTg=="},
        {"functionCall": {"name": "read_file", "args": B}},
    ]
    content = {"role": "model", "parts": [{"text": "Done"}] if done else parts}
    usage = {"promptTokenCount": 10, "cachedContentTokenCount": 5, "candidatesTokenCount": 8, "thoughtsTokenCount": 12, "totalTokenCount": 30}
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": usage,
        "modelVersion": "gemini-3-pro",
        "responseId": "r1",
    }


def responses(*, done: bool = False) -> dict[str, Any]:
    said = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Done" if done else "Looking", "annotations": []}],
    }
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hmm"}], "encrypted_content": "U0lHTg=="}
    calls = [
        {"type": "function_call", "id": f"fc_{n}", "call_id": f"call_{n}", "name": "read_file", "arguments": json.dumps(args), "status": "completed"}
        for n, args in ((1, A), (2, B))
    ]
    usage = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 5},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 12},
        "total_tokens": 30,
    }
    output = [said] if done else [thought, said, *calls]
    more = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-5", "output": output, "usage": usage, **more}


def responses_stream() -> list[tuple[str, dict[str, Any]]]:
    whole = responses()
    events: list[tuple[str, dict[str, Any]]] = [("response.created", {"response": {**whole, "status": "in_progress", "output": [], "usage": None}})]
    for index, item in enumerate(whole["output"]):
        at = {"output_index": index, "item_id": item["id"]}
        empty = {**item, **{key: [] for key in ("summary", "content") if key in item}, **({"arguments": ""} if "arguments" in item else {})}
        events.append(("response.output_item.added", {"output_index": index, "item": empty}))
        if item["type"] == "reasoning":
            events.append(("response.reasoning_summary_part.added", {**at, "summary_index": 0, "part": {"type": "summary_text", "text": ""}}))
            events.append(("response.reasoning_summary_text.delta", {**at, "summary_index": 0, "delta": "Hmm"}))
        elif item["type"] == "message":
            events += [("response.output_text.delta", {**at, "content_index": 0, "delta": piece, "logprobs": []}) for piece in ("Loo", "king")]
        else:
            events.append(("response.function_call_arguments.delta", {**at, "delta": item["arguments"]}))
        events.append(("response.output_item.done", {"output_index": index, "item": item}))
    return [*events, ("response.completed", {"response": whole})]


def chat(message: dict[str, Any], *, done: bool = False) -> dict[str, Any]:
    calls = [
        {"id": f"call{n}abcde", "type": "function", "index": n - 1, "function": {"name": "read_file", "arguments": json.dumps(args)}}
        for n, args in ((1, A), (2, B))
    ]
    said = {"role": "assistant", "content": "Done"} if done else {"role": "assistant", "content": "Looking", "tool_calls": calls, **message}
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
    choice = {"index": 0, "message": said, "finish_reason": "stop" if done else "tool_calls", "native_finish_reason": "stop"}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "served", "provider": "x", "choices": [choice], "usage": usage}


def chat_stream(message: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    whole = chat(message)
    said = whole["choices"][0]["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "", **{key: value for key, value in message.items() if key != "content"}}]
    content = said["content"]
    deltas += [{"content": piece} for piece in (("Loo", "king") if isinstance(content, str) else ([content[0]], "Loo", "king"))]
    deltas += [{"tool_calls": [call]} for call in said["tool_calls"]]
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "served", "provider": "x"}
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    last = {
        **head,
        "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls", "native_finish_reason": "x"}],
        "usage": whole["usage"],
        "x_groq": {"id": "r", "usage": whole["usage"]},
    }
    return [("", chunk) for chunk in [*chunks, last]]


def bedrock(*, done: bool = False) -> dict[str, Any]:
    calls = [{"toolUse": {"toolUseId": f"tooluse_{n}", "name": "read_file", "input": args}} for n, args in ((1, A), (2, B))]
    parts = [{"reasoningContent": {"reasoningText": {"text": "Hmm", "signature": "U0lHTg=="}}}, {"text": "Looking"}, *calls]
    usage = {"inputTokens": 5, "cacheReadInputTokens": 5, "outputTokens": 20, "totalTokens": 30}
    message = {"role": "assistant", "content": [{"text": "Done"}] if done else parts}
    return {"output": {"message": message}, "stopReason": "end_turn" if done else "tool_use", "usage": usage, "metrics": {"latencyMs": 1}}


def bedrock_stream() -> list[tuple[str, dict[str, Any]]]:
    events: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant"})]
    for index, part in enumerate(bedrock()["output"]["message"]["content"]):
        call = part.get("toolUse")
        if call:
            events.append(("contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": call["toolUseId"], "name": call["name"]}}}))
            deltas: list[dict[str, Any]] = [{"toolUse": {"input": json.dumps(call["input"])}}]
        elif "text" in part:
            deltas = [{"text": "Loo"}, {"text": "king"}]
        else:
            deltas = [{"reasoningContent": {"text": "Hmm"}}, {"reasoningContent": {"signature": "U0lHTg=="}}]
        events += [("contentBlockDelta", {"contentBlockIndex": index, "delta": delta}) for delta in deltas]
        events.append(("contentBlockStop", {"contentBlockIndex": index}))
    return [*events, ("messageStop", {"stopReason": "tool_use"}), ("metadata", {"usage": bedrock()["usage"], "metrics": {"latencyMs": 1}})]


class Format(NamedTuple):
    model: str
    whole: Callable[..., dict[str, Any]]
    stream: Callable[[], list[tuple[str, dict[str, Any]]]]
    sent_back: str
    """What must be in the second request, once: the signature, or the thought where that is all there is."""
    base: str = ""


def chat_format(model: str, sent_back: str, base: str, **message: Any) -> Format:
    return Format(model, lambda done=False: chat(message, done=done), lambda: chat_stream(message), sent_back, base)


FORMATS = {
    "anthropic": Format("claude-sonnet-5-5", anthropic, anthropic_stream, "U0lHTg=="),
    "google": Format("gemini-3-pro-preview", google, lambda: [("", google())], "U0lHTg=="),
    "openai-responses": Format("gpt-5", responses, responses_stream, "U0lHTg==", "/v1"),
    "bedrock": Format("us.anthropic.claude-sonnet-4-5-20250929-v1:0", bedrock, bedrock_stream, "U0lHTg=="),
    "mistral": chat_format(
        "magistral-medium-latest", "Hmm", "", content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hmm"}]}, {"type": "text", "text": "Looking"}]
    ),
    "groq": chat_format("openai/gpt-oss-120b", "Looking", "", reasoning="Hmm"),
    "deepseek": chat_format("deepseek-reasoner", "Hmm", "/v1", reasoning_content="Hmm"),
    "openrouter": chat_format(
        "anthropic/claude-sonnet-4.5",
        "U0lHTg==",
        "/v1",
        reasoning="Hmm",
        reasoning_details=[{"type": "reasoning.text", "text": "Hmm", "signature": "U0lHTg==", "format": "anthropic-claude-v1", "index": 0}],
    ),
}


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)  # a bearer token is sent over https only


def opened(server: Any, name: str) -> ProviderModel:
    return ProviderModel(
        name, FORMATS[name].model, base_url=server.url.removesuffix("/v1") + FORMATS[name].base, api_key=None if name == "bedrock" else KEY, timeout_s=20
    )


def streams(server: Any, name: str, *, events: int | None = None) -> None:
    """Answer with the format's stream, whole or only its first `events`."""
    told = FORMATS[name].stream()[:events]

    def write(writer: asyncio.StreamWriter) -> None:
        kind = "application/vnd.amazon.eventstream" if name == "bedrock" else "text/event-stream"
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n".encode())
        for number, (event, data) in enumerate(told):
            if name == "bedrock":
                writer.write(_aws_event(event, data))
                continue
            payload = {"type": event, "sequence_number": number, **data} if event else data
            writer.write((f"event: {event}\n" if event else "").encode() + b"data: " + json.dumps(payload).encode() + b"\n\n")
        if events is None and not event and name != "google":
            writer.write(b"data: [DONE]\n\n")

    server.answers.append(write)


def _aws_event(event: str, data: dict[str, Any]) -> bytes:
    """Source: the event stream encoding of Amazon (prelude, headers, payload, two CRC-32)."""
    headers = b"".join(
        bytes([len(key)]) + key.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for key, value in ((":event-type", event), (":content-type", "application/json"), (":message-type", "event"))
    )
    payload = json.dumps(data).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    head = prelude + struct.pack(">I", binascii.crc32(prelude))
    return head + headers + payload + struct.pack(">I", binascii.crc32(head + headers + payload))


def second_turn(reply: Reply) -> list[dict[str, Any]]:
    """Return the conversation after `reply`, as another process would read it from the log."""
    said = json.loads(json.dumps(reply))
    assistant = {"role": "assistant", **{key: said[key] for key in ("content", "tool_calls", "provider_state")}}
    results = [{"role": "tool", "tool_call_id": call["id"], "content": f"text {number}"} for number, call in enumerate(said["tool_calls"])]
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Read both."}, assistant, *results]


async def all_of(model: ProviderModel, *args: Any, **settings: Any) -> tuple[list[Token], Reply]:
    *tokens, reply = [part async for part in model.stream(*args, **settings)]
    assert isinstance(reply, dict)
    return [token for token in tokens if isinstance(token, Token)], reply


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", FORMATS)
async def test_thoughts_and_parallel_calls_come_back_on_turn_two(chat_server: Any, name: str, streamed: bool) -> None:
    model = opened(chat_server, name)
    if streamed:
        streams(chat_server, name)
        tokens, reply = await all_of(model, [{"role": "user", "content": "Read both."}], "", [TOOL], max_tokens=1000)
        assert "".join(token.text for token in tokens if token.kind == "text") == "Looking"
        assert {token.index for token in tokens if token.kind == "tool_arguments"} == {0, 1}
    else:
        chat_server.sends(FORMATS[name].whole())
        reply = await model([{"role": "user", "content": "Read both."}], "", [TOOL], max_tokens=1000)
    await model.aclose()

    assert reply["content"] == "Looking"
    assert [json.loads(call["function"]["arguments"]) for call in reply["tool_calls"]] == [A, B]
    assert len({call["id"] for call in reply["tool_calls"]}) == 2
    assert reply["finish_reason"] in ("tool_calls", "stop")
    assert (reply["prompt_tokens"], reply["completion_tokens"]) == (10, 20)
    assert reply["reasoning"] == "Hmm"
    assert reply["provider_state"]["provider"] == name

    restarted = opened(chat_server, name)
    chat_server.sends(FORMATS[name].whole(done=True))
    final = await restarted(second_turn(reply), "", [TOOL], max_tokens=1000)
    await restarted.aclose()
    sent = json.dumps(chat_server.requests[-1])

    assert final["content"] == "Done"
    assert sent.count(FORMATS[name].sent_back) == 1
    assert sent.count("Looking") == 1
    assert (sent.count("text 0"), sent.count("text 1")) == (1, 1)
    assert "Be brief." in sent
    assert sent.count("a.txt") == 1


@pytest.mark.parametrize("name", FORMATS)
async def test_another_providers_state_is_dropped_and_the_words_are_told(chat_server: Any, name: str) -> None:
    call = {"id": "call1abcd", "type": "function", "function": {"name": "read_file", "arguments": '{"path": "a.txt"}'}}
    state = {
        "provider": "elsewhere",
        "format": "pydantic-ai",
        "response": {"parts": [{"part_kind": "thinking", "content": "SECRET THOUGHT"}], "kind": "response"},
    }
    history: list[dict[str, Any]] = [
        {"role": "user", "content": "Read."},
        {"role": "assistant", "content": "Looking", "tool_calls": [call], "provider_state": state},
        {"role": "tool", "tool_call_id": "call1abcd", "content": "text"},
    ]
    model = opened(chat_server, name)
    chat_server.sends(FORMATS[name].whole(done=True))
    reply = await model(history, "", [TOOL], max_tokens=1000)
    await model.aclose()
    sent = json.dumps(chat_server.requests[-1])

    assert reply["content"] == "Done"
    assert "SECRET" not in sent
    assert (sent.count("Looking"), sent.count("a.txt")) == (1, 1)


@pytest.mark.parametrize("arguments", ['{"path": ', "[1]", "", None, '"text"'])
@pytest.mark.parametrize("name", FORMATS)
async def test_malformed_arguments_in_the_history_do_not_break_a_call(chat_server: Any, name: str, arguments: str | None) -> None:
    call = {"id": "call1abcd", "type": "function", "function": {"name": "read_file", "arguments": arguments}}
    history: list[dict[str, Any]] = [
        {"role": "user", "content": "Read."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call1abcd", "content": "The arguments cannot be used."},
    ]
    model = opened(chat_server, name)
    chat_server.sends(FORMATS[name].whole(done=True))
    reply = await model(history, "", [TOOL], max_tokens=1000)
    await model.aclose()

    assert reply["content"] == "Done"


@pytest.mark.parametrize("name", FORMATS)
async def test_a_stream_cut_in_the_middle_may_be_tried_again(chat_server: Any, name: str) -> None:
    model = opened(chat_server, name)
    if name == "google":
        cut = google()
        del cut["candidates"][0]["finishReason"]
        chat_server.answers.append(
            lambda writer: writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: " + json.dumps(cut).encode() + b"\n\n"
            )
        )
    else:
        streams(chat_server, name, events=4)

    with pytest.raises(ModelUnavailable):
        await all_of(model, [{"role": "user", "content": "Read both."}], "", [TOOL], max_tokens=1000)
    await model.aclose()
