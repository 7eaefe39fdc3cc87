"""`open_model`: a name in, a model that is ready to be called out."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from agent.errors import BadInput, ModelNotConfigured
from agent.llm.available import default_model, require_extra, require_key
from agent.llm.contract import LLMCall
from agent.llm.fallback import Fallback, NotReady
from agent.llm.names import ModelName, parse_chain
from agent.llm.retry import OnRetry, Patience, Retrying

Kind = Callable[..., LLMCall]
Opened = Retrying | Fallback
"""What `open_model` returns: callable, with `stream`, `name` and `aclose`."""


def open_model(
    name: str | Iterable[str] | None = None,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    retries: int | Patience | None = None,
    on_retry: OnRetry | None = None,
    **options: Any,
) -> Opened:
    """Return the model called `name`, with retries, prices, and for a chain `a,b` with fallback. Nothing is sent or loaded yet.

    Names are `provider:model` (`openai:…`, `anthropic:…`, `ollama:llama3`), `provider` alone for its default model, `local`,
    `local:/path/to.gguf`, `openai-compatible:…` with a base URL; without a name the default (`available.default_model`) counts.
    A model opened with a name answers as that name, whatever bare `model=` a call carries (see `names.answering_model`).
    Keys and addresses come from the environment unless given; a given one is for one model, never for a chain, so that no key reaches
    another provider. `options` are the adapter's own (`timeout_s` …); in a chain each model takes those that it knows.

    `on_retry` is told of each try that failed and will be followed by another, before the wait.

    Raises:
        BadInput: the name, an option or an address cannot be used; the message lists what is known.
        ModelNotConfigured: a key or an extra is missing. In a chain this counts only if it is so for every model.
    """
    names = parse_chain(name if name is not None else default_model())
    patience = _patience(retries)
    if len(names) == 1:
        return Retrying(_adapter(names[0], base_url, api_key, options), patience, own=names[0], on_retry=on_retry)
    if base_url or api_key:
        raise BadInput("base_url and api_key are for one model, not for a chain: set them in the environment (such as OPENAI_BASE_URL, OPENAI_API_KEY)")
    _check_options(names, options)
    models: list[LLMCall] = []
    for one in names:
        try:
            models.append(Retrying(_adapter(one, None, None, _known_options(one, options)), patience, own=one, on_retry=on_retry))
        except ModelNotConfigured as error:
            models.append(NotReady(str(one), error))
    if all(isinstance(model, NotReady) for model in models):
        reasons = "\n".join(f"  {model.name}: {model.reason.message}" for model in models if isinstance(model, NotReady))
        raise ModelNotConfigured(f"no model of the chain can be used here:\n{reasons}")
    return Fallback(models)


def _patience(retries: int | Patience | None) -> Patience:
    if isinstance(retries, Patience):
        return retries
    return Patience() if retries is None else Patience(retries=retries)


def _adapter(name: ModelName, base_url: str | None, api_key: str | None, options: dict[str, Any]) -> LLMCall:
    given = {key: value for key, value in (("base_url", base_url), ("api_key", api_key)) if value is not None}
    kind = _kind(name)
    unknown = sorted((given.keys() | options.keys()) - _parameters(kind))
    if unknown:
        raise BadInput(f"{name} takes no {', '.join(unknown)}; it takes {', '.join(sorted(_parameters(kind))) or 'no options'}")
    if name.endpoint.way == "native":
        require_key(name.endpoint, api_key)
    model: LLMCall = kind(*_positions(name), **_fixed(name), **given, **options)
    return model


def _kind(name: ModelName) -> Kind:
    """Return the adapter's class; imported here, so that no extra is needed for another one's models."""
    way = name.endpoint.way
    if way == "chat":
        from agent.llm.openai import OpenAICompatible

        return OpenAICompatible
    require_extra(name.endpoint.extra, str(name))
    if way == "native":
        from agent.llm.providers import ProviderModel

        return ProviderModel
    from agent.llm.local import LocalModel

    return LocalModel


def _positions(name: ModelName) -> tuple[str | None, ...]:
    return (name.provider, name.model) if name.endpoint.way == "native" else (name.model,)


def _fixed(name: ModelName) -> dict[str, str]:
    return {"provider": name.provider} if name.endpoint.way == "chat" else {}


def _parameters(kind: Kind) -> set[str]:
    """Return the keywords that a person may give to `kind`."""
    return {key for key, parameter in inspect.signature(kind).parameters.items() if parameter.kind is inspect.Parameter.KEYWORD_ONLY} - {"provider"}


def _known_options(name: ModelName, options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key in _parameters(_kind(name))}


def _check_options(names: Iterable[ModelName], options: dict[str, Any]) -> None:
    """Raise unless each option is known to one model of the chain at least."""
    known: set[str] = set()
    for name in names:
        try:
            known |= _parameters(_kind(name))
        except ModelNotConfigured:
            return  # one whose extra is missing may be the one that knows it
    unknown = sorted(options.keys() - known)
    if unknown:
        raise BadInput(f"no model of the chain takes {', '.join(unknown)}; they take {', '.join(sorted(known))}")
