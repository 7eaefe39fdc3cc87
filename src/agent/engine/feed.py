"""Events on their way to those who watch a run. A slow or vanished reader never slows the run."""

import asyncio
from collections import deque

from agent.events import AgentEvent


class Watcher:
    """One reader's queue. When it falls too far behind it is emptied; the reader then goes on from the log."""

    def __init__(self, limit: int) -> None:
        self._events: deque[AgentEvent] = deque()
        self._limit = limit
        self._wanted: asyncio.Future[None] | None = None
        self.is_over = False  # nothing more will come
        self.is_behind = False  # events were dropped: read the log from the last sequence seen

    def put(self, events: list[AgentEvent]) -> None:
        """Queue events, or drop all where the reader is too far behind."""
        if self.is_behind:
            return
        self._events.extend(events)
        if len(self._events) > self._limit:
            self._events.clear()
            self.is_behind = True
        self._wake()

    def end(self) -> None:
        """Say that nothing more will come."""
        self.is_over = True
        self._wake()

    def _wake(self) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)

    async def get(self) -> AgentEvent | None:
        """Return the next event, or None when nothing more will come or the reader is behind."""
        while not self._events:
            if self.is_over or self.is_behind:
                return None
            self._wanted = asyncio.get_running_loop().create_future()
            await self._wanted  # bounded by the run, which always ends its feed
        return self._events.popleft()


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
            watcher.put(list(events))

    def end(self) -> None:
        """Nothing more will come."""
        self.is_over = True
        for watcher in self._watchers:
            watcher.end()
