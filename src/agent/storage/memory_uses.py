"""What runs were told and how they went: how that is recorded, said once for every adapter."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol, get_args

import msgspec

from agent.clock import as_utc
from agent.errors import BadInput
from agent.models.learning import Signal, Use
from agent.models.value import Value, replace
from agent.storage.learning_port import RunCount
from agent.storage.memory_log import MAX_NAME_CHARS, Change, checked_name, is_visible

MAX_USED = 1_000
"""Items that one use may name."""


class Told(Value, frozen=True):
    """A use, and how many of its scope's and owner's there were for which there was advice, itself included."""

    use: Use
    eligible: int


class Judgement(Value, frozen=True):
    """What a `judged` carries."""

    value: float | None
    signal: str


class UseLedger(Protocol):
    """The part of a memory's log that is about uses, inside one transaction."""

    def find_use(self, trace_id: str) -> Told | None:
        """Return the use of a run, whoever's it is."""
        ...

    def last_use(self, scope: str, uid: str | None) -> Told | None:
        """Return the use with the largest number of exactly this scope and owner."""
        ...

    def use_was_forgotten(self, trace_id: str) -> bool:
        """Whether there was a use of this run, and it was removed."""
        ...

    def record_use(self, change: Change, after: Told | None) -> None:
        """Append `change` and make the use what it is `after` it."""
        ...

    def erase_uses(self, trace_ids: Collection[str]) -> None:
        """Remove what the log says of these uses."""
        ...


_decode_told = msgspec.msgpack.Decoder(Told).decode
_decode_judgement = msgspec.msgpack.Decoder(Judgement).decode


def decode_told(data: bytes) -> Told:
    """Return what a `used` carries."""
    return _decode_told(data)


def applied_use(told: Told | None, change: Change) -> Told | None:
    """Return the use after `change`; None: there is none (any more)."""
    if change.change == "used":
        return _decode_told(change.data) if change.data is not None else None
    if told is None or change.change == "use_forgotten":
        return None
    if change.change != "judged" or change.data is None:
        return told
    judgement = _decode_judgement(change.data)
    signal: Signal | None = judgement.signal if judgement.value is not None else None  # type: ignore[assignment]  # checked when it was recorded
    who = change.by if judgement.value is not None else None
    return replace(told, use=replace(told.use, outcome=judgement.value, outcome_from=signal, outcome_by=who))


def record_use(ledger: UseLedger, use: Use, *, at: datetime) -> Use:
    """Record a use under the next number of its scope and owner and return it; the first of a run stands. One that was forgotten is passed over.

    Raises:
        BadInput: it cannot be recorded.
    """
    new = _checked(use)
    known = ledger.find_use(new.trace_id)
    if known is not None:
        return known.use
    if ledger.use_was_forgotten(new.trace_id):
        return new
    last = ledger.last_use(new.scope, new.uid)
    new = replace(new, number=1 if last is None else last.use.number + 1)
    told = Told(new, (0 if last is None else last.eligible) + (new.arm != "none"))
    ledger.record_use(Change(at=at, change="used", item_id=new.trace_id, uid=new.uid, data=msgspec.msgpack.encode(told)), told)
    return new


def record_outcome(ledger: UseLedger, trace_id: str, value: float | None, *, at: datetime, signal: str, by: str | None, uid: str | None) -> None:
    """Set how a run went; the same again, and a run without a use, change nothing.

    Raises:
        BadInput: the value is not 0 to 1, or the signal is not known.
    """
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1):
        raise BadInput(f"the outcome of {trace_id!r} is {value!r:.80}: give it 0 (failed) to 1 (went well), or None")
    if signal not in get_args(Signal):
        raise BadInput(f"signal {signal!r:.80} is not known: it is one of {', '.join(get_args(Signal))}")
    who = checked_name("by", by)
    told = ledger.find_use(trace_id)
    if told is None or not is_visible(told.use.uid, uid):
        return
    data = msgspec.msgpack.encode(Judgement(None if value is None else float(value), signal))
    change = Change(at=at, change="judged", item_id=trace_id, uid=told.use.uid, by=who, data=data)
    after = applied_use(told, change)
    if after != told:
        ledger.record_use(change, after)


def count_of(told: Told | None) -> RunCount:
    """Return how often a scope was used, by its last use."""
    return RunCount(0, 0) if told is None else RunCount(told.use.number, told.eligible)


def _checked(use: Use) -> Use:
    if not isinstance(use, Use):
        raise BadInput(f"{type(use).__name__} is no Use")
    try:
        found = msgspec.msgpack.decode(msgspec.msgpack.encode(use), type=Use)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise BadInput(f"the use of {use.trace_id!r:.100} cannot be recorded: {error}") from error
    for what, name in (("trace_id", found.trace_id), ("scope", found.scope)):
        if not 0 < len(name) <= MAX_NAME_CHARS:
            raise BadInput(f"the {what} of a use has {len(name)} characters: give it 1 to {MAX_NAME_CHARS}")
    if len(found.items) > MAX_USED:
        raise BadInput(f"the use of {found.trace_id!r} names {len(found.items)} items, at most {MAX_USED} are kept")
    if found.outcome is not None and not 0 <= found.outcome <= 1:
        raise BadInput(f"the outcome of {found.trace_id!r} is {found.outcome!r}: give it 0 to 1, or None")
    if not all(0 < chance <= 1 for chance in (found.propensity, *(item.propensity for item in found.items))):
        raise BadInput(f"the use of {found.trace_id!r} has a propensity that is no chance: give it above 0, up to 1")
    return replace(found, at=as_utc(found.at))
