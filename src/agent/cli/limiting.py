"""Limits as they are given on the command line: `--limit NAME=VALUE`."""

from collections.abc import Sequence
from typing import Any

from agent.core.limits import LIMITS, WHOLE
from agent.errors import BadInput


def limits_of(given: Sequence[str] | None) -> dict[str, Any]:
    """Return limits by name.

    Raises:
        BadInput: one has another form, or another name than a limit has.
    """
    limits: dict[str, Any] = {}
    for text in given or ():
        name, sign, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or name not in LIMITS:
            raise BadInput(f"--limit {text!r}: write NAME=VALUE, such as max_cost=0.5; the names are {', '.join(LIMITS)}")
        try:
            limits[name] = int(value) if name in WHOLE else float(value)
        except ValueError:
            raise BadInput(f"--limit {text!r}: {value!r} is no {'whole ' if name in WHOLE else ''}number") from None
    return limits


def raise_option(name: str, value: Any, used: Any = None) -> str:
    """Return the option with which a run that reached a limit goes on: well above what it has `used`."""
    spent = max((amount for amount in (value, used) if isinstance(amount, int | float)), default=0)
    if name == "max_iterations":
        return f"--max-iterations {int(spent) + 10}"
    if name in WHOLE:
        return f"--limit {name}={max(2 * int(spent), 10)}"
    return f"--limit {name}={max(2 * spent, 1.0):g}"
