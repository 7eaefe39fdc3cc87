"""Asking the outside world what became of a call that was cut off: the tool's `probe`."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

from agent.errors import ConfigInvalid, ToolTimeout
from agent.models.value import Value
from agent.tools.context import ToolContext
from agent.tools.invoke import call_within
from agent.tools.signature import context_parameter_of, is_async
from agent.tools.tool import Tool, shortened

MAX_WHY_CHARS = 500  # of what went wrong in a probe, as a person reads it


class Done(Value, frozen=True):
    """A probe's answer: the call took effect. `result` is what the tool would have returned; None where nobody knows it any more."""

    result: Any = None


class Finding(Value, frozen=True, kw_only=True):
    """What a probe found out. `why` says of an unknown outcome why it is not known."""

    kind: Literal["done", "not_done", "unknown"]
    result: Any = None
    why: str = ""


class _Shape(Value, frozen=True):
    """Which of a probe's parameters takes what."""

    key: str | None
    context: str | None
    arguments: str | None


def checked_probe(tool_name: str, probe: Any) -> Callable[..., Any] | None:
    """Return the probe of a tool, if it can be asked.

    Raises:
        ConfigInvalid: it is no function of the key, the context and the arguments.
    """
    if probe is None:
        return None
    if not callable(probe):
        raise ConfigInvalid(f"tool {tool_name!r}: probe={probe!r} is no function of the idempotency key")
    _shape(tool_name, probe)
    function: Callable[..., Any] = probe
    return function


async def ask_probe(tool: Tool, context: ToolContext, arguments: Mapping[str, Any], *, timeout_s: float) -> Finding:
    """Return what the tool's probe says of a call that was begun; at most `timeout_s` later.

    It answers `Done(result)` or True (it took effect), False (it did not), or None (nobody knows). A probe that raises, takes
    too long or says anything else leaves the outcome unknown. A plain function runs in a thread.
    """
    probe = tool.probe
    assert probe is not None
    shape = _shape(tool.name, probe)
    given = {shape.key: context.idempotency_key, shape.context: context, shape.arguments: dict(arguments)}
    named = {name: value for name, value in given.items() if name is not None}
    try:
        answer = await call_within(tool, lambda: probe(**named), context, timeout_s, is_async=is_async(probe))
    except ToolTimeout:
        return Finding(kind="unknown", why=f"the probe took longer than {timeout_s:g} s")
    except Exception as error:  # noqa: BLE001  # the tool author's code: an answer that cannot be had is no answer
        return Finding(kind="unknown", why=shortened(f"the probe failed: {type(error).__name__}: {error}", MAX_WHY_CHARS))
    return _finding(answer)


def _finding(answer: Any) -> Finding:
    if isinstance(answer, Done):
        return Finding(kind="done", result=answer.result)
    if answer is True:
        return Finding(kind="done")
    if answer is False:
        return Finding(kind="not_done")
    if answer is None:
        return Finding(kind="unknown", why="the probe does not know")
    return Finding(kind="unknown", why=f"the probe answered with a value of type {type(answer).__name__}, not with Done(result), True, False or None")


def _shape(tool_name: str, probe: Callable[..., Any]) -> _Shape:
    try:
        parameters = list(inspect.signature(probe).parameters.values())
    except (ValueError, TypeError):
        raise ConfigInvalid(f"tool {tool_name!r}: the probe has no signature that Python can read: wrap it in a function of the key") from None
    context = context_parameter_of(probe)
    by_name = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    arguments = next((p.name for p in by_name if p.name == "arguments"), None)
    key = next((p.name for p in by_name if p.name not in (context, arguments)), None)
    taken = {key, context, arguments}
    left = [p.name for p in parameters if p.name not in taken and p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if left or (key is None and context is None):
        raise ConfigInvalid(
            f"tool {tool_name!r}: a probe takes the idempotency key, and if it likes a ToolContext and `arguments`; not {', '.join(left) or 'nothing'}"
        )
    return _Shape(key, context, arguments)
