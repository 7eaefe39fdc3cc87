"""What the engine asks of a memory; `agent.memory` has it, and neither knows the other."""

from typing import Protocol

import agent.models.payloads as said
from agent.models.trace import Trace


class Remembering(Protocol):
    """A memory, as a run sees it."""

    async def recall(self, trace: Trace, asked: said.Input) -> said.MemoryRead:
        """Return what there is for a run; raises nothing unless its caller is cancelled."""
        ...


WITHOUT_MEMORY = said.MemoryRead(error="this process has no memory store")
"""What a run reads that began with a memory and goes on without one."""
