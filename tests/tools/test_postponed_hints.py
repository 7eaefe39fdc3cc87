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


async def test_a_name_where_the_function_is_defined_goes_before_the_same_name_where_it_is_registered() -> None:
    Item = int  # noqa: N806
    registry = ToolRegistry()
    registry.register(postponed.use_item, effect="read")

    assert await registry.execute("use_item", {"item": {"name": "x"}}) == "x"
    assert Item is int
