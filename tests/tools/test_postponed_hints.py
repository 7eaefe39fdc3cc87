import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import postponed  # type: ignore[import-not-found]  # it lies beside this file

from agent.tools.registry import ToolRegistry


async def test_hints_that_are_text_are_resolved() -> None:
    registry = ToolRegistry()
    tool = registry.register(postponed.buy, effect="read")

    assert list(tool.parameters["properties"]) == ["item", "count"]
    assert await registry.execute("buy", {"item": {"name": "x", "parts": [{"name": "y"}]}}, "ada") == "Item x None ada"


async def test_hints_may_name_what_is_local_where_the_tool_is_registered() -> None:
    registry = ToolRegistry()
    postponed.register_local(registry)

    assert await registry.execute("use_local", {"local": {"n": 3}}) == "3"
