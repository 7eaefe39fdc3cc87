"""What a policy hook sees of a call, and what it may say of it.

A hook is a plain function in `AgentConfig.policies`. It can refuse a call or have a person asked about it; no hook takes back
what another one, or the tool itself, asks for.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from agent.models.value import Value


class PolicyCall(Value, frozen=True, kw_only=True):
    """One call before it runs. `arguments` are a copy, parsed and checked against the tool's schema."""

    tool_name: str
    effect: str  # read, idempotent, unsafe or transactional
    arguments: dict[str, Any]
    uid: str | None
    agent_type: str | None
    trace_id: str
    call_id: str
    task: Any  # text, or content parts
    untrusted: tuple[str, ...] = ()  # the tools whose untrusted results the model had seen when it asked for this call
    deps: Any = None  # what the run was given as `deps=`

    def __repr__(self) -> str:
        # not deps: they may hold connections and keys
        return f"PolicyCall(tool_name={self.tool_name!r}, arguments={self.arguments!r}, uid={self.uid!r}, call_id={self.call_id!r})"


class Ruling(Value, frozen=True):
    """A hook's word: made by `allow`, `deny` or `ask`."""

    answer: Literal["allow", "deny", "ask"]
    reason: str = ""


Policy: TypeAlias = Callable[[PolicyCall], Ruling]
"""A policy hook. It runs on the event loop before every call: it is to answer at once, without waiting for anything."""


def allow() -> Ruling:
    """Return the ruling that this hook has nothing against the call; others may."""
    return Ruling("allow")


def deny(reason: str) -> Ruling:
    """Return the ruling that the call must not run; the model is told `reason`, and no person can let it run."""
    return Ruling("deny", reason)


def ask(reason: str) -> Ruling:
    """Return the ruling that a person decides; they see `reason`."""
    return Ruling("ask", reason)


def policy_name(policy: Any) -> str:
    """Return how a hook is called on the record: `module:function`."""
    inner = getattr(policy, "func", policy)  # of a functools.partial
    named = inner if hasattr(inner, "__qualname__") else type(inner)
    return f"{named.__module__}:{named.__qualname__}"
