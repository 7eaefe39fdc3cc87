"""The fields of a trace that a caller hands in, checked and in the form in which they are kept."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, get_args

from agent.clock import as_utc, from_ms, to_ms
from agent.errors import BadInput, ConversationBusy
from agent.models.trace import ENDED, Status, Trace
from agent.models.value import replace
from agent.storage.codec import checked_name
from agent.storage.plain import plain

GROWING = frozenset({"signalled", "learnt"})
"""Fields that a change only raises: of two values the larger stands. The seal of a trace leaves them out."""
STATUSES: frozenset[str] = frozenset(get_args(Status))


def checked_trace(trace: Trace) -> Trace:
    """Return the trace as a store gives it back: moments in UTC and whole milliseconds, the context copied.

    Raises:
        BadInput: a field has a value that cannot be kept; says which.
    """
    fields = {name: check(getattr(trace, name), name) for name, check in (_FIXED | _CHANGEABLE).items()}
    if trace.fork_at is not None and trace.parent_trace_id is None:
        raise BadInput(f"fork_at is {trace.fork_at!r}, and there is no parent_trace_id: name the trace that this one goes on from")
    return replace(trace, **fields)


def check_newest(trace: Trace, newest_id: str | None, status: str | None, only_after: str) -> None:
    """Return where a new trace is to follow the newest one of its conversation, and does.

    Raises:
        ConversationBusy: there is another one by now, or it has not ended.
    """
    if (newest_id or "") != only_after or (status is not None and status not in ENDED):
        raise ConversationBusy(f"conversation {trace.conversation_id!r}: its run {newest_id} is {status or 'not there'}, and was begun by someone else")


def checked_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes of a trace in the form in which they are kept; `owner` may be there, as None.

    Raises:
        BadInput: a trace has no such field, it may not be changed, or the value cannot be kept.
    """
    if not isinstance(changes, Mapping):
        raise BadInput(f"changes is {changes!r:.100}: it is to be a dict of a trace's fields")
    out = {}
    for name, value in changes.items():
        check = _CHANGEABLE.get(name) or (_no_owner if name == "owner" else None)
        if check is None:
            what = "is fixed once the trace is recorded" if name in _FIXED else "is no field of a trace"
            raise BadInput(f"{name!r} {what}; these may change: {', '.join(sorted(_CHANGEABLE))}")
        out[name] = check(value, name)
    return out


def _no_owner(value: Any, _name: str) -> None:
    if value is not None:
        raise BadInput("owner may only be set to None, which gives the trace up; `claim` makes one the owner")


def _status(value: Any, _name: str) -> str:
    if value not in STATUSES:
        raise BadInput(f"status {value!r:.100} is none of {', '.join(sorted(STATUSES))}")
    return str(value)


def _moment(value: Any, name: str) -> datetime:
    if not isinstance(value, datetime):
        raise BadInput(f"{name} is {value!r:.100}: it is to be a datetime")
    return from_ms(to_ms(as_utc(value)))


def _count(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise BadInput(f"{name} is {value!r:.100}: it is to be a whole number from 0 on")
    return value


def _mark(value: Any, name: str) -> int:
    return -1 if type(value) is int and value == -1 else _count(value, name)


def _cost(value: Any, name: str) -> float | None:
    try:
        cost = float(value)
        return cost if math.isfinite(cost) else None  # no sum of money: not known
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"{name} is {value!r:.100}: it is to be a number of USD, or None") from error


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{name} is a {type(value).__name__}: it is to be text, or None")
    return value


def _context(value: Any, name: str) -> dict[str, Any]:
    out = plain(value, name)
    if not isinstance(out, dict):
        raise BadInput(f"{name} is a {type(value).__name__}: it is to be a dict")
    copied: dict[str, Any] = _copied(out)
    return copied


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _or_none(check: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    return lambda value, name: None if value is None else check(value, name)


_FIXED: dict[str, Callable[[Any, str], Any]] = {
    "trace_id": checked_name,
    "mode": checked_name,
    "uid": _or_none(checked_name),
    "created_at": _moment,
    "conversation_id": _or_none(checked_name),
    "parent_trace_id": _or_none(checked_name),
    "fork_at": _or_none(_count),
    "format": _count,
}
_CHANGEABLE: dict[str, Callable[[Any, str], Any]] = {
    "task": _or_none(_text),
    "agent_type": _or_none(_text),
    "context": _context,
    "status": _status,
    "completed_at": _or_none(_moment),
    "total_tokens": _count,
    "total_cost": _or_none(_cost),
    "cost_is_partial": lambda value, _: bool(value),
    "waiting_calls": _count,
    "signalled": _mark,
    "learnt": _mark,
}
