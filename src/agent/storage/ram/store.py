"""A whole store in memory."""

from agent.storage.ram.memories import RamMemoryStore
from agent.storage.ram.states import RamStateStore
from agent.storage.ram.traces import RamTraceStore


class RamStore:
    """Traces, memories and states of this process; gone with it."""

    def __init__(self) -> None:
        self.traces = RamTraceStore()
        self.memories = RamMemoryStore()
        self.states = RamStateStore()

    async def close(self) -> None:
        """Refuse further work; a second call does nothing."""
        await self.traces.close()
