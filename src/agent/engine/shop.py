"""What all runs of one runner share."""

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import agent.models.payloads as said
from agent.config import AgentConfig
from agent.core.redact import Redactor, secrets_in
from agent.engine.log import RunLog
from agent.engine.remembering import Learning, Remembering
from agent.llm.contract import LLMCall, StreamingModel
from agent.storage.protocols import MemoryStore, StateStore
from agent.storage.state_values import RESERVED, not_reserved
from agent.tools.output import OutputChecker
from agent.tools.registry import ToolRegistry


@dataclass(slots=True)
class Shop:
    """The log, the model, the tools, the memory and the settings that drivers work with."""

    log: RunLog
    llm_call: LLMCall | None
    tools: ToolRegistry
    memories: MemoryStore | None
    states: StateStore | None
    config: AgentConfig
    memory: Remembering | None = None
    learning: Learning | None = None
    redactor: Redactor = field(init=False)
    _streaming: tuple[Any, bool] = (None, False)

    def __post_init__(self) -> None:
        """Collect the secrets that are known at this moment."""
        secrets = dict(secrets_in(os.environ)) if self.config.redact_environment else {}
        self.redactor = Redactor({**secrets, **self.config.secrets})

    @property
    def is_streaming(self) -> bool:
        """Whether the model can tell its reply while it forms."""
        if self._streaming[0] is not self.llm_call:
            self._streaming = (self.llm_call, isinstance(self.llm_call, StreamingModel))
        return self._streaming[1]


def shop_of(shop: Shop, asked: said.Input | None) -> Shop:
    """Return the shop for a run: with the model of its own that a sub-agent may have, where it is declared here."""
    name = asked.asked_by[-1].get("tool_name") if asked is not None and asked.asked_by else None
    spec = shop.tools.get(name).agent if isinstance(name, str) and name in shop.tools else None
    if spec is None or spec.llm_call is None:
        return shop
    own = copy.copy(shop)
    own.llm_call = spec.llm_call
    return own


class BoundState:
    """The state store as one tenant sees it: what a tool gets as `ctx.state`. This program's own keys are not in it."""

    __slots__ = ("_store", "_uid")

    def __init__(self, store: StateStore, uid: str | None) -> None:
        self._store, self._uid = store, uid

    async def get(self, key: str) -> Any:
        """Return the value, or None."""
        return await self._store.get(not_reserved(key), uid=self._uid)

    async def set(self, key: str, value: Any, *, if_version: int | None = None, ttl_s: float | None = None) -> int:
        """Set a value and return its version; `if_version` as in the store."""
        return await self._store.set(not_reserved(key), value, uid=self._uid, if_version=if_version, ttl_s=ttl_s)

    async def delete(self, key: str) -> Any:
        """Remove a value."""
        return await self._store.delete(not_reserved(key), uid=self._uid)

    async def list(self, prefix: str = "") -> Any:
        """Return the entries whose key begins with `prefix`."""
        return [entry for entry in await self._store.list(prefix, uid=self._uid) if not entry.key.startswith(RESERVED)]


@dataclass(slots=True, kw_only=True)
class RunNeeds:
    """What a run needs and the log never holds: keywords that may be keys or clients, and injected dependencies."""

    passing: Mapping[str, Any] = field(default_factory=dict)
    deps: Any = None
    output: OutputChecker | None = None  # made from the caller's type; None: from the schema on the log
    has_lost_call: bool = False  # a model call may have been cut off with the process that drove the run before
