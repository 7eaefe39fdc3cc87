"""The adapter for chat completions: whom it reaches, as whom, and at what price."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from agent.errors import BadInput, ModelNotConfigured, ModelRejected, ModelUnavailable
from agent.llm.openai import OpenAICompatible

USER = [{"role": "user", "content": "hello"}]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]


def model_at(server: Any, provider: str = "openai", name: str | None = "m", **options: Any) -> OpenAICompatible:
    return OpenAICompatible(name, provider=provider, base_url=server.url, api_key=options.pop("api_key", "sk-test-0123456789abcdef"), **options)


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


async def test_a_server_on_this_machine_is_reached_past_a_proxy(chat_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    chat_server.says({"content": "hi"})

    assert (await model_at(chat_server)(USER))["content"] == "hi"


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
