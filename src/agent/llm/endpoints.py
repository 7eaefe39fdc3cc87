"""Where models live: the table of providers, and what each needs and wants.

Addresses, key names and default models were read in November 2026 from the catalogues that the vendors' own Python clients carry;
every one of them can be set anew from the environment (`<PROVIDER>_BASE_URL`) or by argument.
"""

import os
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from agent.models.value import Value

Way = Literal["chat", "native", "embedded"]
"""How a provider is spoken to: OpenAI's chat completions (extra `openai`), its own format (extra `providers`), or in this process (extra `local`)."""

GENERIC = "openai-compatible"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})


class Endpoint(Value, frozen=True, kw_only=True):
    """One provider; `base_url` is None where an address must be given, or where the vendor's own client knows it."""

    name: str
    way: Way = "chat"
    base_url: str | None = None
    key_names: tuple[str, ...] = ()
    """Environment variables that may hold the key; the first one set counts."""
    needs_key: bool = True
    default_model: str | None = None
    extra: str = "openai"
    priced_as: str | None = None
    """The provider's name in the price data, where it differs."""
    runs_here: bool = False
    """Whether this is a program that a person runs on a machine of their own: no price per token."""
    thought_filler: str | None = None
    """What stands for thoughts in a turn with tool calls that has none; None where the provider does not insist on them."""
    echoes_thoughts: bool = True
    """Whether the provider takes back, in a turn of the history, the fields that held its thoughts."""
    takes_tool_names: bool = True
    """Whether a tool's result may carry the tool's name (Gemini insists on it behind gateways; strict servers refuse it)."""


def _chat(name: str, base_url: str, *key_names: str, default_model: str | None = None, **more: Any) -> Endpoint:
    return Endpoint(name=name, base_url=base_url, key_names=key_names, default_model=default_model, **more)


def _here(name: str, port: int, *key_names: str) -> Endpoint:
    return Endpoint(name=name, base_url=f"http://127.0.0.1:{port}/v1", key_names=key_names, needs_key=False, runs_here=True)


def _native(name: str, *key_names: str, default_model: str | None = None, needs_key: bool = True, priced_as: str | None = None) -> Endpoint:
    return Endpoint(name=name, way="native", extra="providers", key_names=key_names, default_model=default_model, needs_key=needs_key, priced_as=priced_as)


# The order is the order of preference when no model is named.
_TABLE = (
    _chat("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", default_model="gpt-6.1-terra", echoes_thoughts=False, takes_tool_names=False),
    _native("anthropic", "ANTHROPIC_API_KEY", default_model="claude-sonnet-5-5"),
    _native("google", "GEMINI_API_KEY", "GOOGLE_API_KEY", default_model="gemini-3.8-flash"),
    _chat("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY", default_model="deepseek-flash", thought_filler=""),
    _chat(
        "qwen",
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "DASHSCOPE_API_KEY",
        "QWEN_API_KEY",
        "ALIBABA_API_KEY",
        default_model="qwen-plus",
    ),
    _chat("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", default_model="openrouter/auto"),
    _chat(
        "moonshot",
        "https://api.moonshot.ai/v1",
        "MOONSHOT_API_KEY",
        "MOONSHOTAI_API_KEY",
        default_model="kimi-k2.6",
        thought_filler=" ",  # an empty text is refused there
        priced_as="moonshotai",
    ),
    _native("mistral", "MISTRAL_API_KEY", default_model="mistral-medium-latest"),
    _native("groq", "GROQ_API_KEY", default_model="openai/gpt-oss-120b"),
    _chat("zai", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY", default_model="glm-5.3"),
    _chat("zhipu", "https://open.bigmodel.cn/api/paas/v4", "ZHIPUAI_API_KEY", "ZHIPU_API_KEY", default_model="glm-5.3", priced_as="zhipuai"),
    _chat("xai", "https://api.x.ai/v1", "XAI_API_KEY", default_model="grok-4.7", priced_as="x-ai"),
    _chat("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", default_model="gpt-oss-120b", takes_tool_names=False),
    _chat("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    _chat("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    _chat("minimax", "https://api.minimax.io/v1", "MINIMAX_API_KEY"),
    _chat("siliconflow", "https://api.siliconflow.cn/v1", "SILICONFLOW_API_KEY"),
    _native("openai-responses", "OPENAI_API_KEY", priced_as="openai"),
    _native("bedrock", "AWS_BEARER_TOKEN_BEDROCK", needs_key=False, priced_as="aws"),
    _here("ollama", 11434, "OLLAMA_API_KEY"),
    _here("vllm", 8000, "VLLM_API_KEY"),
    _here("sglang", 30000, "SGLANG_API_KEY"),
    _here("llamacpp", 8080, "LLAMACPP_API_KEY"),
    _here("lmstudio", 1234, "LMSTUDIO_API_KEY"),
    Endpoint(name=GENERIC, key_names=("OPENAI_COMPATIBLE_API_KEY",), needs_key=False),
    Endpoint(name="local", way="embedded", extra="local", needs_key=False, runs_here=True),
)

ENDPOINTS: Mapping[str, Endpoint] = {endpoint.name: endpoint for endpoint in _TABLE}

ALIASES: Mapping[str, str] = {
    "alibaba": "qwen",
    "dashscope": "qwen",
    "claude": "anthropic",
    "compatible": GENERIC,
    "gemini": "google",
    "google-gla": "google",
    "grok": "xai",
    "kimi": "moonshot",
    "llama.cpp": "llamacpp",
    "lm-studio": "lmstudio",
    "moonshotai": "moonshot",
    "openai-chat": "openai",
    "x-ai": "xai",
    "z-ai": "zai",
    "zhipuai": "zhipu",
}


def variable_of(endpoint: Endpoint, suffix: str) -> str:
    """Return the environment variable of `endpoint` that ends in `suffix`: `OPENAI_COMPATIBLE` + `_BASE_URL`."""
    return endpoint.name.upper().replace("-", "_") + suffix


def base_url_of(endpoint: Endpoint, given: str | None = None, env: Mapping[str, str] | None = None) -> str | None:
    """Return where `endpoint` is reached: `given`, else from the environment, else the table; without a slash at the end."""
    env = os.environ if env is None else env
    url = given or env.get(variable_of(endpoint, "_BASE_URL"))
    if not url and endpoint.name == "ollama" and env.get("OLLAMA_HOST"):
        url = _ollama_url(env["OLLAMA_HOST"])
    return (url or endpoint.base_url or "").rstrip("/") or None


def key_of(endpoint: Endpoint, given: str | None = None, env: Mapping[str, str] | None = None) -> str | None:
    """Return the key for `endpoint`: `given`, else the first of its variables that is set and not blank."""
    env = os.environ if env is None else env
    candidates = (given, *(env.get(name) for name in endpoint.key_names))
    return next((key.strip() for key in candidates if key and key.strip()), None)


def host_of(url: str | None) -> str:
    """Return the host and port of `url`, without the user, password or query that it may carry."""
    try:
        parts = urlsplit(url or "")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    return f"{host}:{port}" if port else host


def is_loopback(url: str | None) -> bool:
    """Return whether `url` points at this machine."""
    return host_of(url).rpartition(":")[0] in LOOPBACK or host_of(url) in LOOPBACK


def _ollama_url(host: str) -> str:
    """Return the chat-completions address for what Ollama's own tools read from OLLAMA_HOST: `host`, `host:port` or a URL.

    Source: Ollama's envconfig package (scheme http and port 11434 unless given; 0.0.0.0 is where the server listens).
    """
    scheme, separator, rest = host.strip().rpartition("://")
    scheme = scheme if separator else "http"
    authority, _, path = rest.partition("/")
    name, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        name, port = authority, {"http": "11434", "https": "443"}.get(scheme, "11434")
    name = "127.0.0.1" if name in {"", "0.0.0.0", "[::]"} else name  # noqa: S104  not bound to: recognised
    path = path.rstrip("/")
    return f"{scheme}://{name}:{port}/{path or 'v1'}"
