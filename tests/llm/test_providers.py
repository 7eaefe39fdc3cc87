"""What holds for every provider: errors, retries, empty answers, images, settings, prices."""

import asyncio
import json
import sys
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="needs the extra providers")

from agent.errors import BadInput, ModelNotConfigured, ModelRejected, ModelUnavailable, Unsupported
from agent.llm.provider_messages import model_messages, reply_of
from agent.llm.providers import ProviderModel

KEY = "sk-test-0123456789abcdef"
MODELS = {
    "anthropic": "claude-sonnet-5-5",
    "google": "gemini-3-pro-preview",
    "openai-responses": "gpt-5",
    "bedrock": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "mistral": "mistral-medium-latest",
    "groq": "openai/gpt-oss-120b",
    "deepseek": "deepseek-chat",
    "openrouter": "anthropic/claude-sonnet-4.5",
}
HI = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "read_file", "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": KEY,
    }.items():
        monkeypatch.setenv(name, value)


def opened(server: Any, name: str, **options: Any) -> ProviderModel:
    base = server.url if name in ("openai-responses", "deepseek", "openrouter") else server.url.removesuffix("/v1")
    return ProviderModel(name, MODELS[name], base_url=base, api_key=None if name == "bedrock" else KEY, **{"timeout_s": 20, **options})


async def asked(model: ProviderModel, *, streamed: bool) -> None:
    if streamed:
        async for _ in model.stream(HI, max_tokens=100):
            pass
    else:
        await model(HI, max_tokens=100)


def failure(name: str, words: str) -> dict[str, Any]:
    match name:
        case "google":
            return {"error": {"code": 429, "message": words, "status": "RESOURCE_EXHAUSTED"}}
        case "anthropic":
            return {"type": "error", "error": {"type": "rate_limit_error", "message": words}}
        case "bedrock" | "mistral":
            return {"message": words}
        case _:
            return {"error": {"message": words, "type": "x", "code": None}}


def chat(content: str | None = "Done", **usage: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "mistral-medium-latest",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage or {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def anthropic(text: str = "Done") -> dict[str, Any]:
    usage = {"input_tokens": 1000, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 100}
    content = [{"type": "text", "text": text}] if text else []
    head = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929", "stop_reason": "end_turn", "stop_sequence": None}
    return {**head, "content": content, "usage": usage}


# ---- errors


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", MODELS)
async def test_too_many_requests_may_be_tried_again_after_what_is_asked_for(chat_server: Any, name: str, streamed: bool) -> None:
    model = opened(chat_server, name)
    chat_server.sends(failure(name, "slow down please"), status=429, headers={"retry-after": "7"})

    with pytest.raises(ModelUnavailable, match="slow down please") as caught:
        await asked(model, streamed=streamed)
    await model.aclose()

    assert (caught.value.status, caught.value.retry_after_s) == (429, 7.0)
    assert len(chat_server.requests) == 1  # the vendor's client did not try again by itself


@pytest.mark.parametrize("name", MODELS)
async def test_a_server_fault_may_be_tried_again(chat_server: Any, name: str) -> None:
    model = opened(chat_server, name)
    chat_server.sends(failure(name, "overloaded"), status=503)

    with pytest.raises(ModelUnavailable, match="overloaded") as caught:
        await model(HI, max_tokens=100)
    await model.aclose()

    assert caught.value.status == 503
    assert len(chat_server.requests) == 1


@pytest.mark.parametrize("name", MODELS)
async def test_a_wrong_key_is_refused_and_never_told(chat_server: Any, name: str) -> None:
    model = opened(chat_server, name)
    chat_server.sends(failure(name, f"invalid key {KEY}"), status=401)

    with pytest.raises(ModelRejected, match="check the key") as caught:
        await model(HI, max_tokens=100)
    await model.aclose()

    assert caught.value.status == 401
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("name", MODELS)
async def test_a_server_that_is_not_there_may_be_tried_again(chat_server: Any, name: str) -> None:
    model = opened(chat_server, name)
    chat_server.answers.append(lambda writer: writer.close())

    with pytest.raises(ModelUnavailable) as caught:
        await model(HI, max_tokens=100)
    await model.aclose()

    assert len(chat_server.requests) == 1
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("name", ["anthropic", "google", "mistral", "openai-responses"])
async def test_an_answer_that_never_comes_is_given_up(chat_server: Any, name: str) -> None:
    model = opened(chat_server, name, timeout_s=0.3)
    chat_server.hangs()

    with pytest.raises(ModelUnavailable):
        await model(HI, max_tokens=100)
    await model.aclose()


async def test_a_cancelled_call_is_cancelled_at_once(chat_server: Any) -> None:
    model = opened(chat_server, "mistral")
    chat_server.hangs()
    call = asyncio.ensure_future(model(HI))
    await chat_server.asked.wait()
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    await model.aclose()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_empty_answer_may_be_tried_again(chat_server: Any, streamed: bool) -> None:
    model = opened(chat_server, "mistral")
    if streamed:
        chat_server.streams({"role": "assistant", "content": ""})
    else:
        chat_server.sends(chat(content=""))

    with pytest.raises(ModelUnavailable):
        await asked(model, streamed=streamed)
    await model.aclose()


async def test_an_answer_that_is_no_json_may_be_tried_again(chat_server: Any) -> None:
    model = opened(chat_server, "anthropic")
    chat_server.sends("<html>a gateway</html>")

    with pytest.raises(ModelUnavailable):
        await model(HI, max_tokens=100)
    await model.aclose()


# ---- images, settings, prices


@pytest.mark.parametrize("name", ["anthropic", "mistral"])
async def test_images_are_sent_as_the_provider_takes_them(chat_server: Any, name: str) -> None:
    model = opened(chat_server, name)
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/b.png"}},
    ]
    chat_server.sends(anthropic() if name == "anthropic" else chat())
    await model([{"role": "user", "content": parts}], max_tokens=100)
    await model.aclose()
    sent = json.dumps(chat_server.requests[0])

    assert PIXEL in sent
    assert "https://example.com/b.png" in sent


@pytest.mark.parametrize(
    ("part", "error", "words"),
    [
        ({"type": "input_audio", "input_audio": {}}, Unsupported, "input_audio"),
        ({"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}, BadInput, "https URL"),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, BadInput, "https URL"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,???"}}, BadInput, "base64"),
    ],
)
def test_parts_that_cannot_be_sent_are_named(part: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        model_messages([{"role": "user", "content": [part]}], "anthropic")


async def test_settings_reach_the_provider_in_its_own_words(chat_server: Any) -> None:
    model = opened(chat_server, "mistral")
    chat_server.sends(chat())
    shape = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"], "additionalProperties": False}
    await model(
        HI,
        "",
        [TOOL],
        temperature=0.5,
        max_completion_tokens=77,
        seed=3,
        stop="END",
        tool_choice="required",
    )
    chat_server.sends(chat('{"total": 3}'))
    shaped = await model(HI, response_format={"type": "json_schema", "json_schema": {"name": "sum", "schema": shape}})
    await model.aclose()
    first, second = chat_server.requests

    assert (first["temperature"], first["max_tokens"], first["random_seed"], first["stop"]) == (0.5, 77, 3, ["END"])
    assert first["tool_choice"] in ("required", "any")
    assert "total" in json.dumps(second)
    assert shaped["content"] == '{"total": 3}'


async def test_a_wished_tool_is_told(chat_server: Any) -> None:
    model = opened(chat_server, "anthropic")
    chat_server.sends(anthropic())
    await model(
        HI,
        "anthropic:claude-haiku-4-5",
        [TOOL, {**TOOL, "function": {"name": "other"}}],
        max_tokens=100,
        tool_choice={"type": "function", "function": {"name": "read_file"}},
        parallel_tool_calls=False,
    )
    await model.aclose()

    assert chat_server.requests[0]["tool_choice"] == {"type": "tool", "name": "read_file", "disable_parallel_tool_use": True}


async def test_a_response_format_that_cannot_be_told_is_refused(chat_server: Any) -> None:
    model = opened(chat_server, "anthropic")

    with pytest.raises(Unsupported, match="json_schema"):
        await model(HI, response_format={"type": "json_object"})
    await model.aclose()


async def test_a_call_is_priced_offline_and_unknown_stays_unknown(chat_server: Any) -> None:
    priced, elsewhere = opened(chat_server, "anthropic", priced_as="anthropic"), opened(chat_server, "anthropic")
    for _ in range(2):
        chat_server.sends(anthropic())
    known = await priced(HI, "anthropic:claude-haiku-4-5", max_tokens=100)
    unknown = await elsewhere(HI, max_tokens=100)
    await priced.aclose()
    await elsewhere.aclose()

    assert known["cost"] == pytest.approx(1000 * 1e-6 + 100 * 5e-6)
    assert unknown["cost"] is None


# ---- what is kept for the provider


def state_of(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"provider": "anthropic", "format": "pydantic-ai", "response": {"kind": "response", "parts": list(parts), "provider_name": "anthropic"}}


THOUGHT = {"part_kind": "thinking", "content": "Hmm", "signature": "SIG", "provider_name": "anthropic"}
SAID = {"part_kind": "text", "content": "Looking"}
CALLED = {"part_kind": "tool-call", "tool_name": "read_file", "args": '{"path": ', "tool_call_id": "old"}
CALL = {"id": "new", "type": "function", "function": {"name": "read_file", "arguments": '{"path": '}}


def sent(content: str | None, calls: list[dict[str, Any]], state: Any) -> str:
    from pydantic_ai.messages import ModelMessagesTypeAdapter

    messages = model_messages([{"role": "assistant", "content": content, "tool_calls": calls, "provider_state": state}], "anthropic")
    return ModelMessagesTypeAdapter.dump_json(messages).decode()


def test_state_takes_the_ids_of_the_message_and_malformed_arguments_become_an_object() -> None:
    told = sent("Looking", [CALL], state_of(THOUGHT, SAID, CALLED))

    assert "SIG" in told
    assert '"tool_call_id":"new"' in told
    assert '"args":{"malformed_arguments":' in told


@pytest.mark.parametrize(
    "state",
    [
        state_of(THOUGHT, {**SAID, "content": "Something else"}, CALLED),
        state_of(THOUGHT, SAID),
        state_of(THOUGHT, SAID, {**CALLED, "tool_name": "other"}),
        state_of({"part_kind": "no such part"}),
        {"provider": "anthropic", "format": "pydantic-ai"},
        {"provider": "anthropic", "format": "chat", "message": {}},
        "damaged",
    ],
)
def test_state_that_does_not_fit_the_message_is_dropped(state: Any) -> None:
    told = sent("Looking", [CALL], state)

    assert "SIG" not in told
    assert told.count("Looking") == 1
    assert '"tool_call_id":"new"' in told


def test_tokens_that_were_not_told_are_unknown() -> None:
    from pydantic_ai.messages import ModelResponse, TextPart

    reply = reply_of(ModelResponse(parts=[TextPart("hi")]), "anthropic", "m")

    assert (reply["prompt_tokens"], reply["completion_tokens"], reply["usage"]) == (None, None, {})
    assert json.loads(json.dumps(reply)) == reply


# ---- opening


def test_a_missing_key_an_odd_address_and_a_missing_extra_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(ModelNotConfigured, match="ANTHROPIC_API_KEY"):
        ProviderModel("anthropic", "claude-sonnet-5-5")
    with pytest.raises(BadInput, match="http"):
        ProviderModel("anthropic", "claude-sonnet-5-5", api_key=KEY, base_url="ftp://x")
    monkeypatch.setitem(sys.modules, "pydantic_ai", None)
    with pytest.raises(ModelNotConfigured, match=r"seasoned\[providers\]"):
        ProviderModel("anthropic", "claude-sonnet-5-5", api_key=KEY)


async def test_a_provider_whose_client_is_missing_or_unknown_is_named() -> None:
    with pytest.raises(BadInput, match="no provider 'nobody'"):
        await ProviderModel("nobody", "x", api_key=KEY)(HI)


async def test_bedrock_without_credentials_says_what_to_set(monkeypatch: pytest.MonkeyPatch, chat_server: Any) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    model = opened(chat_server, "bedrock")

    with pytest.raises(ModelNotConfigured, match="AWS_BEARER_TOKEN_BEDROCK"):
        await model(HI)
    await model.aclose()


async def test_a_model_answers_as_the_name_it_was_opened_with(chat_server: Any) -> None:
    model = opened(chat_server, "mistral")
    for _ in range(2):
        chat_server.sends(chat())
    await model(HI, "gpt-4o")
    await model(HI, "mistral:ministral-8b-latest")
    await model.aclose()

    assert [request["model"] for request in chat_server.requests] == ["mistral-medium-latest", "ministral-8b-latest"]
    assert model.name == "mistral:mistral-medium-latest"
