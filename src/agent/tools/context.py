"""What a tool may know of its own call, and how it learns that nobody waits for it any more."""

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

_lock = threading.Lock()  # one for all tokens: it is held for a few instructions, and only where somebody waits or cancels


class CancelToken:
    """A flag that goes up once and stays up; any thread may raise it, look at it or wait for it."""

    __slots__ = ("_blocked", "_is_set", "_waiters")

    def __init__(self) -> None:
        self._is_set = False
        self._blocked: threading.Event | None = None  # made for the first thread that waits: most calls need none
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def is_set(self) -> bool:
        """Return whether the call was cancelled or timed out."""
        return self._is_set

    def set(self) -> None:
        """Raise the flag; a second time does nothing."""
        with _lock:
            self._is_set = True
            waiters, self._waiters = self._waiters, []
            if self._blocked is not None:
                self._blocked.set()
        for loop, future in waiters:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, future)

    async def wait(self) -> None:
        """Return as soon as the flag is up."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with _lock:
            if self._is_set:
                return
            self._waiters.append((loop, future))
        try:
            await future
        finally:
            with _lock:
                self._waiters = [waiter for waiter in self._waiters if waiter[1] is not future]

    def block(self, timeout_s: float | None = None) -> bool:
        """Return whether the flag is up after at most `timeout_s`; for tools that run in a thread."""
        with _lock:
            if self._is_set:
                return True
            if self._blocked is None:
                self._blocked = threading.Event()
            blocked = self._blocked
        return blocked.wait(timeout_s)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class ToolContext:
    """One call of one tool. A tool that has a parameter of this type is handed it; the model never sees that parameter.

    `idempotency_key` stays the same when a call is made again after a crash; `attempt` counts from 1. `state` is the state
    store bound to `uid`. `deps` is what the program injected; it is never stored.
    """

    __slots__ = ("attempt", "call_id", "cancelled", "deps", "idempotency_key", "state", "step_id", "trace_id", "uid")

    def __init__(
        self,
        *,
        trace_id: str = "",
        step_id: str = "",
        call_id: str = "",
        uid: str | None = None,
        idempotency_key: str = "",
        attempt: int = 1,
        state: Any | None = None,
        deps: Any = None,
        cancelled: CancelToken | None = None,
    ) -> None:
        self.trace_id, self.step_id, self.call_id, self.uid = trace_id, step_id, call_id, uid
        self.idempotency_key, self.attempt = idempotency_key, attempt
        self.state: Any = state
        self.deps = deps
        self.cancelled = CancelToken() if cancelled is None else cancelled

    def __repr__(self) -> str:
        # neither state nor deps: they may hold connections and keys
        return f"ToolContext(trace_id={self.trace_id!r}, call_id={self.call_id!r}, uid={self.uid!r}, attempt={self.attempt})"


running: ContextVar[ToolContext | None] = ContextVar("seasoned_tool_context", default=None)


def current_context() -> ToolContext | None:
    """Return the context of the tool call this code runs in (also in a tool's thread), or None outside of one."""
    return running.get()
