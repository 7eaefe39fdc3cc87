"""Tools: what a model may call, how its arguments are checked, and how a call is run once."""

from agent.tools.context import ToolContext
from agent.tools.probing import Done
from agent.tools.registry import ToolRegistry, get_tool_registry

__all__ = ["Done", "ToolContext", "ToolRegistry", "get_tool_registry"]
