"""The memory of a runner: what its runs are told, and what is learnt from them."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from agent.config import AgentConfig
from agent.llm.contract import LLMCall
from agent.memory.conflicts import Conflicts
from agent.memory.credit import Credit
from agent.memory.finding import Sources, Wanted, scopes_of
from agent.memory.learning import Learner
from agent.memory.likeness import Likeness
from agent.memory.recalling import recall
from agent.memory.wishes import ids_in
from agent.models.message import task_text
from agent.models.payloads import Input, MemoryRead
from agent.models.trace import Trace
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import MemoryStore, TraceLog, TraceStore

logger = logging.getLogger("agent")
CAUGHT_UP_S = 0.5
"""How long a run waits, before it reads the memory, for what others left unlearnt; that goes on meanwhile."""
FINISH_S = 5.0
"""How long closing waits for what is being learnt; what is not done by then is learnt by whoever comes next."""


def _no_model() -> LLMCall | None:
    return None


class Memory:
    """Reads and teaches one memory store for the runs of one trace store."""

    def __init__(self, memories: MemoryStore, traces: TraceStore | None, config: AgentConfig, model: Callable[[], LLMCall | None] = _no_model) -> None:
        self.memories, self.traces, self.config = memories, traces, config
        self.credit = Credit(memories) if isinstance(memories, LearningStore) else None
        self.learner = Learner(memories, traces, config, model, self._review) if traces is not None else None
        self.conflicts = Conflicts(memories) if isinstance(memories, LearningStore) else None
        self._sources = Sources(memories=memories, config=config, likeness=Likeness(config), credit=self.credit)
        self._learning: set[asyncio.Task[Any]] = set()

    async def recall(self, trace: Trace, asked: Input) -> MemoryRead:
        """Return what there is for a run, in all scopes that it may see. A failure or the deadline gives an empty one that says so."""
        await self._catch_up(trace.uid)
        scope = f"agent:{asked.agent_type or self.config.agent_type}"
        wanted = Wanted(
            trace_id=trace.trace_id,
            query=task_text(asked.task),
            scope=scope,
            scopes=scopes_of(scope, asked.project),
            uid=trace.uid,
            tools=tuple(asked.tools or ()),
            pinned=ids_in(asked.memory, "pinned"),
            excluded=frozenset(ids_in(asked.memory, "excluded")),
        )
        return await recall(self._sources, wanted, asked)

    # ---- learning

    async def learn(self, trace_id: str, *, even_unasked: bool = False, uid: str | None = None) -> list[str]:
        """Learn from a run now, and return the ids of the experiences that came of it. A second time changes nothing.

        `even_unasked`: also from what was only to be recorded, and from a run without memory.

        Raises:
            TraceNotFound: there is none (or it is another uid's).
        """
        found = await self.learner.learn(trace_id, even_unasked=even_unasked, uid=uid) if self.learner is not None else {}
        return list(dict.fromkeys(found.values()))

    async def learnt_from(self, trace_id: str, step_id: str) -> str | None:
        """Learn from a run, and return the id of the experience that came of a step of it. None: none did, or it failed and is left for later."""
        found = await self.learner.attempt(trace_id) if self.learner is not None else None
        return None if found is None else found.get(step_id)

    async def digest(self, uid: str | None = None) -> int:
        """Learn from runs of a uid that a crash left unlearnt, a bounded number at one go; return from how many."""
        return await self.learner.digest(uid) if self.learner is not None else 0

    def learn_soon(self, trace_id: str) -> None:
        """Learn from a run that rests, in a task of its own."""
        if self.learner is not None and isinstance(self.traces, TraceLog):
            _ = self._spawn(self.learner.attempt(trace_id))

    async def aclose(self) -> None:
        """Wait a little for what is being learnt; the rest stays unlearnt, and is learnt by whoever comes next."""
        loop = asyncio.get_running_loop()
        tasks = [task for task in self._learning if task.get_loop() is loop]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=FINISH_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _catch_up(self, uid: str | None) -> None:
        if self.learner is None or not isinstance(self.traces, TraceLog):
            return
        await asyncio.wait({self._spawn(self._digested(self.learner, uid))}, timeout=CAUGHT_UP_S)

    async def _digested(self, learner: Learner, uid: str | None) -> None:
        try:
            await learner.digest(uid)
        except Exception:
            logger.warning("what is left unlearnt could not be looked up", exc_info=True)

    def _spawn(self, learning: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.ensure_future(learning)
        self._learning.add(task)
        task.add_done_callback(self._learning.discard)
        return task

    async def _review(self, trace_id: str, uid: str | None) -> None:
        """Take out of use what did harm, now that it is known how a run went that was told of it."""
        if self.credit is not None:
            await self.credit.review(trace_id, uid=uid)
