"""What cases, edits, states and their undoing mean, said once for every adapter. Each function runs whole or not at all."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agent.errors import BadInput
from agent.models.learning import Case
from agent.models.memory import Experience
from agent.models.value import replace
from agent.storage.memory_log import Change, StateSet, applied, checked, checked_name, checked_reason, checked_state, encode, encode_state, id_of, kind_of
from agent.storage.memory_rules import Ledger, add, changeable, taken, write

EDITABLE = frozenset({"condition", "rule", "kind", "confidence", "evidence", "trust", "valid_to"})
"""Fields of an experience that an edit may change. Its owner changes by `promote`, its state by `set_state`; the rest is what it is."""
KINDS = frozenset({"do", "dont", "preference"})
TRUSTS = frozenset({"person", "verified_tool", "model", "web"})
SETTABLE = frozenset({"candidate", "shadow", "active", "retired"})


def add_cases(ledger: Ledger, cases: Sequence[Case], *, at: datetime) -> None:
    """Record those that are not there, and were not forgotten.

    Raises:
        BadInput: one cannot be recorded, or its id is taken by something else. Nothing was recorded.
    """
    if not isinstance(cases, Sequence):
        raise BadInput(f"cases is {cases!r:.80}: give a list of Case")
    new: dict[str, Case] = {}
    for case in cases:
        if not isinstance(case, Case):
            raise BadInput(f"{type(case).__name__} is no Case: use add_experience or add_skill")
        ready = checked(case, max_bytes=ledger.max_item_bytes)
        assert isinstance(ready, Case)
        existing = ledger.find(ready.case_id)
        if existing is not None and not isinstance(existing, Case):
            raise taken(ready)
        if existing is None and not ledger.was_forgotten(ready.case_id):
            new.setdefault(ready.case_id, ready)
    for case in new.values():
        add(ledger, case, at=at, by=case.author)


def edit(ledger: Ledger, item_id: str, changes: Mapping[str, Any], *, at: datetime, by: str | None, uid: str | None) -> Experience:
    """Record a new version of an experience and return it; without a difference nothing is recorded.

    Raises:
        ExperienceNotFound, BadInput: nothing was changed.
    """
    before = _experience(ledger, item_id, uid)
    if not isinstance(changes, Mapping) or not changes.keys() <= EDITABLE:
        raise BadInput(f"changes is {changes!r:.200}: of an experience these may change: {', '.join(sorted(EDITABLE))}")
    ready = {name: tuple(value) if name == "evidence" and isinstance(value, list) else value for name, value in changes.items()}
    if isinstance(rule := ready.get("rule"), str) and not rule.strip():
        raise BadInput(f"the rule of {item_id!r} would be empty, and say nothing: give it words, or retire it")
    after = checked(replace(before, **ready), max_bytes=ledger.max_item_bytes)
    assert isinstance(after, Experience)
    for name, known in (("kind", KINDS), ("trust", TRUSTS)):
        if name in changes and changes[name] not in known:
            raise BadInput(f"{name} {changes[name]!r:.80} is not known: choose one of {', '.join(sorted(known))}")
    if after != before:
        write(ledger, before, Change(at=at, change="edited", item_id=item_id, uid=before.uid, by=checked_name("by", by), data=encode(after)))
    return after


def set_state(ledger: Ledger, item_id: str, state: str, *, at: datetime, by: str | None, reason: str, uid: str | None) -> Experience:
    """Give an experience a state and return it; the same again changes nothing.

    Raises:
        ExperienceNotFound, BadInput: no such item or state, or it was superseded.
    """
    before = _experience(ledger, item_id, uid)
    if checked_state(state) not in SETTABLE:
        raise BadInput(f"an experience is superseded by another one, with supersede; it may be set to {', '.join(sorted(SETTABLE))}")
    if before.state == "superseded":
        raise BadInput(f"experience {item_id!r} was superseded by {before.superseded_by!r}: restore it, or set the state of that one")
    data = encode_state(StateSet(state, checked_reason(reason)))
    if before.state == state:
        return before
    change = Change(at=at, change="state_set", item_id=item_id, uid=before.uid, by=checked_name("by", by), data=data)
    return _is_one(write(ledger, before, change))


def restore(ledger: Ledger, item_id: str, *, at: datetime, by: str | None, uid: str | None) -> Experience:
    """Take the last closing of an experience back and return it; its successor, if it had one, is retired.

    Raises:
        ExperienceNotFound, BadInput: there is none, nothing to take back, or the successor was superseded in its turn.
    """
    closed = _experience(ledger, item_id, uid)
    if closed.state not in {"retired", "superseded"}:
        raise BadInput(f"experience {item_id!r} is {closed.state}: there is nothing to take back")
    successor = ledger.find(closed.superseded_by) if closed.superseded_by is not None else None
    if isinstance(successor, Experience) and successor.state == "superseded":
        raise BadInput(f"experience {item_id!r} was superseded by {closed.superseded_by!r}, and that by {successor.superseded_by!r}: restore that one first")
    who = checked_name("by", by)
    again = _before_closing(ledger.changes_of(item_id), closed)
    write(ledger, closed, Change(at=at, change="restored", item_id=item_id, uid=again.uid, by=who, data=encode(again)))
    if isinstance(successor, Experience) and successor.state != "retired":
        data = encode_state(StateSet("retired", f"{item_id} was restored"))
        write(ledger, successor, Change(at=at, change="state_set", item_id=id_of(successor), uid=successor.uid, by=who, data=data))
    return again


def _before_closing(changes: Sequence[Change], closed: Experience) -> Experience:
    """Return the item as it was before it was last closed, with what was edited since; of one that was never open nobody is told yet."""
    last: Experience | None = None
    item = None
    for change in changes:
        item = applied(item, change)
        if isinstance(item, Experience) and item.state not in {"retired", "superseded"}:
            last = item
    state = last.state if last is not None else "shadow"
    valid_to = closed.valid_to if closed.superseded_by is None else last.valid_to if last is not None else None
    return replace(closed, state=state, valid_to=valid_to, superseded_by=None)


def _experience(ledger: Ledger, item_id: str, uid: str | None) -> Experience:
    item = changeable(ledger, item_id, uid)
    if not isinstance(item, Experience):
        raise BadInput(f"{kind_of(item)} {item_id!r} is no experience: a skill is changed by add_skill with its id")
    return item


def _is_one(item: object) -> Experience:
    assert isinstance(item, Experience)
    return item
