"""A chain of models: the next one answers where one cannot."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from agent.errors import BadInput, ModelError, ModelNotConfigured, ModelRejected, ModelUnavailable
from agent.llm.contract import KnowsWindow, LLMCall, Reply, StreamingModel, Token, is_free
from agent.llm.retry import aclose

REQUEST_STATUSES = frozenset({400, 413, 415, 422})
"""Refusals that concern the request, not the key, the credit, the model's name or the server: no other model takes it either."""


class NotReady:
    """Stands in a chain for a model that cannot be opened here; each call raises why."""

    def __init__(self, name: str, reason: ModelError) -> None:
        self.name, self.reason = name, reason

    async def __call__(self, messages: Sequence[dict[str, Any]], model: str = "", tools: list[dict[str, Any]] | None = None, **settings: Any) -> Reply:
        """Raise the reason."""
        raise type(self.reason)(self.reason.message)


class Fallback:
    """Several models as one, asked in order.

    The next one is asked when one is unavailable (after its own retries), not configured, or refuses its key, credit or name. A refusal
    of the request itself is raised at once: it would be the same everywhere. Each is asked by its own name, whatever `model` says (a
    plain function, which has none, by that); the reply's `model` says which one it was, its `attempts` counts the tries of all.
    """

    def __init__(self, models: Sequence[LLMCall]) -> None:
        """Take the models in the order in which they are to be asked.

        Raises:
            BadInput: there is none.
        """
        if not models:
            raise BadInput("a fallback needs at least one model")
        self._models = tuple(models)

    @property
    def name(self) -> str:
        """The chain of names, as `open_model` takes it."""
        return ",".join(_name_of(model) for model in self._models)

    def __repr__(self) -> str:
        return f"Fallback({list(self._models)!r})"

    async def __call__(self, messages: Sequence[dict[str, Any]], model: str = "", tools: list[dict[str, Any]] | None = None, **settings: Any) -> Reply:
        """Return the reply of the first model that answers.

        Raises:
            ModelError: all failed (the message names each one's reason), or one refused the request itself.
        """
        failures: list[tuple[str, ModelError]] = []
        for candidate in self._models:
            try:
                reply = await candidate(messages=messages, model=_asked(candidate, model), tools=tools, **settings)
            except ModelError as error:
                _note(failures, candidate, error)
            else:
                return _signed(reply, candidate, failures)
        raise _all_failed(failures)

    async def stream(
        self, messages: Sequence[dict[str, Any]], model: str = "", tools: list[dict[str, Any]] | None = None, **settings: Any
    ) -> AsyncGenerator[Token | Reply, None]:
        """Yield tokens, and last the reply; a `restart` token voids those before it. Raises as a call does."""
        failures: list[tuple[str, ModelError]] = []
        is_begun = False
        for candidate in self._models:
            if is_begun:
                is_begun = False
                yield Token("restart", "")
            parts = _parts(candidate, messages, _asked(candidate, model), tools, settings)
            try:
                async for part in parts:
                    is_begun = not (isinstance(part, Token) and part.kind == "restart")
                    yield part if isinstance(part, Token) else _signed(part, candidate, failures)
            except ModelError as error:
                _note(failures, candidate, error)
            else:
                return
            finally:
                await aclose(parts)
        raise _all_failed(failures)

    @property
    def is_free(self) -> bool:
        """Whether none of the models ever costs anything."""
        return all(is_free(one) for one in self._models)

    async def context_window(self, model: str = "") -> int | None:
        """Return what the model of the chain that takes least takes; None where none says."""
        told = [await one.context_window(_asked(one, model)) for one in self._models if isinstance(one, KnowsWindow)]
        return min((tokens for tokens in told if tokens), default=None)

    async def aclose(self) -> None:
        """Close every model of the chain."""
        for model in self._models:
            await aclose(model)


async def _parts(
    candidate: LLMCall, messages: Sequence[dict[str, Any]], model: str, tools: list[dict[str, Any]] | None, settings: dict[str, Any]
) -> AsyncGenerator[Token | Reply, None]:
    if not isinstance(candidate, StreamingModel):
        yield await candidate(messages=messages, model=model, tools=tools, **settings)
        return
    parts = candidate.stream(messages=messages, model=model, tools=tools, **settings)
    try:
        async for part in parts:
            yield part
    finally:
        await aclose(parts)


def _name_of(model: object) -> str:
    return str(getattr(model, "name", None) or type(model).__name__)


def _asked(model: object, given: str) -> str:
    return str(getattr(model, "name", None) or given)


def _note(failures: list[tuple[str, ModelError]], candidate: object, error: ModelError) -> None:
    """Keep `error` and let the next model try; raise it where no other model could do better."""
    if isinstance(error, ModelRejected) and error.status in REQUEST_STATUSES:
        raise error
    failures.append((_name_of(candidate), error))


def _signed(reply: Reply, candidate: object, failures: Sequence[tuple[str, ModelError]]) -> Reply:
    attempts = int(reply.get("attempts") or 1) + sum(_attempts_of(error) for _, error in failures)
    signed = {"model": _name_of(candidate), **reply, "attempts": attempts}
    return {**signed, "cost_is_partial": True} if any(error.may_be_billed for _, error in failures) else signed


def _attempts_of(error: ModelError) -> int:
    return 0 if isinstance(error, ModelNotConfigured) else int(getattr(error, "attempts", 1))


def _all_failed(failures: Sequence[tuple[str, ModelError]]) -> ModelError:
    """Return one error for all: it may be tried again if one of them may."""
    message = "no model of the chain answered:\n" + "\n".join(f"  {name}: {error.message}" for name, error in failures)
    errors = [error for _, error in failures]
    waits = [error.retry_after_s for error in errors if error.retry_after_s is not None]
    statuses = [error.status for error in errors if error.status is not None]
    kind = next((kind for kind in (ModelUnavailable, ModelRejected) if any(isinstance(error, kind) for error in errors)), ModelNotConfigured)
    return kind(message, status=statuses[-1] if statuses else None, retry_after_s=min(waits, default=None))
