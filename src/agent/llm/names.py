"""Names of models: `provider:model`, chains of them, and which name a model answers to."""

import difflib
from collections.abc import Iterable, Sequence

from agent.errors import BadInput
from agent.llm.endpoints import ALIASES, ENDPOINTS, Endpoint
from agent.models.value import Value

EMBEDDED = "local"

# The beginnings by which a bare model name is recognised, only to propose the full one.
_FAMILIES = (
    (("gpt-", "o1", "o3", "o4", "chatgpt"), "openai"),
    (("claude",), "anthropic"),
    (("gemini", "gemma"), "google"),
    (("deepseek",), "deepseek"),
    (("qwen", "qwq"), "qwen"),
    (("kimi", "moonshot"), "moonshot"),
    (("mistral", "ministral", "codestral", "magistral"), "mistral"),
    (("grok",), "xai"),
    (("glm",), "zai"),
    (("llama", "phi"), "ollama"),
)


class ModelName(Value, frozen=True):
    """One model: a known provider, and the provider's own name for it (for `local`: a path, or None for its own weights)."""

    provider: str
    model: str | None = None

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}" if self.model else self.provider

    @property
    def endpoint(self) -> Endpoint:
        """The provider's entry in the table."""
        return ENDPOINTS[self.provider]


def parse_chain(name: str | Iterable[str]) -> tuple[ModelName, ...]:
    """Return the models of `name` in the order in which they are to be tried: `a`, `a,b`, or several names.

    Raises:
        BadInput: a name is empty, its provider unknown, or it names no model where the provider has no default.
    """
    parts = name.split(",") if isinstance(name, str) else [str(part) for part in name]
    if not any(part.strip() for part in parts):
        raise BadInput("the model's name is empty: give one such as 'openai:gpt-…', 'ollama:llama3' or 'local'")
    return tuple(parse_name(part) for part in parts)


def parse_name(name: str) -> ModelName:
    """Return the model that `name` means; a provider alone means its default model.

    Raises:
        BadInput: as `parse_chain`.
    """
    text = name.strip()
    if not text:
        raise BadInput("one of the names in the chain is empty: write 'a,b' with a name on each side of the comma")
    head, colon, tail = text.partition(":")
    provider = known_provider(head)
    if provider is None:
        raise BadInput(_unknown(text, head, has_provider=bool(colon)))
    model = tail.strip() or None
    endpoint = ENDPOINTS[provider]
    if model is None and endpoint.way != "embedded":
        model = endpoint.default_model
    if model is None and endpoint.way != "embedded":
        raise BadInput(f"{text!r} names a provider but no model: write {provider}:MODEL")
    return ModelName(provider, model)


def known_provider(word: str) -> str | None:
    """Return the table's name for `word`, or None: case, blanks and common other names do not matter."""
    word = word.strip().lower().replace("_", "-")
    word = ALIASES.get(word, word)
    return word if word in ENDPOINTS else None


def answering_model(own: ModelName, asked: str | None) -> str | None:
    """Return the provider's name of the model that answers a call with `model=asked`.

    A model opened with a name answers as that name. Only a full `provider:model` of the same provider changes it for the one call;
    a bare name ("gpt-4o", which the seed passes when nothing was said), another provider's and a chain do not. A model opened for a
    provider without a name takes what it is asked for.
    """
    head, colon, tail = (asked or "").strip().partition(":")
    if colon and "," not in tail and known_provider(head) == own.provider and tail.strip():
        return tail.strip()
    if own.model is None and own.endpoint.way != "embedded":
        return (asked or "").strip() or own.endpoint.default_model
    return own.model


def named_for(own: ModelName, asked: str | None) -> str:
    """Return the full name to hand to an adapter opened as `own` when a caller asked for `asked`; see `answering_model`."""
    return str(ModelName(own.provider, answering_model(own, asked)))


def _unknown(text: str, head: str, *, has_provider: bool) -> str:
    if not has_provider:
        family = next((provider for beginnings, provider in _FAMILIES if text.lower().startswith(beginnings)), None)
        if family:
            return f"{text!r} names a model but no provider: did you mean '{family}:{text}'?"
    words: Sequence[str] = sorted({*ENDPOINTS, *ALIASES})
    close = difflib.get_close_matches(head.strip().lower(), words, n=1)
    hint = f" did you mean {close[0] + ':' + text.partition(':')[2] if has_provider else close[0]!r}?" if close else ""
    known = ", ".join(sorted(ENDPOINTS))
    return f"no provider {head.strip()!r} in model name {text!r}:{hint} known are {known}; any other server is 'openai-compatible:MODEL' with its base URL"
