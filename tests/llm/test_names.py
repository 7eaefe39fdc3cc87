"""Names of models, addresses of providers, and what can be used here."""

from typing import Any

import pytest

from agent.errors import BadInput, ModelNotConfigured
from agent.llm.available import default_model, provider_statuses, require_extra
from agent.llm.endpoints import ENDPOINTS, base_url_of, host_of, is_loopback, key_of
from agent.llm.names import ModelName, answering_model, named_for, parse_chain, parse_name


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("openai:gpt-4o", "openai", "gpt-4o"),
        (" OpenAI : gpt-4o ", "openai", "gpt-4o"),
        ("anthropic:claude-x", "anthropic", "claude-x"),
        ("claude:claude-x", "anthropic", "claude-x"),
        ("gemini:gemini-x", "google", "gemini-x"),
        ("ollama:llama3:8b", "ollama", "llama3:8b"),
        ("openrouter:deepseek/deepseek-r1:free", "openrouter", "deepseek/deepseek-r1:free"),
        ("openai_compatible:my/model", "openai-compatible", "my/model"),
        ("kimi:kimi-x", "moonshot", "kimi-x"),
        ("deepseek", "deepseek", ENDPOINTS["deepseek"].default_model),
        ("local", "local", None),
        ("local:/models/a.gguf", "local", "/models/a.gguf"),
    ],
)
def test_a_name_is_a_provider_and_its_own_name_for_the_model(name: str, provider: str, model: str | None) -> None:
    assert parse_name(name) == ModelName(provider, model)
    assert parse_name(str(parse_name(name))) == ModelName(provider, model)


def test_a_chain_keeps_its_order() -> None:
    expected = (ModelName("openai", "a"), ModelName("ollama", "b"), ModelName("local"))

    assert parse_chain("openai:a, ollama:b,local") == expected
    assert parse_chain(["openai:a", "ollama:b", "local"]) == expected


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "empty"),
        (" , ", "empty"),
        ("openai:a,", "one of the names in the chain is empty"),
        ("gpt-4o", "did you mean 'openai:gpt-4o'"),
        ("claude-sonnet", "did you mean 'anthropic:claude-sonnet'"),
        ("opnai:gpt-4o", "did you mean 'openai:gpt-4o'"),
        ("antropic", "did you mean 'anthropic'"),
        ("zzz:model", "known are anthropic, bedrock.*openai-compatible:MODEL"),
        ("together", "write together:MODEL"),
        ("ollama:", "write ollama:MODEL"),
    ],
)
def test_a_bad_name_is_told_what_is_known(name: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        parse_chain(name)


def test_a_model_opened_with_a_name_answers_as_that_name() -> None:
    own = ModelName("openai", "mine")

    assert [answering_model(own, asked) for asked in ("", None, "gpt-4o", "openai:mine", "anthropic:x", "openai:", "openai:a,ollama:b")] == ["mine"] * 7
    assert answering_model(own, "openai:other") == "other"
    assert answering_model(ModelName("vllm"), "gpt-4o") == "gpt-4o"
    assert answering_model(ModelName("local"), "gpt-4o") is None
    assert named_for(own, "gpt-4o") == "openai:mine"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("localhost", "http://localhost:11434/v1"),
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0:9999", "http://127.0.0.1:9999/v1"),
        (":9999", "http://127.0.0.1:9999/v1"),
        ("gpu.lan:80/", "http://gpu.lan:80/v1"),
        ("https://gpu.example", "https://gpu.example:443/v1"),
        ("http://gpu:1/proxy/v1", "http://gpu:1/proxy/v1"),
        ("[::1]:99", "http://[::1]:99/v1"),
        ("[::1]", "http://[::1]:11434/v1"),
    ],
)
def test_ollama_is_found_where_its_own_tools_find_it(host: str, url: str) -> None:
    assert base_url_of(ENDPOINTS["ollama"], None, {"OLLAMA_HOST": host}) == url


def test_an_address_given_wins_over_the_environment_and_that_over_the_table() -> None:
    ollama, env = ENDPOINTS["ollama"], {"OLLAMA_BASE_URL": "http://b/v1/", "OLLAMA_HOST": "c"}

    assert base_url_of(ollama, "http://a/v1/", env) == "http://a/v1"
    assert base_url_of(ollama, None, env) == "http://b/v1"
    assert base_url_of(ollama, None, {}) == "http://127.0.0.1:11434/v1"
    assert base_url_of(ENDPOINTS["openai-compatible"], None, {}) is None


def test_a_key_given_wins_and_blank_ones_count_as_none() -> None:
    qwen = ENDPOINTS["qwen"]

    assert key_of(qwen, "given", {"DASHSCOPE_API_KEY": "env"}) == "given"
    assert key_of(qwen, " ", {"DASHSCOPE_API_KEY": " ", "QWEN_API_KEY": "second"}) == "second"
    assert key_of(qwen, None, {}) is None


@pytest.mark.parametrize(
    ("url", "host", "is_here"),
    [
        ("http://user:password@127.0.0.1:80/v1?key=secret", "127.0.0.1:80", True),
        ("http://localhost/v1", "localhost", True),
        ("http://[::1]:80/v1", "::1:80", True),
        ("https://api.openai.com/v1", "api.openai.com", False),
        ("http://localhost.evil.example/v1", "localhost.evil.example", False),
        ("http://a:port/v1", "", False),
        (None, "", False),
    ],
)
def test_a_host_is_told_without_what_is_secret_in_its_url(url: str | None, host: str, is_here: bool) -> None:
    assert (host_of(url), is_loopback(url)) == (host, is_here)


def test_aliases_and_default_models_are_sound() -> None:
    from agent.llm.endpoints import ALIASES

    assert all(target in ENDPOINTS and alias not in ENDPOINTS for alias, target in ALIASES.items())
    assert all(endpoint.base_url or endpoint.way != "chat" or endpoint.name == "openai-compatible" for endpoint in ENDPOINTS.values())
    assert all(endpoint.key_names for endpoint in ENDPOINTS.values() if endpoint.needs_key)


# ---- what can be used here


def test_the_default_is_the_named_model() -> None:
    assert default_model({"SEASONED_MODEL": " ollama:llama3 ", "OPENAI_API_KEY": "x"}) == "ollama:llama3"


def test_the_default_is_else_of_the_first_provider_with_a_key() -> None:
    assert default_model({"DEEPSEEK_API_KEY": "x", "OPENROUTER_API_KEY": "y", "OPENAI_API_KEY": " "}) == f"deepseek:{ENDPOINTS['deepseek'].default_model}"


def test_the_default_is_else_the_embedded_model_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())

    assert default_model({}) == "local"


def test_without_any_the_error_lists_three_ways_and_a_key_that_lacks_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(ModelNotConfigured, match=r"(?s)1\. name one.*2\. set a provider's key.*3\. install.*a key for openai is set, but.*seasoned\[openai\]"):
        default_model({"OPENAI_API_KEY": "sk-secret-secret"})


def test_statuses_say_what_is_missing_and_never_a_key() -> None:
    statuses = {status.provider: status for status in provider_statuses({"OPENAI_API_KEY": "sk-secret-secret", "OLLAMA_HOST": "gpu:1"})}

    assert statuses["openai"].is_usable
    assert statuses["openai"].key_name == "OPENAI_API_KEY"
    assert statuses["deepseek"].advice == "set DEEPSEEK_API_KEY"
    assert statuses["ollama"].host == "gpu:1"
    assert "OPENAI_COMPATIBLE_BASE_URL" in statuses["openai-compatible"].advice
    assert statuses["local"].advice
    assert "secret" not in repr(statuses)


@pytest.mark.parametrize("extra", ["openai", "providers", "local"])
def test_a_missing_extra_is_told_with_the_command_that_installs_it(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(ModelNotConfigured, match=rf"pip install 'seasoned\[{extra}\]'"):
        require_extra(extra, "x:y")


def test_looking_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real, seen = builtins.__import__, []

    def watched(name: str, *args: Any, **more: Any) -> Any:
        seen.append(name.partition(".")[0])
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", watched)
    provider_statuses({})

    assert not {"openai", "pydantic_ai", "xllamacpp", "genai_prices"} & set(seen)
