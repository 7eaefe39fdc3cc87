"""Events on their way to those who watch a run. A slow or vanished reader never slows the run."""

import asyncio
from collections import deque
from collections.abc import Iterable

from agent.events import AgentEvent


class Watcher:
    """One reader's queue. When it falls too far behind it is emptied; the reader then goes on from the log.

    Read it by `while watcher.events or await watcher.more(): … watcher.take()`: an event that is there costs no coroutine.
    """

    __slots__ = ("_limit", "_wanted", "events", "is_behind", "is_over", "last")

    def __init__(self, limit: int) -> None:
        self.events: deque[AgentEvent] = deque()
        self._limit = limit
        self._wanted: asyncio.Future[None] | None = None
        self.last = -1  # the largest sequence that was taken
        self.is_over = False  # nothing more will come
        self.is_behind = False  # events were dropped: read the log from the last sequence taken

    def put(self, events: Iterable[AgentEvent]) -> None:
        """Queue events, or drop all where the reader is too far behind."""
        if self.is_behind:
            return
        self.events.extend(events)
        if len(self.events) > self._limit:
            self.events.clear()
            self.is_behind = True
        if self._wanted is not None:
            self._wake()

    def end(self) -> None:
        """Say that nothing more will come."""
        self.is_over = True
        self._wake()

    def _wake(self) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)

    def take(self) -> AgentEvent:
        """Return the next event of those that are there."""
        event = self.events.popleft()
        sequence = event.data.get("sequence")
        if sequence is not None and sequence > self.last:
            self.last = sequence
        return event

    async def more(self) -> bool:
        """Wait until there are events; return whether there are: not when nothing more will come or the reader is behind."""
        while not self.events:
            if self.is_over or self.is_behind:
                return False
            self._wanted = asyncio.get_running_loop().create_future()
            try:
                await self._wanted  # bounded by the run, which always ends its feed
            finally:
                self._wanted = None
        return True


class Feed:
    """All watchers of one run."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._watchers: list[Watcher] = []
        self.is_over = False

    @property
    def has_watchers(self) -> bool:
        """Whether anyone listens."""
        return bool(self._watchers)

    def subscribe(self) -> Watcher:
        """Return a new watcher: it gets what is published from now on."""
        watcher = Watcher(self._limit)
        watcher.is_over = self.is_over
        self._watchers.append(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Forget a watcher; the run goes on."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def publish(self, *events: AgentEvent) -> None:
        """Hand events to all watchers."""
        for watcher in self._watchers:
            watcher.put(events)

    def end(self) -> None:
        """Nothing more will come."""
        self.is_over = True
        for watcher in self._watchers:
            watcher.end()
