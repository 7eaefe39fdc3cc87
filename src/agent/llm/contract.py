"""What a model is to this program: an async callable, and optionally a stream."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from agent.models.value import Value

Reply: TypeAlias = dict[str, Any]
"""A model's reply. Seed keys: `content` (str or None), `tool_calls` (OpenAI shape, or None), `prompt_tokens`,
`completion_tokens`, `cost` (USD, None when unknown, never 0 for unknown). Optional: `provider_state` (opaque JSON that
goes back verbatim in the assistant message under the same key; has a `provider` key; dropped for another provider),
`finish_reason`, `usage` (`cache_read_tokens`, `cache_write_tokens`, `reasoning_tokens`), `reasoning` (text),
`response_id`, `model` (the one that answered, as `provider:model`), `attempts` (how many tries it took),
`cost_is_partial` (true: tries before it may have been billed, too)."""


class Token(Value, frozen=True):
    """A piece of a reply as it arrives. `index`: the tool call's position for `tool_arguments`, else 0.

    `restart` voids all tokens before it: the stream was cut, and the reply begins anew (its `text` is empty).
    """

    kind: Literal["text", "reasoning", "tool_arguments", "restart"]
    text: str
    index: int = 0


class LLMCall(Protocol):
    """Any async callable of this shape is a model.

    `messages` and `tools` are in OpenAI's chat format; neither may be changed. A failed call raises; `ModelUnavailable`
    says that the same call may succeed later.
    """

    async def __call__(self, messages: Sequence[dict[str, Any]], model: str, tools: list[dict[str, Any]] | None = None, **settings: Any) -> Reply:
        """Return one reply to `messages`."""
        ...


def is_free(model: object) -> bool:
    """Return whether a model says that it never costs anything (`is_free = True`): what is lost of its calls cost nothing either."""
    return getattr(model, "is_free", False) is True


@runtime_checkable
class KnowsWindow(Protocol):
    """A model that can say how long a prompt may be."""

    async def context_window(self, model: str = "") -> int | None:
        """Return how many tokens it takes, prompt and reply together; None where that is not known. Asks nobody."""
        ...


@runtime_checkable
class StreamingModel(Protocol):
    """A model that can also tell its reply while it forms."""

    def stream(
        self, messages: Sequence[dict[str, Any]], model: str, tools: list[dict[str, Any]] | None = None, **settings: Any
    ) -> AsyncIterator[Token | Reply]:
        """Yield tokens as they arrive, and last of all exactly one `Reply` (a dict)."""
        ...
