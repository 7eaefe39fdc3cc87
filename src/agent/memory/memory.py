"""The memory of a runner: what its runs are told, and what is learnt from them."""

from agent.config import AgentConfig
from agent.memory.finding import Probation, Wanted, scopes_of
from agent.memory.likeness import Likeness
from agent.memory.recalling import Sources, recall
from agent.models.message import task_text
from agent.models.payloads import Input, MemoryRead
from agent.models.trace import Trace
from agent.storage.protocols import MemoryStore, TraceStore


class Memory:
    """Reads and teaches one memory store for the runs of one trace store."""

    def __init__(self, memories: MemoryStore, traces: TraceStore | None, config: AgentConfig, *, probation: Probation | None = None) -> None:
        self.memories, self.traces, self.config, self.probation = memories, traces, config, probation
        self._likeness = Likeness(config)

    async def recall(self, trace: Trace, asked: Input) -> MemoryRead:
        """Return what there is for a run, in all scopes that it may see. A failure or the deadline gives an empty one that says so."""
        scope = f"agent:{asked.agent_type or self.config.agent_type}"
        wanted = Wanted(
            trace_id=trace.trace_id,
            query=task_text(asked.task),
            scope=scope,
            scopes=scopes_of(scope, asked.project),
            uid=trace.uid,
            tools=tuple(asked.tools or ()),
            pinned=tuple(asked.memory.get("pinned", ())),
            excluded=frozenset(asked.memory.get("excluded", ())),
        )
        return await recall(Sources(memories=self.memories, config=self.config, likeness=self._likeness, probation=self.probation), wanted, asked)
