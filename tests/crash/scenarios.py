"""Runs that the crash kit kills everywhere. Each is played again after every kill."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from agent.config import AgentConfig
from agent.memory.skills import keep
from agent.models.approval import Approval
from agent.models.memory import Skill, SkillFile, SkillFolder
from agent.skills.reading import with_id
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.testing.stage import Stage, approve
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry

THEN = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = AgentConfig(parallel_tools=2)  # a third sibling waits for its turn


def tools_of(stage: Stage) -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool(effect="unsafe")
    async def pay(ctx: ToolContext, n: int) -> str:
        "Pay."
        stage.point("inside pay")
        await asyncio.sleep(0)
        return f"paid {n}"

    @registry.tool(effect="read")
    def look(n: int) -> str:
        "Look."
        return f"seen {n}"

    @registry.tool(effect="idempotent")
    async def put(ctx: ToolContext, n: int) -> str:
        "Put."
        return f"put {n}"

    @registry.tool(effect="unsafe", requires_confirmation=True, editable_params=["n"])
    async def send(n: int) -> str:
        "Send when a person says so."
        return f"sent {n}"

    @registry.tool(effect="unsafe", requires_confirmation=True, expires=0.000001)
    async def send_soon(n: int) -> str:
        "Send at once or never."
        return f"sent {n}"

    @registry.tool(effect="transactional")
    async def count(ctx: ToolContext, n: int) -> str:
        "Add to a counter."
        before = await ctx.state.get("counter") or 0
        await ctx.state.set("counter", before + n)
        stage.point("inside count")
        return f"{before + n} now"

    return registry


def edit_approve_reject(item: Approval) -> Mapping[str, Any]:
    number = item.arguments["n"]
    if number == 1:
        return {"verdict": "edit", "arguments": {"n": 7}, "by": "me"}
    return approve(item) if number == 3 else {"verdict": "reject", "reason": "no", "by": "me"}


async def serial(stage: Stage) -> None:
    lines: list[Any] = [asks(tool_request("pay", {"n": 1})), asks(tool_request("look", {"n": 2})), asks(tool_request("put", {"n": 3})), "done"]
    async with stage.runner(tools=tools_of(stage), llm=ScriptedLLM(lines)) as runner:
        await stage.drive(runner, "one after the other", tools=["pay", "look", "put"])


async def parallel(stage: Stage) -> None:
    lines: list[Any] = [
        asks(tool_request("look", {"n": 1}), tool_request("pay", {"n": 2}), tool_request("put", {"n": 3})),
        asks(tool_request("pay", {"n": 4}), tool_request("pay", {"n": 5}), tool_request("nobody", {}), tool_request("pay", {"n": 6})),
        "done",
    ]
    async with stage.runner(tools=tools_of(stage), llm=ScriptedLLM(lines), config=CONFIG) as runner:
        await stage.drive(runner, "at once", tools=["pay", "look", "put"])


async def approval(stage: Stage) -> None:
    lines: list[Any] = [
        asks(tool_request("send", {"n": 1}), tool_request("look", {"n": 2})),
        asks(tool_request("send", {"n": 3})),
        asks(tool_request("send", {"n": 5})),
        "done",
    ]

    async with stage.runner(tools=tools_of(stage), llm=ScriptedLLM(lines)) as runner:
        await stage.drive(runner, "ask first", tools=["send", "look"], decide=edit_approve_reject)


async def expiry(stage: Stage) -> None:
    lines: list[Any] = [asks(tool_request("send_soon", {"n": 1}), tool_request("look", {"n": 2})), "done"]
    async with stage.runner(tools=tools_of(stage), llm=ScriptedLLM(lines)) as runner:
        await stage.drive(runner, "too late", tools=["send_soon", "look"])


async def memory(stage: Stage) -> None:
    lines: list[Any] = [asks(tool_request("look", {"n": 1})), "done"]
    async with stage.runner(tools=tools_of(stage), llm=ScriptedLLM(lines), memory=True) as runner:
        first = await stage.drive(runner, "learn something", tools=["look"])
        assert stage.store is not None
        steps = await stage.store.traces.read_steps(first.trace_id)
        target = next(step for step in steps if step.step_type == "conclusion")
        if not any(step.step_type == "memory_write" for step in steps):
            await runner.add_feedback(first.trace_id, target.step_id, "correction", "Say it in French.")
        await stage.drive(runner, "learn something more", tools=["look"])


async def transactional(stage: Stage) -> None:
    lines: list[Any] = [
        asks(tool_request("count", {"n": 1})),
        asks(tool_request("count", {"n": 10}), tool_request("pay", {"n": 2}), tool_request("count", {"n": 100})),
        asks(tool_request("count", {"n": 1000})),
        "done",
    ]
    async with stage.runner(tools=tools_of(stage), llm=ScriptedLLM(lines), config=AgentConfig(parallel_tools=1)) as runner:
        await stage.drive(runner, "count", tools=["count", "pay"])


async def compaction(stage: Stage) -> None:
    long = "word " * 300

    def next_line(messages: list[dict[str, Any]]) -> Any:
        if not any(message.get("role") == "tool" for message in messages) and "summ" in str(messages).lower():
            return "a summary of it"
        number = sum("page" in str(message.get("content")) for message in messages)
        return asks(tool_request("look", {"n": number}), content=f"page {number} {long}") if "stop" not in str(messages) and number < 4 else "done"

    async with stage.runner(tools=tools_of(stage), llm=ScriptedLLM([next_line] * 30), config=AgentConfig(context_window=1_200, keep_turns=1)) as runner:
        await stage.drive(runner, "read a long book", tools=["look"])


async def subagent(stage: Stage) -> None:
    tools = tools_of(stage)
    helps: list[Any] = [asks(tool_request("pay", {"n": 1}), tool_request("send", {"n": 3})), asks(tool_request("put", {"n": 2})), "helped"]
    tools.add_agent("helper", "Helps.", llm_call=stage.model(ScriptedLLM(helps)), tools=["pay", "put", "send"])
    lines: list[Any] = [asks(tool_request("helper", {"task": "help me"}), tool_request("look", {"n": 4})), asks(tool_request("pay", {"n": 5})), "done"]
    async with stage.runner(tools=tools, llm=ScriptedLLM(lines)) as runner:
        await stage.drive(runner, "ask another", tools=["helper", "look", "pay"], decide=approve)


async def conversation(stage: Stage) -> None:
    lines: list[Any] = [asks(tool_request("pay", {"n": 1})), "done"]
    async with stage.runner(tools=tools_of(stage), llm=ScriptedLLM(lines)) as runner:
        await stage.drive(runner, "first turn", tools=["pay"], conversation_id="talk")
        await stage.drive(runner, "second turn", tools=["pay"], conversation_id="talk")


async def fork(stage: Stage) -> None:
    lines: list[Any] = [asks(tool_request("put", {"n": 1})), asks(tool_request("look", {"n": 2})), "done"]
    async with stage.runner(tools=tools_of(stage), llm=ScriptedLLM(lines)) as runner:
        parent = await stage.drive(runner, "the trunk", tools=["put", "look"])
        if await stage.trace_of("the branch") is None:
            await runner.fork(parent.trace_id, 0, task="the branch")
        await stage.drive(runner, "the branch")


async def skills(stage: Stage) -> None:
    """A run reads a skill and a file of it, and another version comes in before and after."""
    model = ScriptedLLM(
        [
            asks(tool_request("use_skill", {"name": "rates"}), tool_request("look", {"n": 1})),
            asks(tool_request("read_skill_file", {"name": "rates", "path": "a.md"}), tool_request("pay", {"n": 2})),
            "done",
        ]
    )
    async with stage.runner(tools=tools_of(stage), llm=model, config=CONFIG, memory=True) as runner:
        assert stage.store is not None
        await keep(stage.store.memories, rates("21 %", created_at=THEN))
        await stage.drive(runner, "go", tools=["look", "pay"])
        await keep(stage.store.memories, rates("7 %", created_at=THEN))


def rates(text: str, **fields: Any) -> Skill:
    folder = SkillFolder(files=(SkillFile("a.md", text.encode()),))
    return with_id(Skill.create("shared", "rates", "What the rates are.", "See a.md.", folder=folder, **fields))
