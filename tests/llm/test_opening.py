"""`open_model`: a name in, a ready model out."""

import subprocess
import sys
from typing import Any

import pytest

from agent.errors import BadInput, ModelNotConfigured, ModelUnavailable
from agent.llm.contract import StreamingModel
from agent.llm.fallback import Fallback
from agent.llm.opening import open_model
from agent.llm.retry import Patience, Retrying

USER = [{"role": "user", "content": "hello"}]


async def test_a_name_and_an_address_are_enough_for_a_server_of_ones_own(chat_server: Any) -> None:
    chat_server.says({"content": "hi"}, usage={"prompt_tokens": 1, "completion_tokens": 1})
    model = open_model("ollama:llama3", base_url=chat_server.url)

    reply = await model(messages=USER, model="ollama:llama3", tools=None)
    await model.aclose()

    assert isinstance(model, StreamingModel)
    assert (reply["content"], reply["model"], reply["cost"], reply["attempts"]) == ("hi", "ollama:llama3", 0.0, 1)
    assert chat_server.requests[0]["model"] == "llama3"


async def test_an_opened_model_answers_as_its_name(chat_server: Any) -> None:
    for _ in range(4):
        chat_server.says({"content": "hi"})
    model = open_model("vllm:mine", base_url=chat_server.url)

    answered = [(await model(messages=USER, model=asked))["model"] for asked in ("gpt-4o", "anthropic:claude", "vllm:mine", "vllm:other")]

    assert answered == ["vllm:mine", "vllm:mine", "vllm:mine", "vllm:other"]


async def test_without_a_name_the_default_counts(chat_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEASONED_MODEL", "openai-compatible:mine")
    monkeypatch.setenv("OPENAI_COMPATIBLE_BASE_URL", chat_server.url)
    chat_server.says({"content": "hi"})

    assert (await open_model()(USER, "gpt-4o"))["model"] == "openai-compatible:mine"


async def test_retries_are_part_of_a_ready_model(chat_server: Any) -> None:
    chat_server.sends("down", status=503)
    chat_server.says({"content": "hi"})
    chat_server.sends("down", status=503)

    patient = open_model("vllm:m", base_url=chat_server.url, retries=Patience(retries=1, first_wait_s=0))
    once = open_model("vllm:m", base_url=chat_server.url, retries=0)

    assert (await patient(USER))["attempts"] == 2
    with pytest.raises(ModelUnavailable):
        await once(USER)
    assert len(chat_server.requests) == 3


async def test_a_chain_passes_over_what_is_down_and_what_has_no_key(chat_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_BASE_URL", chat_server.url)
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:9/v1")
    chat_server.says({"content": "hi"})

    model = open_model("openai:gpt-4o,ollama:a,vllm:b", retries=0)
    reply = await model(messages=USER, model="openai:gpt-4o,ollama:a,vllm:b")

    assert isinstance(model, Fallback)
    assert (reply["model"], reply["attempts"]) == ("vllm:b", 2)
    assert chat_server.requests[0]["model"] == "b"


async def test_when_a_whole_chain_fails_each_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:9/v1")

    with pytest.raises(ModelUnavailable, match=r"openai:gpt-4o: .*OPENAI_API_KEY(?s:.*)ollama:a: .*cannot be reached"):
        await open_model(["openai:gpt-4o", "ollama:a"], retries=0)(USER)


def test_a_chain_of_which_nothing_can_be_used_is_refused_at_once() -> None:
    with pytest.raises(ModelNotConfigured, match=r"OPENAI_API_KEY(?s:.*)DEEPSEEK_API_KEY"):
        open_model("openai:gpt-4o,deepseek")


def test_a_key_is_never_given_to_a_chain() -> None:
    with pytest.raises(BadInput, match="for one model, not for a chain") as failed:
        open_model("openai:gpt-4o,ollama:a", api_key="sk-secret-secret")

    assert "sk-secret" not in str(failed.value)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("gpt-4o", {}, "did you mean 'openai:gpt-4o'"),
        ("ollama:a", {"time_out": 3}, "takes no time_out; it takes .*timeout_s"),
        ("ollama:a,vllm:b", {"time_out": 3}, "no model of the chain takes time_out"),
        ("ollama:a", {"retries": -1}, "retries is -1"),
        ("ollama:a", {"provider": "openai"}, "takes no provider"),
    ],
)
def test_what_cannot_be_used_is_told_with_what_can(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        open_model(name, **options)


async def test_options_of_a_chain_go_to_the_models_that_know_them(chat_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_BASE_URL", chat_server.url)
    chat_server.hangs()

    with pytest.raises(ModelUnavailable, match=r"0\.05"):
        await open_model("vllm:b,openai:x", retries=0, timeout_s=0.05)(USER)


@pytest.mark.parametrize(("name", "extra"), [("openai:x", "openai"), ("anthropic:x", "providers"), ("local", "local")])
def test_a_missing_extra_is_told_with_the_command(name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")

    with pytest.raises(ModelNotConfigured, match=rf"pip install 'seasoned\[{extra}\]'"):
        open_model(name)


@pytest.mark.parametrize("name", ["local", "local:/models/mine.gguf"])
def test_the_embedded_model_is_opened_by_its_name(name: str) -> None:
    model = open_model(name, context_tokens=2048)

    assert model.name == name
    with pytest.raises(BadInput, match="takes no api_key"):
        open_model(name, api_key="sk-secret-secret")


def test_other_formats_are_opened_through_their_own_adapter() -> None:
    pytest.importorskip("agent.llm.providers")

    assert open_model("claude:claude-x", api_key="sk-ant-test", base_url="http://127.0.0.1:9", timeout_s=5).name == "anthropic:claude-x"
    with pytest.raises(ModelNotConfigured, match="ANTHROPIC_API_KEY"):
        open_model("anthropic:claude-x")


def test_opening_a_model_loads_no_vendor() -> None:
    code = (
        "import sys; from agent.llm.opening import open_model; open_model('ollama:a,vllm:b'); "
        "print([name for name in ('openai', 'httpx2', 'pydantic_ai', 'genai_prices', 'xllamacpp') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"


def test_what_is_opened_shows_no_key() -> None:
    model = open_model("openai:m", api_key="sk-secret-secret")

    assert isinstance(model, Retrying)
    assert "secret" not in repr(model)
    assert model.name == "openai:m"
