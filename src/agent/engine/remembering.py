"""What the engine asks of a memory; `agent.memory` has it, and neither knows the other."""

from typing import Protocol

import agent.models.payloads as said
from agent.models.trace import Trace


class Remembering(Protocol):
    """A memory, as a run sees it."""

    async def recall(self, trace: Trace, asked: said.Input) -> said.MemoryRead:
        """Return what there is for a run; raises nothing unless its caller is cancelled."""
        ...


class Learning(Protocol):
    """A memory, as those see it who record what is said of runs."""

    async def learnt_from(self, trace_id: str, step_id: str) -> str | None:
        """Learn from a run, and return the id of the experience that came of a step of it. None: none did, or it failed and is left for later."""
        ...

    def learn_soon(self, trace_id: str) -> None:
        """Learn from a run that rests, in the memory's own time."""
        ...


WITHOUT_MEMORY = said.MemoryRead(error="this process has no memory store")
"""What a run reads that began with a memory and goes on without one."""
