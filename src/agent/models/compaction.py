"""How a long history is made shorter: what a strategy is asked, and what it may answer."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from agent.models.value import Value


class Summary(Value, frozen=True, kw_only=True):
    """What stands in place of the folded messages. Tokens and cost are of a model call that made it, and are counted once with the run's."""

    text: str
    until: int | None = None  # fold up to this position, one of the request's `cuts`; None: as the request proposes
    is_model_call: bool = False
    model: str | None = None  # where it is not the run's
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None  # USD; None: unknown
    took_s: float = 0.0


class CompactionRequest(Value, frozen=True, kw_only=True):
    """A history that has become too long. `messages` is what the model would be given, in OpenAI's chat format: do not change it."""

    messages: list[dict[str, Any]]
    fold: tuple[int, ...]  # positions that are proposed to be folded: the oldest turns, without system prompt, memory and task
    cuts: tuple[int, ...]  # positions up to which may be folded without parting a call from its result
    transcript: str  # what stands at `fold`, as text for a model to read; long messages are shortened
    tokens: int  # about, of the whole prompt
    window: int | None  # tokens that the model takes; None: not known
    keep_tokens: int  # about, what the turns that stay may have
    language: str
    summarise: Callable[[], Awaitable[Summary]]  # the default: asks the run's own model


CompactionAnswer: TypeAlias = Summary | str | None


class CompactionStrategy(Protocol):
    """Any function of this shape, also an async one, is a strategy. A plain one is called on the event loop: it has to be quick."""

    def __call__(self, request: CompactionRequest, /) -> CompactionAnswer | Awaitable[CompactionAnswer]:
        """Return the summary, or None to leave the history as it is. What it raises is recorded; the run goes on."""
        ...
