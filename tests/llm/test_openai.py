"""The adapter for chat completions: whole answers."""

import asyncio
import json
import pickle
import subprocess
import sys
from typing import Any

import pytest

from agent.errors import BadInput, ModelError, ModelNotConfigured, ModelRejected, ModelUnavailable
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


@pytest.mark.parametrize(
    "message",
    [{"content": None}, {"content": ""}, {"content": [], "tool_calls": []}, {"content": None, "tool_calls": None, "reasoning_content": "hm"}],
)
async def test_an_empty_answer_may_be_tried_again(chat_server: Any, message: dict[str, Any]) -> None:
    chat_server.says(message)

    with pytest.raises(ModelUnavailable, match="empty answer"):
        await model_at(chat_server)(USER)


@pytest.mark.parametrize("choices", [[], [{}], [{"message": None}], ["no"]])
async def test_an_answer_without_choices_may_be_tried_again(chat_server: Any, choices: list[Any]) -> None:
    chat_server.sends({"id": "x", "choices": choices})

    with pytest.raises(ModelUnavailable, match="without any choice"):
        await model_at(chat_server)(USER)


@pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
async def test_an_ending_that_would_repeat_is_told_instead(chat_server: Any, finish_reason: str) -> None:
    chat_server.says({"content": None}, finish_reason=finish_reason)

    reply = await model_at(chat_server)(USER)

    assert (reply["content"], reply["finish_reason"]) == (None, finish_reason)


async def test_a_refusal_is_the_content(chat_server: Any) -> None:
    chat_server.says({"content": None, "refusal": "I will not."})

    reply = await model_at(chat_server)(USER)

    assert (reply["content"], reply["finish_reason"]) == ("I will not.", "refusal")


@pytest.mark.parametrize("payload", ["<html>welcome</html>", [], {"detail": "moved"}, "null", "3", {"choices": "none"}, ""])
async def test_what_is_no_chat_completion_points_at_the_base_url(chat_server: Any, payload: Any) -> None:
    chat_server.sends(payload)

    with pytest.raises(ModelRejected, match=r"not a chat completion.*base URL"):
        await model_at(chat_server)(USER)


async def test_an_error_inside_an_answer_counts_by_its_code(chat_server: Any) -> None:
    chat_server.sends({"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "rate limited upstream"}}})
    chat_server.sends({"error": {"message": "bad field", "type": "invalid_request_error"}})

    with pytest.raises(ModelUnavailable, match="rate limited upstream") as passing:
        await model_at(chat_server)(USER)
    with pytest.raises(ModelRejected, match="bad field"):
        await model_at(chat_server)(USER)
    assert passing.value.status == 429


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, ModelUnavailable) for status in (408, 409, 429, 500, 503, 529)),
        *((status, ModelRejected) for status in (307, 400, 401, 402, 403, 404, 422)),
    ],
)
async def test_a_status_says_whether_to_try_again_in_the_providers_own_words(chat_server: Any, status: int, kind: type[ModelError]) -> None:
    chat_server.sends({"error": {"message": "because of the moon"}}, status=status, headers={"location": "http://127.0.0.1:1/"})

    with pytest.raises(ModelError, match="because of the moon") as failed:
        await model_at(chat_server)(USER)

    assert type(failed.value) is kind
    assert failed.value.status == status
    assert len(chat_server.requests) == 1


async def test_a_rate_limit_says_how_long_to_wait(chat_server: Any) -> None:
    chat_server.sends({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "7"})

    with pytest.raises(ModelUnavailable) as failed:
        await model_at(chat_server)(USER)

    assert failed.value.retry_after_s == 7


async def test_a_rate_limit_for_lack_of_money_is_final(chat_server: Any) -> None:
    chat_server.sends({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, status=429)

    with pytest.raises(ModelRejected, match="credit"):
        await model_at(chat_server)(USER)


@pytest.mark.parametrize("key", ["sk-test-0123456789abcdef", "0f9e8d7c6b5a4321.zhipu", "quite+unlike/any=other"])
@pytest.mark.parametrize("status", [401, 500])
async def test_no_error_holds_the_key(chat_server: Any, key: str, status: int) -> None:
    words = f"Incorrect API key provided: {key}; header was 'Authorization: Bearer {key}', yours looks like sk-te**************cdef"
    chat_server.sends({"error": {"message": words}}, status=status)

    with pytest.raises(ModelError) as failed:
        await model_at(chat_server, api_key=key)(USER)

    error: BaseException | None = failed.value
    told = repr(model_at(chat_server, api_key=key)) + repr(pickle.loads(pickle.dumps(failed.value)).__dict__)
    while error is not None:
        assert error.__suppress_context__ or error.__context__ is None
        told += repr(error) + str(error) + repr(error.__dict__)
        error = error.__cause__
    assert key not in told
    assert "cdef" not in told
    assert "OPENAI_API_KEY" in told or status == 500


async def test_a_server_that_is_not_there_may_be_tried_again() -> None:
    model = OpenAICompatible("m", provider="vllm", base_url="http://127.0.0.1:9/v1")

    with pytest.raises(ModelUnavailable, match=r"vllm:m at 127\.0\.0\.1:9 cannot be reached"):
        await model(USER)


@pytest.mark.parametrize("how", ["by option", "by setting"])
async def test_a_slow_server_runs_out_of_time(chat_server: Any, how: str) -> None:
    chat_server.hangs()
    model = model_at(chat_server, timeout_s=0.05 if how == "by option" else 60)
    setting: dict[str, Any] = {} if how == "by option" else {"timeout": 0.05}

    with pytest.raises(ModelUnavailable, match=r"within 0.05 s|in time"):
        await model(USER, **setting)


@pytest.mark.parametrize("seconds", [0, -1, "soon", True])
async def test_a_timeout_that_is_none_is_refused(chat_server: Any, seconds: Any) -> None:
    with pytest.raises(BadInput, match="seconds, more than 0"):
        await model_at(chat_server)(USER, timeout=seconds)


async def test_a_cancelled_call_is_cancelled(chat_server: Any) -> None:
    chat_server.hangs()
    running = asyncio.create_task(model_at(chat_server)(USER))
    await asyncio.wait_for(chat_server.asked.wait(), 10)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_connection_that_breaks_off_may_be_tried_again(chat_server: Any) -> None:
    chat_server.answers.append(lambda writer: writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"))

    with pytest.raises(ModelUnavailable, match="broke the connection"):
        await model_at(chat_server)(USER)


async def test_what_cannot_be_sent_is_refused_without_being_sent(chat_server: Any) -> None:
    with pytest.raises(ModelRejected, match="could not be built"):
        await model_at(chat_server)(USER, temperature=object())

    assert chat_server.requests == []


async def test_tools_are_offered_without_thinking_where_the_server_insists(chat_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    words = (
        "Function tools with reasoning_effort are not supported for m in /v1/chat/completions. "
        "To use function tools, use /v1/responses or set reasoning_effort to 'none'."
    )
    refusal = {"error": {"message": words, "type": "invalid_request_error", "param": "reasoning_effort"}}
    chat_server.sends(refusal, status=400)
    chat_server.says({"content": "a"})
    chat_server.says({"content": "b"})
    chat_server.says({"content": "c"})
    model = model_at(chat_server)

    first, second, third = await model(USER, "", TOOLS), await model(USER, "", TOOLS), await model(USER)

    assert [reply["content"] for reply in (first, second, third)] == ["a", "b", "c"]
    assert [request.get("reasoning_effort") for request in chat_server.requests] == [None, "none", "none", None]
    assert "openai-responses:m" in caplog.text

    chat_server.sends(refusal, status=400)
    with pytest.raises(ModelRejected, match="openai-responses:MODEL"):
        await model(USER, "", TOOLS, reasoning_effort="high")


async def test_nothing_of_openais_own_environment_reaches_another_provider(chat_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "OPENAI_API_KEY": "sk-secret-of-openai",
        "OPENAI_ADMIN_KEY": "sk-admin-of-openai",
        "OPENAI_ORG_ID": "org-secret",
        "OPENAI_PROJECT_ID": "proj-secret",
        "OPENAI_CUSTOM_HEADERS": "X-Gateway: gateway-secret\nAuthorization: Bearer custom-secret",
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
    }.items():
        monkeypatch.setenv(name, value)
    chat_server.says({"content": "hi"})
    chat_server.says({"content": "hi"})

    await OpenAICompatible("m", provider="ollama", base_url=chat_server.url)(USER)
    await model_at(chat_server, "deepseek", api_key="deepseek-key")(USER)

    assert "secret" not in str(chat_server.headers)
    assert "authorization" not in chat_server.headers[0]
    assert chat_server.headers[1]["authorization"] == "Bearer deepseek-key"


async def test_keys_and_addresses_come_from_the_environment(chat_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", " from-env \n")
    monkeypatch.setenv("DEEPSEEK_BASE_URL", chat_server.url + "/")
    chat_server.says({"content": "hi"})

    await OpenAICompatible("m", provider="deepseek")(USER)

    assert chat_server.headers[0]["authorization"] == "Bearer from-env"


async def test_a_model_opened_with_a_name_answers_as_that_name(chat_server: Any) -> None:
    asked = ["", "gpt-4o", "openai:m", "openai:other", "anthropic:claude", "llama3:8b"]
    for _ in asked:
        chat_server.says({"content": "hi"})
    model = model_at(chat_server)

    answered = [(await model(USER, name))["model"] for name in asked]

    assert answered == ["openai:m", "openai:m", "openai:m", "openai:other", "openai:m", "openai:m"]


async def test_a_model_opened_without_a_name_takes_what_it_is_asked_for(chat_server: Any) -> None:
    chat_server.says({"content": "hi"})
    model = model_at(chat_server, "vllm", None)

    reply = await model(USER, "qwen2.5")

    assert reply["model"] == "vllm:qwen2.5"
    with pytest.raises(BadInput, match="no model is named"):
        await model(USER)


def test_bad_openings_say_what_to_do() -> None:
    with pytest.raises(BadInput, match="does not speak chat completions"):
        OpenAICompatible("m", provider="anthropic")
    with pytest.raises(ModelNotConfigured, match="OPENAI_API_KEY"):
        OpenAICompatible("m")
    with pytest.raises(ModelNotConfigured, match="OPENAI_COMPATIBLE_BASE_URL"):
        OpenAICompatible("m", provider="openai-compatible")
    with pytest.raises(BadInput, match="http"):
        OpenAICompatible("m", provider="vllm", base_url="localhost:8000")


async def test_many_calls_at_once_share_one_client_and_each_loop_has_its_own(chat_server: Any) -> None:
    for _ in range(20):
        chat_server.says({"content": "hi"})
    model = model_at(chat_server)

    replies = await asyncio.gather(*(model(USER) for _ in range(20)))

    assert [reply["content"] for reply in replies] == ["hi"] * 20
    with pytest.raises(ModelUnavailable):  # another loop, no server there: but not "attached to a different loop"
        await asyncio.to_thread(asyncio.run, OpenAICompatible("m", provider="vllm", base_url="http://127.0.0.1:9/v1")(USER))
    await model.aclose()
    chat_server.says({"content": "again"})
    assert (await model(USER))["content"] == "again"


@pytest.mark.parametrize(
    ("provider", "url", "stated", "cost"),
    [
        ("openai", "https://api.openai.com/v1", None, 0.0035),
        ("openai", "http://127.0.0.1:1/v1", None, None),
        ("ollama", "http://127.0.0.1:1/v1", None, 0.0),
        ("ollama", "https://gpu.example/v1", None, None),
        ("openai-compatible", "https://api.openai.com/v1/", None, 0.0035),
        ("openrouter", "https://openrouter.ai/api/v1", 0.25, 0.25),
    ],
)
async def test_a_price_is_the_servers_own_or_the_tables_or_unknown(provider: str, url: str, stated: float | None, cost: float | None) -> None:
    from agent.llm.wire import Receiver

    model = OpenAICompatible("gpt-4o", provider=provider, base_url=url, api_key="some-key-here")
    to: Receiver = model._receiver("")
    reply = {"prompt_tokens": 1000, "completion_tokens": 100, "usage": {}, "cost": None}

    priced = await model._priced(reply, {"usage": {"cost": stated}}, to)

    assert priced["cost"] == cost


@pytest.mark.parametrize("streamed", [False, True])
def test_the_first_call_does_not_block_the_loop(streamed: bool) -> None:
    """The import of the client and of the prices takes a second and more: in a process that has neither, the loop's clock goes on."""
    code = f"""
import asyncio, time
from agent.llm.openai import OpenAICompatible
from agent.llm.prices import Tariff, TokenUse, cost_usd

async def tick(gaps):
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.005)
        gaps.append(time.perf_counter() - began)

async def main():
    gaps = []
    ticking = asyncio.create_task(tick(gaps))
    model = OpenAICompatible("m", provider="vllm", base_url="http://127.0.0.1:9/v1")
    try:
        if {streamed}:
            async for _ in model.stream([]): pass
        else:
            await model([])
    except Exception as error:
        assert "cannot be reached" in str(error), error
    await cost_usd("gpt-4o", TokenUse(input_tokens=1, output_tokens=1), Tariff(provider="openai"))
    ticking.cancel()
    print(len(gaps))

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert int(done.stdout) > 20
