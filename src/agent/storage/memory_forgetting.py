"""Forgetting by where something came from: what goes, what is kept without a part of it, said once for every adapter."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from agent.errors import BadInput
from agent.models.memory import Experience
from agent.models.value import replace
from agent.storage.learning_port import Sources
from agent.storage.memory_log import WHOLE, Change, Item, applied, checked_name, encode, origin_of, origins_of, says
from agent.storage.memory_rules import Ledger, write
from agent.storage.memory_uses import UseLedger


class SourceLedger(Ledger, UseLedger, Protocol):
    """A memory's log that can be asked where things came from. Ids come in any order."""

    def items_from(self, origin: str) -> Sequence[str]:
        """Return the items of which any version rests on this (a run, an id; see `origins_of`)."""
        ...

    def items_of(self, uid: str) -> Sequence[str]:
        """Return the items that are or were this uid's."""
        ...

    def items_saying(self, text: str) -> Sequence[str]:
        """Return the items of which any version may hold these words: all that do, and perhaps others."""
        ...

    def uses_from(self, *, uid: str | None, trace_id: str | None) -> Sequence[str]:
        """Return the runs of this owner, or of this id, that have a use; what is given is joined by and."""
        ...


class _Version(NamedTuple):
    item: Item
    uid: str | None  # the owner then


class Plan(NamedTuple):
    """What is to become of what: of items, None or what is left of them."""

    fates: dict[str, Item | None]
    uses: Sequence[str]  # runs whose use goes

    @property
    def removed(self) -> list[str]:
        """What will not be there any more: items by their ids, uses by their runs."""
        gone = [item_id for item_id, fate in self.fates.items() if fate is None]
        return gone + [trace_id for trace_id in self.uses if trace_id not in self.fates]


def forget_from(ledger: SourceLedger, sources: Sources, *, at: datetime, by: str | None, is_dry_run: bool) -> list[str]:
    """Remove what came from somewhere and what was derived from it, and return the ids.

    Raises:
        BadInput: nothing was given to go by.
    """
    who = checked_name("by", by)
    plan = planned(ledger, _checked(sources))
    if is_dry_run:
        return plan.removed
    items = {item_id: ledger.find(item_id) for item_id in plan.fates}
    told = {trace_id: ledger.find_use(trace_id) for trace_id in plan.uses}
    ledger.erase(list(plan.fates))
    for item_id, fate in plan.fates.items():
        before = items[item_id]
        if before is not None and fate is not None:
            write(ledger, before, Change(at=at, change="cut", item_id=item_id, uid=fate.uid, by=who, data=encode(fate)))
        elif before is not None:
            write(ledger, before, Change(at=at, change="forgotten", item_id=item_id, uid=before.uid, by=who))
    ledger.erase_uses(plan.uses)
    for trace_id, use in told.items():
        ledger.record_use(Change(at=at, change="use_forgotten", item_id=trace_id, uid=use.use.uid if use is not None else None, by=who), None)
    return plan.removed


def planned(ledger: SourceLedger, sources: Sources) -> Plan:
    """Return what is to become of what; nothing is changed."""
    fates: dict[str, Item | None] = {}
    for item_id in sorted(_candidates(ledger, sources)):
        versions, now = _life(ledger, item_id)
        if now is not None and any(_matches(version, sources, item_id) for version in versions):
            fates[item_id] = _left(versions, now, sources)
    is_by_run_or_owner = sources.source is None and sources.text is None and sources.item_id is None
    uses = sorted(ledger.uses_from(uid=sources.uid, trace_id=sources.trace_id)) if is_by_run_or_owner else []
    gone: set[str] = set()
    if is_by_run_or_owner and sources.uid is None and sources.trace_id is not None:
        gone.add(sources.trace_id)
    elif is_by_run_or_owner and sources.trace_id is None:
        gone.update(uses)
    _derive(ledger, fates, gone)
    return Plan(fates, uses)


def _derive(ledger: SourceLedger, fates: dict[str, Item | None], gone: set[str]) -> None:
    """Add what rests on what goes, and on that in its turn."""
    queue = [*sorted(gone), *(item_id for item_id, fate in fates.items() if fate is None)]
    gone.update(queue)
    while queue:
        for item_id in sorted(ledger.items_from(queue.pop())):
            if item_id in fates and fates[item_id] is None:
                continue
            versions, now = _life(ledger, item_id)
            if now is None:
                continue
            fates[item_id] = _without(versions, now, gone)
            if fates[item_id] is None:
                gone.add(item_id)
                queue.append(item_id)


def _candidates(ledger: SourceLedger, sources: Sources) -> Sequence[str]:
    if sources.item_id is not None:
        return [sources.item_id]
    if sources.trace_id is not None:
        return ledger.items_from(sources.trace_id)
    words = sources.text if sources.text is not None else sources.source
    if words is not None:
        return ledger.items_saying(words)
    assert sources.uid is not None
    return ledger.items_of(sources.uid)


def _life(ledger: SourceLedger, item_id: str) -> tuple[list[_Version], Item | None]:
    """Return all versions of an item that are still known, oldest first, and what it is now."""
    versions: list[_Version] = []
    now: Item | None = None
    for change in ledger.changes_of(item_id):
        now = applied(now, change)
        if now is not None and (change.change in WHOLE or change.change == "promoted"):
            versions.append(_Version(now, change.uid))
    return versions, now


def _matches(version: _Version, sources: Sources, item_id: str) -> bool:
    item = version.item
    return (
        (sources.uid is None or version.uid == sources.uid)
        and (sources.trace_id is None or sources.trace_id in origins_of(item))
        and (sources.source is None or (isinstance(item, Experience) and item.source == sources.source))
        and (sources.text is None or says(item, sources.text))
        and (sources.item_id is None or sources.item_id == item_id)
    )


def _left(versions: Sequence[_Version], now: Item, sources: Sources) -> Item | None:
    """Return what is left of an item that is meant itself."""
    if sources.trace_id is not None:
        return _without(versions, now, {sources.trace_id})
    if sources.text is not None and not says(now, sources.text):
        return now  # only an older version has the words
    return None


def _without(versions: Sequence[_Version], now: Item, gone: Collection[str]) -> Item | None:
    """Return what is left of an item without what it has from there; None, where its words may be from there."""
    if not isinstance(now, Experience):
        return None
    first = next(v.item for v in versions if isinstance(v.item, Experience) and (v.item.condition, v.item.rule) == (now.condition, now.rule))
    if origins_of(first) & set(gone):
        return None
    return replace(now, evidence=tuple(evidence for evidence in now.evidence if origin_of(evidence) not in gone))


def _checked(sources: Sources) -> Sources:
    if not isinstance(sources, Sources):
        raise BadInput(f"sources is {sources!r:.100}: give a Sources, such as Sources(trace_id=…)")
    given = (sources.uid, sources.trace_id, sources.source, sources.text, sources.item_id)
    if not any(value is not None for value in given):
        raise BadInput("nothing was given to go by: name a uid, a trace_id, a source, a text or an item_id")
    if any(value is not None and not isinstance(value, str) for value in given) or sources.text == "" or sources.source == "":
        raise BadInput(f"sources is {sources!r:.200}: what is given is to be text, and not empty")
    return sources
