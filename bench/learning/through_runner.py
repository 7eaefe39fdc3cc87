"""One cell through the product: AgentRunner, a SQLite store, real tools, feedback and outcomes as anybody would give them.

The model is the frozen policy: it reads the block that the run was given, and calls the tool that `choose` names. A correction is
`add_feedback(…, "correction", …)` on the step of the call, with the right tool in `corrected=`, or in words only (arm `rules`), or
both (arm `both`); everything else that is seen is `outcome(…)`. Nothing is withheld here: what that costs is the share withheld.
"""

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from protocol import Draw, Luck, Task, choose, draw, own_choice
from simulate import EARLY, Cell, Exam, Result, World

import agent
from agent.core.estimate import text_tokens

SIDES = {"none": (False, False), "rules": (True, False), "cases": (False, False), "full": (False, True), "both": (True, True)}
"""By arm: whether a correction has words, and whether it names the tool."""
AT_A_TIME = 100  # held-out tasks that are tried on one copy of the database, so that they hardly count as runs
UID, TYPE = "bench", "bank"


class Policy:
    """The frozen policy as a model: it calls one tool, then it is done."""

    def __init__(self, cell: Cell, tools: frozenset[str]) -> None:
        self.cell, self.tools = cell, tools
        self.task, self.luck, self.told, self.called = Task("", "", ()), Luck(0, 0, 0, 0, 0), "", ""

    async def __call__(self, messages: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        """Return a call of the tool that this policy takes, and an answer once that has run."""
        if messages[-1]["role"] == "tool":
            return {"content": "Done.", "tool_calls": None, "prompt_tokens": 1, "completion_tokens": 1}
        blocks = [m["content"] for m in messages if str(m.get("content")).startswith("<memory>")]
        self.told = "\n".join(line for block in blocks for line in block.splitlines() if line.startswith("- "))
        self.called = choose(self.task, self.told, reader=self.cell.reader, obeys=self.luck.obeys < self.cell.obeys, tools=self.tools)
        call = {"id": "call-1", "function": {"name": self.called, "arguments": "{}"}}
        return {"content": None, "tool_calls": [call], "prompt_tokens": 1, "completion_tokens": 1}


class Bank:
    """A runner with the 77 tools on a database."""

    def __init__(self, cell: Cell, store: Any, names: tuple[str, ...]) -> None:
        self.cell, self.names = cell, list(names)
        self.policy = Policy(cell, frozenset(names))
        tools = agent.ToolRegistry()
        for name in names:
            tools.add(name, {"type": "object", "properties": {}}, _served, description=name.replace("_", " "), effect="read")
        config = agent.AgentConfig(withhold=0.0, memory_timeout_s=60.0)
        self.runner = agent.AgentRunner(store.traces, store.memories, tool_registry=tools, llm_call=self.policy, config=config)

    async def run(self, task: Task, luck: Luck) -> tuple[str, str]:
        """Run one task; return its trace and the step of the call."""
        self.policy.task, self.policy.luck, trace_id, step_id = task, luck, "", ""
        memory = self.cell.arm != "none"
        async for event in self.runner.run(task.text, tools=self.names, agent_type=TYPE, uid=UID, enable_memory=memory):
            trace_id = event.data["trace_id"]
            if event.type == "tool_result":
                step_id = event.data["step_id"]
        return trace_id, step_id

    async def learn(self, task: Task, luck: Luck, trace_id: str, step_id: str) -> bool:
        """Say what a person or a scorer says of the run; return whether a person corrected it."""
        world, called = self.cell.world, self.policy.called
        has_words, names_tool = SIDES[self.cell.arm]
        if called != task.tool and luck.corrects < world.corrected and (has_words or names_tool):
            words, corrected = f"Use {task.tool}." if has_words else "", {"tool_name": task.tool} if names_tool else None
            await self.runner.add_feedback(trace_id, step_id, "correction", words, corrected=corrected, by="ada", uid=UID)
            return True
        if luck.sees < world.outcomes:
            await self.runner.outcome(trace_id, 1.0 if called == task.tool else 0.0, by="scorer", uid=UID)
        return False


async def _served() -> str:
    """Say that it is done: whether it was the right tool is not for it to know."""
    return "ok"


def run_through(cell: Cell) -> Result:
    """Return how a cell went through the product.

    Raises:
        ValueError: the arm or the world is one that only the pure form has.
    """
    return asyncio.run(run_one(cell))


async def run_one(cell: Cell) -> Result:
    """Do what `run_through` does, in a loop that is there."""
    if cell.arm not in SIDES or cell.world != World(outcomes=cell.world.outcomes, corrected=cell.world.corrected):
        raise ValueError(f"only {', '.join(SIDES)} go through the runner, in a world without noise, drift and retries")
    with tempfile.TemporaryDirectory() as folder:
        return await _run(cell, draw(cell.seed, stream=cell.stream, held_out=cell.held_out), Path(folder))


async def _run(cell: Cell, drawn: Draw, folder: Path) -> Result:
    file, right, tokens, corrections, early = folder / "bank.db", 0, 0.0, 0, None
    async with agent.open_store(f"sqlite:///{file}") as store:
        bank = Bank(cell, store, drawn.tools)
        for at, (task, luck) in enumerate(zip(drawn.stream, drawn.luck, strict=True)):
            if at == EARLY:
                early = await _exam(cell, drawn, file)
            trace_id, step_id = await bank.run(task, luck)
            right += bank.policy.called == task.tool
            tokens += text_tokens(bank.policy.told)
            corrections += await bank.learn(task, luck, trace_id, step_id)
        late = await _exam(cell, drawn, file)
        await bank.runner.aclose()
    count = len(drawn.stream)
    return Result(early=early or late, late=late, stream=right / count, tokens=tokens / count, corrections=corrections)


async def _exam(cell: Cell, drawn: Draw, file: Path) -> Exam:
    """Try the held-out tasks on copies of the database."""
    right: list[bool] = []
    harmed, tokens = 0, 0.0
    pairs = list(zip(drawn.held_out, drawn.held_out_luck, strict=True))
    for first in range(0, len(pairs), AT_A_TIME):
        copy = file.with_name(f"copy-{first}.db")
        with closing(sqlite3.connect(file)) as whole, closing(sqlite3.connect(copy)) as part:
            whole.backup(part)
        async with agent.open_store(f"sqlite:///{copy}") as store:
            bank = Bank(cell, store, drawn.tools)
            for task, luck in pairs[first : first + AT_A_TIME]:
                await bank.run(task, luck)
                right.append(bank.policy.called == task.tool)
                harmed += bank.policy.called != task.tool and own_choice(task) == task.tool
                tokens += text_tokens(bank.policy.told)
            await bank.runner.aclose()
        copy.unlink()
    return Exam(tuple(right), harmed / len(right), tokens / len(right))
