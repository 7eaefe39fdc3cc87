"""Trying again what may pass: back-off with jitter, bounded in tries, in each wait and in all."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from agent.errors import BadInput, ModelUnavailable
from agent.llm.contract import KnowsWindow, LLMCall, Reply, StreamingModel, Token, is_free
from agent.llm.names import ModelName, named_for
from agent.models.value import Value

Sleep = Callable[[float], Awaitable[None]]


class Patience(Value, frozen=True, kw_only=True):
    """How often and how long a failed call is tried again."""

    retries: int = 4
    """Tries after the first."""
    first_wait_s: float = 0.5
    """The longest wait before the first retry; it doubles with each further one."""
    longest_wait_s: float = 60.0
    """No single wait is longer. A provider that asks for a longer one is given up at once."""
    total_s: float = 300.0
    """No retry begins later than this after the first try began."""

    def checked(self) -> "Patience":
        """Return this, if its numbers make sense.

        Raises:
            BadInput: one of them is negative.
        """
        for field in self.__struct_fields__:
            if getattr(self, field) < 0:
                raise BadInput(f"{field} is {getattr(self, field)}: it must be 0 or more")
        return self


class Retry(Value, frozen=True, kw_only=True):
    """A try that failed, and is followed by another."""

    name: str
    """The model."""
    error: ModelUnavailable
    attempt: int
    """The try that failed, from 1."""
    retries: int
    """How many follow the first one at most."""
    wait_s: float
    """Until the next one."""


OnRetry = Callable[[Retry], None]


class GaveUp(ModelUnavailable):
    """The last of several tries failed; `attempts` says how many there were."""

    def __init__(self, message: str, *, status: int | None = None, retry_after_s: float | None = None, attempts: int = 1, was_cut_off: bool = False) -> None:
        super().__init__(message, status=status, retry_after_s=retry_after_s)
        self.attempts, self.was_cut_off = attempts, was_cut_off

    @property
    def may_be_billed(self) -> bool:
        """Whether one of the tries may have cost something."""
        return self.was_cut_off or self.status is None

    def __reduce__(self) -> tuple[Any, ...]:
        values = {"status": self.status, "retry_after_s": self.retry_after_s, "attempts": self.attempts, "was_cut_off": self.was_cut_off}
        return type(self), (self.message,), values


class Retrying:
    """A model that is asked again after an error that says it may pass; any other error, and a cancellation, passes at once.

    The reply's `attempts` says how many tries it took, its `cost_is_partial` that one of them was cut off and may have been billed.
    A stream that breaks after tokens begins anew: a token of kind `restart` says
    that what came before is void.
    """

    def __init__(
        self,
        model: LLMCall,
        patience: Patience | None = None,
        *,
        own: ModelName | None = None,
        on_retry: OnRetry | None = None,
        sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wrap `model`. With `own`, the name it was opened with, it is asked by full names only, whatever bare `model=` a call carries.

        `on_retry` is told before each wait.

        Raises:
            BadInput: a limit is negative.
        """
        self._model, self._own = model, own
        self._patience = (patience or Patience()).checked()
        self._sleep, self._chance, self._clock, self._on_retry = sleep, chance, clock, on_retry

    @property
    def name(self) -> str:
        """The name of the model that is asked."""
        if self._own is not None:
            return str(self._own)
        return str(getattr(self._model, "name", type(self._model).__name__))

    @property
    def is_free(self) -> bool:
        """Whether the model never costs anything."""
        return is_free(self._model)

    def _asked(self, model: str) -> str:
        return named_for(self._own, model) if self._own else model

    def __repr__(self) -> str:
        return f"Retrying({self._model!r})"

    async def __call__(self, messages: Sequence[dict[str, Any]], model: str = "", tools: list[dict[str, Any]] | None = None, **settings: Any) -> Reply:
        """Return the first reply that succeeds.

        Raises:
            GaveUp: a `ModelUnavailable`; the tries, or the time for them, are used up.
            ModelError: any error that is not to be retried, from whichever try.
        """
        began_at, attempts, is_partial = self._clock(), 0, False
        while True:
            attempts += 1
            try:
                reply = await self._model(messages=messages, model=self._asked(model), tools=tools, **settings)
            except ModelUnavailable as error:
                is_partial = is_partial or (error.may_be_billed and not self.is_free)
                await self._sleep(self._wait_s(error, attempts, began_at, was_cut_off=is_partial))
            else:
                return _counted(reply, attempts, is_partial=is_partial)

    async def stream(
        self, messages: Sequence[dict[str, Any]], model: str = "", tools: list[dict[str, Any]] | None = None, **settings: Any
    ) -> AsyncGenerator[Token | Reply, None]:
        """Yield tokens, and last the reply; a `restart` token voids those before it. Raises as a call does."""
        if not isinstance(self._model, StreamingModel):
            yield await self(messages, model, tools, **settings)
            return
        began_at, attempts, is_begun, is_partial = self._clock(), 0, False, False
        while True:
            attempts += 1
            try:
                async with _closing(self._model.stream(messages=messages, model=self._asked(model), tools=tools, **settings)) as parts:
                    async for part in parts:
                        is_begun = True
                        yield part if isinstance(part, Token) else _counted(part, attempts, is_partial=is_partial)
            except ModelUnavailable as error:
                is_partial = is_partial or ((is_begun or error.may_be_billed) and not self.is_free)
                wait_s = self._wait_s(error, attempts, began_at, was_cut_off=is_partial)
                if is_begun:
                    is_begun = False
                    yield Token("restart", "")
                await self._sleep(wait_s)
            else:
                return

    async def context_window(self, model: str = "") -> int | None:
        """Return how many tokens the model takes; None where it does not say."""
        return await self._model.context_window(self._asked(model)) if isinstance(self._model, KnowsWindow) else None

    async def aclose(self) -> None:
        """Close the model that is asked."""
        await aclose(self._model)

    def _wait_s(self, error: ModelUnavailable, attempts: int, began_at: float, *, was_cut_off: bool) -> float:
        """Return the seconds to wait before the next try, or raise that there is none.

        Half of the back-off is certain, half is chance, so that many runs do not come back in step; what the provider asks for is a
        floor, with a tenth on top by chance.
        """
        limits = self._patience
        asked_s = error.retry_after_s or 0.0
        backoff_s = min(limits.longest_wait_s, limits.first_wait_s * 2.0 ** min(attempts - 1, 60)) * (0.5 + 0.5 * self._chance())
        wait_s = max(backoff_s, min(limits.longest_wait_s, asked_s * (1.0 + 0.1 * self._chance())))
        if attempts > limits.retries:
            why = ""
        elif asked_s > limits.longest_wait_s:
            why = f"; it asks to wait {asked_s:g} s, longer than longest_wait_s={limits.longest_wait_s:g}"
        elif self._clock() - began_at + wait_s > limits.total_s:
            why = f"; the next try would begin after total_s={limits.total_s:g}"
        else:
            if self._on_retry is not None:
                self._on_retry(Retry(name=self.name, error=error, attempt=attempts, retries=limits.retries, wait_s=wait_s))
            return wait_s
        tries = "1 try" if attempts == 1 else f"{attempts} tries"
        ending = f" (gave up after {tries}{why})" if attempts > 1 or why else ""
        raise GaveUp(error.message + ending, status=error.status, retry_after_s=error.retry_after_s, attempts=attempts, was_cut_off=was_cut_off) from error


def _counted(reply: Reply, attempts: int, *, is_partial: bool) -> Reply:
    counted = {**reply, "attempts": attempts - 1 + int(reply.get("attempts") or 1)}
    return {**counted, "cost_is_partial": True} if is_partial else counted


@contextlib.asynccontextmanager
async def _closing(parts: AsyncIterator[Token | Reply]) -> AsyncIterator[AsyncIterator[Token | Reply]]:
    """Close a stream that was left early, where it is one that can be closed."""
    try:
        yield parts
    finally:
        await aclose(parts)


async def aclose(thing: object) -> None:
    """Close `thing` if it has `aclose`."""
    close = getattr(thing, "aclose", None)
    if close is not None:
        await close()
