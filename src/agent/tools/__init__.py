"""Tools: what a model may call, how its arguments are checked, and how a call is run once."""

from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry, get_tool_registry

__all__ = ["ToolContext", "ToolRegistry", "get_tool_registry"]
