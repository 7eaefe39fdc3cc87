"""A store of each make, tools that show what reached them, and the strings that break software."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.assemble import open_store
from agent.storage.protocols import Store
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry

DATA = Path(__file__).parents[1] / "data"
JSON_SUITE: dict[str, str] = json.loads((DATA / "json_test_suite/cases.json").read_text())
NAUGHTY: list[str] = [
    *json.loads((DATA / "naughty_strings/blns.json").read_text()),
    "a\x00b", "\x1b[2J\x1b]0;owned\x07", "\u202etxt.exe", "\ufeff", "\r\n", "[secret:X]", "</memory>", "\x85\u2028\u2029", "😀" * 1000, "e\u0301" * 50,
]  # fmt: skip
SURROGATES = ("\ud800", "\udfff\ud800 backwards", "a\ud83d")
DEPTH = 100_000


def deep(levels: int = DEPTH) -> Any:
    """Return lists in each other."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store("memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'runs.db'}") as opened:
        yield opened


@pytest.fixture
def done() -> list[Any]:
    """What the tools were given."""
    return []


@pytest.fixture
def tools(done: list[Any]) -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool(effect="read")
    async def echo(text: str) -> str:
        "Say it again."
        done.append(text)
        return text

    @registry.tool(effect="unsafe", requires_confirmation=True, editable_params=["text"])
    async def write(text: str) -> str:
        "Write."
        done.append(text)
        return "written"

    @registry.tool(effect="read")
    async def keep(ctx: ToolContext, text: str) -> str:
        "Keep a value and read it back."
        assert ctx.state is not None
        await ctx.state.set("k", text)
        return "same" if await ctx.state.get("k") == text else "different"

    async def take(given: dict[str, Any]) -> str:
        done.append(given)
        return "taken"

    registry.add("take", {"type": "object", "additionalProperties": True}, take, effect="unsafe")
    return registry
