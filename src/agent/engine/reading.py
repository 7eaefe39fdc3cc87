"""One reader of a run that is driven here."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from agent.engine.driver import Driver
from agent.events import AgentEvent

WatchFrom = Callable[[int], AsyncIterator[AgentEvent] | None]


class Reading:
    """Read by `with reading: while reading.events or await reading.more(): … reading.take()`: an event that is there costs no coroutine.

    The run goes on if the reader goes away. `watch_from(sequence)` goes on from the log, where that can be.
    """

    __slots__ = ("_driver", "_rest", "_watch_from", "_watcher", "events", "take")

    def __init__(self, driver: Driver, watch_from: WatchFrom) -> None:
        self._driver, self._watch_from = driver, watch_from
        self._watcher = driver.feed.subscribe()
        self._rest: AsyncIterator[AgentEvent] | None = None
        self.events: deque[AgentEvent] = self._watcher.events
        self.take = self._watcher.take

    async def more(self) -> bool:
        """Wait until there are events; return whether there are. Where events were dropped, or another process drives now, they come from the log.

        Raises:
            BaseException: what failed the run, after its last event.
        """
        driver, watcher = self._driver, self._watcher
        if self._rest is None:
            if await watcher.more():
                return True
            if driver.feed.is_over and driver.task is not None:
                await asyncio.wait((driver.task,))  # what its end means for the engine is then known
            if driver.was_fenced or watcher.is_behind:
                self._rest = self._watch_from(watcher.last)
        if self._rest is not None and (event := await anext(self._rest, None)) is not None:
            self.events.append(event)
            return True
        if driver.error is not None:
            raise driver.error
        return False

    def pass_over(self, told: int) -> None:
        """Drop what passed by before a step that the reader was told of from the log: tokens of a reply that it knows whole."""
        events, driver = self.events, self._driver
        known = [n for n, event in enumerate(events) if event.type != "awaiting_user_action" and event.data.get("sequence", told + 1) <= told]
        stale = known[-1] if known else -1
        if driver.is_appending and driver.state.next_sequence <= told:  # the step is on the log, and its event still to come
            stale = len(events)
        kept = [event for n, event in enumerate(events) if n > stale or "sequence" in event.data or event.is_ending]
        events.clear()
        events.extend(kept)

    def leave(self) -> None:
        """Want no more events."""
        self._driver.feed.leave(self._watcher)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.leave()
