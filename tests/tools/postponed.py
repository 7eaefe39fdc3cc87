"""A module whose hints are text until they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from agent.tools.context import ToolContext
    from agent.tools.registry import ToolRegistry


class Item(BaseModel):
    name: str
    parts: list[Item] = []


async def buy(ctx: ToolContext, item: Item, count: int | None = None) -> str:
    """Buy an item."""
    return f"{type(item).__name__} {item.name} {count} {ctx.uid}"


def register_local(registry: ToolRegistry) -> Any:
    class Local(BaseModel):
        n: int

    @registry.tool(effect="read")
    def use_local(local: Local) -> int:
        return local.n

    return use_local


def use_item(item: Item) -> str:
    return item.name
