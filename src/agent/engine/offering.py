"""What a model is offered in each call: the run's own tools, and those that the runner brings where there is a use for them."""

from typing import Any

import agent.models.payloads as said
from agent.core.state import RunState
from agent.engine.cut_results import READ_RESULT, reading_schemas, reading_tool
from agent.engine.shop import Shop
from agent.engine.skill_tools import SKILL_TOOLS, skill_schemas, skill_tool
from agent.tools.tool import Tool

OWN_TOOLS = (READ_RESULT, *SKILL_TOOLS)
"""Names of the tools that the runner has itself; all of them only read."""


def schemas_of(shop: Shop, asked: said.Input, state: RunState) -> list[dict[str, Any]] | None:
    """Return what the model is offered now: the run's tools, with skills those that read them, and once a result was cut `read_result`."""
    schemas = list(asked.schemas)
    if state.memory is not None and state.memory.skills:
        schemas += skill_schemas(shop, state)
    if state.cut and schemas:
        schemas += reading_schemas(shop, asked, state)
    return schemas or None


def own_tool(shop: Shop, state: RunState, name: str) -> Tool | None:
    """Return a tool that the runner brings, where this run is offered it."""
    if name == READ_RESULT:
        return reading_tool(shop, state)
    return skill_tool(shop, state, name) if name in SKILL_TOOLS else None
