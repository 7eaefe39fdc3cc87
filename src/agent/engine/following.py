"""What other processes append: one look for all runs that are driven or watched here."""

import asyncio
import logging
from collections.abc import Callable

from agent.config import AgentConfig
from agent.errors import AgentError
from agent.storage.protocols import TraceLog

logger = logging.getLogger("agent")
RETRY_S = 1.0  # after a look that failed


class Follower:
    """Asks the log for news while anyone wants some, and tells them by trace id."""

    def __init__(self, log: TraceLog, config: AgentConfig) -> None:
        self._log, self._config = log, config
        self._drivers: dict[str, Callable[[int], None]] = {}
        self._watchers: dict[str, list[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None

    def drive(self, trace_id: str, notice: Callable[[int], None]) -> None:
        """Call `notice(sequence)` for steps of a run that is driven here, whoever appended them."""
        self._drivers[trace_id] = notice
        self._begin()

    def release(self, trace_id: str, notice: Callable[[int], None]) -> None:
        """The run is no longer driven here."""
        if self._drivers.get(trace_id) == notice:
            del self._drivers[trace_id]

    def watch(self, trace_id: str) -> asyncio.Event:
        """Return an event that is set whenever the trace has grown."""
        event = asyncio.Event()
        self._watchers.setdefault(trace_id, []).append(event)
        self._begin()
        return event

    def leave(self, trace_id: str, event: asyncio.Event) -> None:
        """Nobody waits for `event` any more."""
        events = self._watchers.get(trace_id, [])
        if event in events:
            events.remove(event)
        if not events:
            self._watchers.pop(trace_id, None)

    def _begin(self) -> None:
        if self._task is None or self._task.done() or self._task.get_loop() is not asyncio.get_running_loop():  # an earlier loop of this process
            self._task = asyncio.create_task(self._follow(), name="follow the log")

    async def _follow(self) -> None:
        cursor: int | None = None
        while self._drivers or self._watchers:
            try:
                news, cursor = await self._log.changes_since(cursor)
            except AgentError as error:
                logger.debug("the log could not be followed: %s", error)
                await asyncio.sleep(RETRY_S)
                continue
            for trace_id, sequence in news:
                if trace_id in self._drivers:
                    self._drivers[trace_id](sequence)
                for event in self._watchers.get(trace_id, ()):
                    event.set()
            await asyncio.sleep(self._config.follow_interval_s if self._watchers else self._config.control_interval_s)

    async def aclose(self) -> None:
        """Stop looking."""
        if self._task is not None and self._task.get_loop() is asyncio.get_running_loop():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
