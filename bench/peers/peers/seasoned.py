"""This project, through its public API: AgentRunner on a store of open_store."""

from typing import Any

from common import FINAL, SYSTEM, TASK, say

import agent
from agent.tools.registry import ToolRegistry

MODES = ["off", "memory", "full", "full_thread"]
DEFAULT = "full"
DISTS = ["seasoned"]
IMPORT = "agent"


class Peer:
    """`full`: SQLite with synchronous=FULL; `full_thread`: the same, always through the writer thread; `off`: no store."""

    def __init__(self, mode: str, folder: str, script: Any) -> None:
        self.mode, self.folder, self.script = mode, folder, script
        self.store: Any = None

    async def setup(self) -> None:
        url = {"off": None, "memory": "memory://"}.get(self.mode, f"sqlite:///{self.folder}/runs.db")
        if self.mode == "full_thread":
            from agent.storage.sqlite.database import Database
            from agent.storage.sqlite.store import SqliteStore

            self.store = SqliteStore(await Database.open(f"{self.folder}/runs.db", may_block_loop=False))
        elif url:
            self.store = await agent.open_store(url)
        registry = ToolRegistry()
        script = self.script

        @registry.tool(effect="idempotent")
        async def work(i: int) -> str:
            """Do part i of the work."""
            return await script.atool(i)

        async def model(messages: list[dict[str, Any]], model: str, tools: Any = None) -> dict[str, Any]:
            last = messages[-1]
            step = int(last["tool_call_id"].split("-")[1]) + 1 if last["role"] == "tool" else 1
            asked = script.decide(step)
            if asked is None:
                return {"content": FINAL, "tool_calls": None, "prompt_tokens": 10, "completion_tokens": 5, "cost": None}
            calls = [{"id": f"c-{step}-{i}", "type": "function", "function": {"name": "work", "arguments": '{"i": %d}' % i}} for i in asked]
            return {"content": say(step), "tool_calls": calls, "prompt_tokens": 10, "completion_tokens": 5, "cost": None}

        traces = self.store.traces if self.store else None
        self.runner = agent.AgentRunner(trace_store=traces, tool_registry=registry, llm_call=model)
        self.ids: dict[str, str] = {}

    async def run(self, run_id: str, steps: int) -> str | None:
        answer = None
        async for event in self.runner.run(TASK, system_prompt=SYSTEM, model="fake", tools=["work"], max_iterations=10_000_000, uid="u1", conversation_id=None, agent_type=run_id):
            if event.type == "conclusion":
                answer = event.data["content"]
        return answer

    async def _trace_id(self, run_id: str) -> str:
        found = await self.store.traces.list_traces(agent_type=run_id, limit=1)
        return found[0].trace_id

    async def load(self, run_id: str) -> int:
        """Read the whole run and fold it, as a resume does."""
        from agent.core.fold import fold

        steps = await self.store.traces.read_steps(await self._trace_id(run_id))
        fold(steps)
        return len(steps)

    async def resume(self, run_id: str, steps: int) -> str | None:
        answer = None
        async for event in self.runner.resume(await self._trace_id(run_id)):
            if event.type == "conclusion":
                answer = event.data["content"]
            if event.type == "trace_waiting":
                answer = "in doubt"
        return answer

    async def close(self) -> None:
        await self.runner.aclose()
        if self.store:
            await self.store.close()
