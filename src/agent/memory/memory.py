"""The memory of a runner: what its runs are told, and what is learnt from them."""

from agent.config import AgentConfig
from agent.memory.recalling import recall
from agent.models.message import task_text
from agent.models.payloads import Input, MemoryRead
from agent.models.trace import Trace
from agent.storage.protocols import MemoryStore, TraceStore


class Memory:
    """Reads and teaches one memory store for the runs of one trace store."""

    def __init__(self, memories: MemoryStore, traces: TraceStore | None, config: AgentConfig) -> None:
        self.memories, self.traces, self.config = memories, traces, config

    async def recall(self, trace: Trace, asked: Input) -> MemoryRead:
        """Return what there is for a run, in the scope of its kind of agent. A failure or the deadline gives an empty one that says so."""
        scope = f"agent:{asked.agent_type or self.config.agent_type}"
        return await recall(self.memories, self.config, asked=asked, scope=scope, query=task_text(asked.task), uid=trace.uid)
