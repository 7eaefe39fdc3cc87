"""Threads for synchronous tools: named, reused, bounded, and never waited for when the program ends."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

MAX_TOOL_THREADS = 64
IDLE_S = 10.0  # a thread with nothing to do for so long ends


class Job:
    """One function handed to the pool; `has_started` is certain once `abandon` has returned."""

    __slots__ = ("_lock", "_pool", "function", "future", "has_started", "is_abandoned", "loop")

    def __init__(self, pool: "ToolThreads", function: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self._pool, self._lock = pool, threading.Lock()
        self.function, self.loop = function, loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.has_started = self.is_abandoned = False

    def abandon(self) -> bool:
        """Give the job up: not started yet, it never will be; running, its thread no longer counts. Return whether it had started."""
        with self._lock:
            if not self.is_abandoned:
                self.is_abandoned = True
                if self.has_started:
                    self._pool.forget_one()
        return self.has_started

    def begin(self) -> bool:
        """Return whether the job is still wanted; from then on it counts as started."""
        with self._lock:
            self.has_started = not self.is_abandoned
            return self.has_started

    def finish(self) -> bool:
        """Return whether the thread still counts among the pool's."""
        with self._lock:
            counts, self.is_abandoned = not self.is_abandoned, True
            return counts

    def report(self, result: Any, error: BaseException | None) -> None:
        """Settle the future in its own loop, where somebody still waits there."""
        try:
            self.loop.call_soon_threadsafe(self._settle, result, error)
        except RuntimeError:  # the loop is closed: nobody waits
            return

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class ToolThreads:
    """Daemon threads, because a tool that hangs must not keep the program from ending. One that was given up no longer counts."""

    def __init__(self, max_threads: int = MAX_TOOL_THREADS, *, name: str = "seasoned-tool") -> None:
        self.max_threads, self.name = max_threads, name
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._threads = self._idle = self._numbered = 0

    def submit(self, function: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> Job:
        """Return the job; it waits its turn where all threads are busy."""
        job = Job(self, function, loop)
        with self._changed:
            self._jobs.append(job)
            if self._idle >= len(self._jobs):
                self._changed.notify()
            elif self._threads < self.max_threads:
                self._start()
        return job

    def forget_one(self) -> None:
        """Let another thread take the place of one that may never come back."""
        with self._changed:
            self._threads -= 1
            if self._jobs and not self._idle:
                self._start()

    def _start(self) -> None:
        self._threads += 1
        self._numbered += 1
        threading.Thread(target=self._work, name=f"{self.name}-{self._numbered}", daemon=True).start()

    def _next(self) -> Job | None:
        with self._changed:
            self._idle += 1
            try:
                if not self._jobs:
                    self._changed.wait(IDLE_S)
                if self._jobs:
                    return self._jobs.popleft()
                self._threads -= 1
                return None
            finally:
                self._idle -= 1

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if not job.begin():
                continue
            result, error = None, None
            try:
                result = job.function()
            except BaseException as caught:  # noqa: BLE001  # it is raised where the call is awaited
                error = caught
            counts = job.finish()
            job.report(result, error)
            if not counts:
                return
            del job, result, error


tool_threads = ToolThreads()
"""The pool of this process; set `max_threads` to change its bound."""
