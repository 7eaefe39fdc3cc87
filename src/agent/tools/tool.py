"""A tool as a value: what the model is shown, what runs, and what may go wrong with it."""

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias, get_args

import msgspec

from agent.models.value import Value
from agent.tools.agent_spec import AgentSpec

Effect: TypeAlias = Literal["read", "idempotent", "unsafe", "transactional"]
EFFECTS: tuple[str, ...] = get_args(Effect)
Confirmation: TypeAlias = bool | Callable[..., bool]
"""Whether a person is asked: always, never, or as a function of the arguments (and of the context, where it takes two) says."""

Complaints: TypeAlias = list[str]


class ArgumentChecker(Protocol):
    """Knows one tool's parameters. `encoded` is the same JSON object as `arguments`, as UTF-8."""

    def check(self, arguments: dict[str, Any], encoded: bytes) -> Complaints:
        """Return what is wrong; nothing is, where the list is empty."""
        ...

    def repair(self, arguments: dict[str, Any], encoded: bytes) -> dict[str, Any] | None:
        """Return the plain arguments that were probably meant, or None."""
        ...

    def bind(self, arguments: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what the function is called with: typed values, without the context.

        Raises:
            ToolArgumentsInvalid: the arguments do not fit.
        """
        ...


def shortened(text: str, max_chars: int) -> str:
    """Return `text`, cut with an ellipsis where it is longer."""
    return text if len(text) <= max_chars else text[:max_chars] + "…"


class EffectUndeclared(UserWarning):
    """A tool was registered without `effect`: it is taken for `unsafe`."""


class Tool(Value, frozen=True, kw_only=True):
    """What a model may call. `parameters` is a JSON schema of an object; do not change it."""

    name: str
    description: str
    parameters: dict[str, Any]
    function: Callable[..., Any]
    checker: ArgumentChecker
    is_async: bool
    context_parameter: str | None  # the function's parameter that takes the ToolContext
    effect: Effect = "unsafe"
    requires_confirmation: Confirmation = False
    editable_params: tuple[str, ...] = ()
    timeout_s: float | None = None  # None: the default of whoever runs it
    expires_s: float | None = None  # how long a request for approval stays open; None: until it is decided
    probe: Callable[..., Any] | None = None  # asked whether an unsafe call that was cut off was done: see `probing`
    max_result_chars: int | None = None
    has_process: bool = False  # runs in a process of its own
    secrets: tuple[str, ...] = ()  # names of those that it gets where an argument refers to them
    is_untrusted: bool = False  # its results may carry a stranger's words
    agent: AgentSpec | None = None  # its calls are carried out by runs of their own; `function` is never called
    schema_hash: str  # sha256 hex over name, description and parameters as canonical JSON
    schema_json: bytes  # the function schema, encoded once

    def to_schema(self) -> dict[str, Any]:
        """Return a fresh function schema in OpenAI's form."""
        schema: dict[str, Any] = msgspec.json.decode(self.schema_json)
        return schema
