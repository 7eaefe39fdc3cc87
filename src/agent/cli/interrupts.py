"""Ctrl-C and SIGTERM: once pauses the run at a safe point, twice stops now; either way it can be resumed."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self


class Interrupts:
    """Watches for signals while a run goes on; `pause` is called at the first one, the task that entered is cancelled at the second.

    A third one ends the process at once. Before the run is on the record (`pause` is None) the first one stops as well.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.pause: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.count = 0
        self.was_stopped = False
        self._task: asyncio.Task[Any] | None = None
        self._pausing: asyncio.Task[None] | None = None
        self._signals = [signal.SIGINT, signal.SIGTERM]

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in self._signals:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # no such handlers here: Ctrl-C then stops at once
                loop.add_signal_handler(number, self.notice)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._release()

    def _release(self) -> None:
        loop = asyncio.get_running_loop()
        for number in self._signals:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(number)

    def notice(self) -> None:
        """Take one signal."""
        self.count += 1
        if self.count == 1 and self.pause is not None:
            self._tell("pausing at the next safe point (again: stop now)")
            self._pausing = asyncio.ensure_future(self.pause())
            return
        self._release()
        self.was_stopped = True
        if self._task is not None:
            self._task.cancel()
