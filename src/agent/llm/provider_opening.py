"""pydantic-ai's model for a provider, with our key and address, and with the vendor's own retries off."""

import inspect
from typing import Any

from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import Provider, infer_provider_class

from agent.errors import BadInput, ModelNotConfigured

# Where pydantic-ai uses another word than we do.
_NAMES = {"openai": "openai-chat", "qwen": "alibaba", "moonshot": "moonshotai", "openai-compatible": "openai-chat"}


def opened_model(provider: str, model: str, *, base_url: str | None, api_key: str | None, timeout_s: float) -> Model[Any]:
    """Return the model; nothing is sent. Imports the vendor's client, which takes about a second: call it in a thread.

    Raises:
        ModelNotConfigured: the vendor's client is not installed, or what it needs is missing.
        BadInput: pydantic-ai knows no such provider.
    """
    name = _NAMES.get(provider, provider)
    try:
        kind = infer_provider_class(name)
    except ValueError:
        raise BadInput(f"no provider {provider!r} in the extra 'providers'") from None
    except ImportError as error:
        raise _not_installed(provider, error) from None
    try:
        made = infer_model(f"{name}:{model}", provider_factory=lambda _: _provider(kind, base_url, api_key, timeout_s))
    except ImportError as error:
        raise _not_installed(provider, error) from None
    except UserError as error:
        raise ModelNotConfigured(f"{provider}:{model} cannot be opened: {error.message}") from None
    if provider == "bedrock":
        _without_retries(made)
    return made


def _provider(kind: type[Provider[Any]], base_url: str | None, api_key: str | None, timeout_s: float) -> Provider[Any]:
    known = inspect.signature(kind).parameters
    given: dict[str, Any] = {"api_key": api_key} if api_key else {}
    if "aws_read_timeout" in known:
        given["aws_read_timeout"] = timeout_s
    if base_url and "base_url" in known:
        given["base_url"] = base_url
    elif base_url and "openai_client" in known:
        import openai

        given = {"openai_client": openai.AsyncOpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0)}
    elif base_url:
        raise BadInput(f"{kind.__name__} has one fixed address: base_url cannot be given")
    return kind(**given)


def _without_retries(model: Model[Any]) -> None:
    """Make boto3's client try once: it would repeat a call up to four times behind our back."""
    events = model.client.meta.events  # type: ignore[attr-defined]  # Bedrock's model has one
    events.unregister("needs-retry.bedrock-runtime", unique_id="retry-config-bedrock-runtime")


def _not_installed(provider: str, error: ImportError) -> ModelNotConfigured:
    return ModelNotConfigured(f"the client for {provider} is not installed ({error}): pip install 'seasoned[providers]'")
