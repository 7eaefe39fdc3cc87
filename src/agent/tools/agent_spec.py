"""What is declared of an agent that is offered as a tool."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

from agent.models.value import Value

MemoryScope: TypeAlias = Literal["own", "parent"] | None
"""Whose memory a sub-agent reads: that of its own kind of agent, that of the agent which calls it, or none."""


class Model(Protocol):
    """Any model: see `agent.llm.contract.LLMCall`."""

    async def __call__(self, messages: Sequence[dict[str, Any]], model: str, tools: list[dict[str, Any]] | None = None, **settings: Any) -> dict[str, Any]:
        """Return one reply to `messages`."""
        ...


class AgentSpec(Value, frozen=True, kw_only=True):
    """How the runs of a sub-agent begin. What is left out is taken from the run that calls it, or from the configuration."""

    model: str | None = None
    llm_call: Model | None = None
    system_prompt: str | None = None
    tools: tuple[str, ...] = ()
    agent_type: str | None = None  # None: the tool's name
    max_iterations: int | None = None
    limits: dict[str, Any] = {}
    memory: MemoryScope = None
    settings: dict[str, Any] = {}  # for the model

    def digest(self, schema_hash: str) -> str:
        """Return what a decision on a call is bound to: the tool as the model sees it, and all that says what its runs may do."""
        said = [schema_hash, self.model, self.system_prompt, self.tools, self.agent_type, self.max_iterations, self.limits, self.memory, self.settings]
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
