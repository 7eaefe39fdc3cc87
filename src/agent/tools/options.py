"""The options a tool is registered with, checked before the tool exists."""

import inspect
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict, cast

from agent.core.redact import EVERY_SECRET
from agent.errors import ConfigInvalid
from agent.tools.probing import checked_probe
from agent.tools.tool import EFFECTS, Confirmation, Effect

NAME_PATTERN = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # what every provider accepts


class ToolOptions(TypedDict, total=False):
    """What `tool`, `register` and `add` take besides the function. Times are in seconds.

    `expires` bounds how long an approval stays open; `secrets` names those that the tool gets where an argument holds `[secret:NAME]` (True: all).
    """

    effect: Effect | None
    requires_confirmation: Confirmation
    editable_params: Sequence[str]
    timeout_s: float | None
    expires: float | None
    probe: Callable[..., Any] | None
    max_result_chars: int | None
    untrusted: bool
    secrets: Sequence[str] | bool
    isolation: Literal["thread", "process"] | None


def checked_name(name: Any) -> str:
    """Return the name, where providers accept it.

    Raises:
        ConfigInvalid: they do not.
    """
    if not isinstance(name, str) or NAME_PATTERN.fullmatch(name) is None:
        raise ConfigInvalid(f"a tool cannot be called {name!r}: providers accept 1 to 64 of the characters a-z A-Z 0-9 _ -; give another with name=")
    return name


def checked_options(tool_name: str, options: ToolOptions, parameters: Sequence[str]) -> dict[str, Any]:
    """Return the options as fields of a `Tool`.

    Raises:
        ConfigInvalid: says which option of which tool cannot be used, and why.
    """
    unknown = sorted(set(options) - set(ToolOptions.__annotations__))
    if unknown:
        raise ConfigInvalid(f"tool {tool_name!r}: no option {unknown[0]!r}; there are {', '.join(sorted(ToolOptions.__annotations__))}")
    return {
        "effect": _effect(tool_name, options.get("effect")),
        "requires_confirmation": _confirmation(tool_name, options.get("requires_confirmation", False)),
        "editable_params": _editable(tool_name, options.get("editable_params"), parameters),
        "timeout_s": _positive(tool_name, "timeout_s", options.get("timeout_s")),
        "expires_s": _positive(tool_name, "expires", options.get("expires")),
        "probe": checked_probe(tool_name, options.get("probe")),
        "max_result_chars": _count(tool_name, options.get("max_result_chars")),
        "is_untrusted": bool(options.get("untrusted", False)),
        "secrets": _secrets(tool_name, options.get("secrets")),
    }


def _effect(tool_name: str, effect: Any) -> Effect:
    if effect is None:
        return "unsafe"
    if effect not in EFFECTS:
        raise ConfigInvalid(f"tool {tool_name!r}: effect={effect!r} is none of {', '.join(EFFECTS)}")
    return cast("Effect", effect)


def _confirmation(tool_name: str, rule: Any) -> Confirmation:
    if isinstance(rule, bool):
        return rule
    if not callable(rule):
        raise ConfigInvalid(f"tool {tool_name!r}: requires_confirmation={rule!r} is neither True, False nor a function of the arguments")
    if inspect.iscoroutinefunction(rule):
        raise ConfigInvalid(f"tool {tool_name!r}: requires_confirmation is an async function; it must answer at once: use a plain one")
    return cast("Confirmation", rule)


def _editable(tool_name: str, names: Any, parameters: Sequence[str]) -> tuple[str, ...]:
    if names is None:
        return ()
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ConfigInvalid(f"tool {tool_name!r}: editable_params={names!r} is no list of names")
    unknown = [name for name in names if name not in parameters]
    if unknown:
        has = ", ".join(parameters) or "none"
        raise ConfigInvalid(f"tool {tool_name!r}: editable_params names {unknown[0]!r}, which is no parameter; its parameters: {has}")
    return tuple(dict.fromkeys(names))


def _positive(tool_name: str, option: str, seconds: Any) -> float | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0 or math.isinf(seconds):
        raise ConfigInvalid(f"tool {tool_name!r}: {option}={seconds!r} is no positive number of seconds (None: no limit of its own)")
    return float(seconds)


def _count(tool_name: str, chars: Any) -> int | None:
    if chars is not None and (isinstance(chars, bool) or not isinstance(chars, int) or chars < 1):
        raise ConfigInvalid(f"tool {tool_name!r}: max_result_chars={chars!r} is no positive number (None: no limit of its own)")
    return chars


def _secrets(tool_name: str, names: Any) -> tuple[str, ...]:
    if isinstance(names, bool) or names is None:
        return (EVERY_SECRET,) if names else ()
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) and name for name in names):
        raise ConfigInvalid(f"tool {tool_name!r}: secrets={names!r} is no list of names of secrets (True: all that are known)")
    return tuple(dict.fromkeys(names))
