"""Runs that are told of memory, and what they were told."""

from collections.abc import Sequence
from typing import Any

from agent.config import AgentConfig
from agent.core.advice import item_id_of
from agent.models.learning import Case
from agent.models.memory import Experience
from agent.models.payloads import MemoryRead, payload_of
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM
from agent.tools.registry import ToolRegistry

SCOPE, UID = "agent:clerk", "shop"
TASK = "Where is my new card?"
LOOK = item_id_of(SCOPE, UID, "look_up_card")


def case(number: int = 1, tool: str = "look_up_card", sign: int = 1, **fields: Any) -> Case:
    given: dict[str, Any] = {"scope": SCOPE, "uid": UID, "task": TASK, "signal": "outcome", "trace_id": f"old-{number}", "step_id": f"old-{number}/2", **fields}
    return Case(case_id=f"{number}/{tool}/{sign}", tool=tool, sign=1 if sign > 0 else -1, **given)


def rule(condition: str, words: str, **fields: Any) -> Experience:
    return Experience.create(fields.pop("scope", SCOPE), condition, words, uid=fields.pop("uid", UID), **fields)


def tools() -> ToolRegistry:
    registry = ToolRegistry()
    for name in ("look_up_card", "freeze_card", "order_card"):
        registry.add(name, {"type": "object", "properties": {}}, lambda: "done", description=name, effect="read")
    return registry


class Told:
    """Runs tasks and reads what they were told."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def one(
        self, task: Any = TASK, *, offered: Sequence[str] = ("look_up_card", "freeze_card"), uid: str = UID, memories: Any = None, **more: Any
    ) -> MemoryRead:
        config = AgentConfig(agent_type="clerk", **more.pop("config", {}))
        self.llm = ScriptedLLM(["done"])
        async with AgentRunner(self.store.traces, memories or self.store.memories, tool_registry=tools(), llm_call=self.llm, config=config) as runner:
            self.events = await collect(runner.run(task, tools=list(offered), uid=uid, **more))
        self.trace_id = str(self.events[0].data["trace_id"])
        steps = await self.store.traces.get_trace_steps(self.trace_id)
        (read,) = [payload for step in steps if isinstance(payload := payload_of(step), MemoryRead)]
        seen = [message["content"] for message in self.llm.calls[0]["messages"]]
        assert not read.block or any(read.block in str(content) for content in seen)
        return read


def arms(read: MemoryRead) -> dict[str, str]:
    return {item["item_id"]: item["arm"] for item in read.items}
