"""Seasoned: a runtime for LLM agents that gains experience. Public names load on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.assemble import open_model, open_store
    from agent.config import AgentConfig, CallResult
    from agent.errors import AgentError, AlreadyDecided
    from agent.events import AgentEvent
    from agent.models.approval import Approval
    from agent.models.memory import Experience, Skill
    from agent.models.trace import Step, Trace
    from agent.runner import AgentRunner
    from agent.tools.context import ToolContext
    from agent.tools.registry import ToolRegistry, get_tool_registry

_HOMES = {
    "agent.assemble": ("open_model", "open_store"),
    "agent.config": ("AgentConfig", "CallResult"),
    "agent.errors": ("AgentError", "AlreadyDecided"),
    "agent.events": ("AgentEvent",),
    "agent.models.approval": ("Approval",),
    "agent.models.memory": ("Experience", "Skill"),
    "agent.models.trace": ("Step", "Trace"),
    "agent.runner": ("AgentRunner",),
    "agent.tools.context": ("ToolContext",),
    "agent.tools.registry": ("ToolRegistry", "get_tool_registry"),
}
_WHERE = {name: home for home, names in _HOMES.items() for name in names}
__all__ = ["AgentConfig", "AgentError", "AgentEvent", "AgentRunner", "AlreadyDecided", "Approval", "CallResult", "Experience", "Skill", "Step", "ToolContext", "ToolRegistry", "Trace", "get_tool_registry", "open_model", "open_store"]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'agent' has no attribute {name!r}")
