"""What adding, retiring, superseding, promoting and forgetting mean, said once for every adapter.

Each function runs whole or not at all: it checks everything before it records anything.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from agent.errors import BadInput, ExperienceNotFound
from agent.models.learning import Case
from agent.models.memory import Experience, Skill
from agent.models.value import replace
from agent.storage.memory_log import Change, Item, applied, checked, checked_name, encode, id_of, is_visible, kind_of


class Ledger(Protocol):
    """The log of one memory and the items that it amounts to, inside one transaction."""

    @property
    def max_item_bytes(self) -> int:
        """The most that an item may have, encoded."""
        ...

    def find(self, item_id: str) -> Item | None:
        """Return an item, whoever owns it."""
        ...

    def skill_named(self, scope: str, uid: str | None, name: str) -> Skill | None:
        """Return the active skill of exactly this scope, owner and name."""
        ...

    def was_forgotten(self, item_id: str) -> bool:
        """Whether there was such an item, and its words were removed."""
        ...

    def changes_of(self, item_id: str) -> list[Change]:
        """Return the entries about an item, oldest first."""
        ...

    def record(self, change: Change, after: Item | None) -> None:
        """Append `change` and make the item what it is `after` it."""
        ...

    def erase(self, item_ids: Collection[str]) -> None:
        """Remove the words of items from what is indexed and from the log so far."""
        ...


def add_experience(ledger: Ledger, experience: Experience, *, at: datetime) -> str:
    """Record it, unless its id is known already or was forgotten; return the id.

    Raises:
        BadInput: it cannot be recorded, or its id is another owner's.
    """
    new = checked(experience, max_bytes=ledger.max_item_bytes)
    if not isinstance(new, Experience):
        raise BadInput(f"{kind_of(new)} {id_of(new)!r} is no experience: use add_skill or add_cases")
    existing = ledger.find(new.experience_id)
    if existing is not None:
        if not isinstance(existing, Experience) or existing.uid not in {None, new.uid}:
            raise taken(new)
    elif not ledger.was_forgotten(new.experience_id):
        add(ledger, new, at=at, by=new.author)
    return new.experience_id


def add_skill(ledger: Ledger, skill: Skill, *, at: datetime) -> str:
    """Record it in place of the one with the same scope, owner and name; return its id.

    Raises:
        BadInput: it cannot be recorded, or its id is that of something else.
    """
    new = checked(skill, max_bytes=ledger.max_item_bytes)
    if not isinstance(new, Skill):
        raise BadInput(f"{kind_of(new)} {id_of(new)!r} is no skill: use add_experience or add_cases")
    existing = ledger.find(new.skill_id)
    if existing is not None and (not isinstance(existing, Skill) or (existing.scope, existing.uid, existing.name) != (new.scope, new.uid, new.name)):
        raise taken(new)
    if existing == new or ledger.was_forgotten(new.skill_id):
        return new.skill_id
    by = checked_name("author", new.folder.author) if new.folder else None
    if new.state == "active":
        _replace_skill(ledger, new, at=at, by=by)
    if existing is None:
        add(ledger, new, at=at, by=by)
    else:
        write(ledger, existing, Change(at=at, change="edited", item_id=new.skill_id, uid=new.uid, by=by, data=encode(new)))
    return new.skill_id


def retire(ledger: Ledger, item_id: str, *, at: datetime, by: str | None, uid: str | None) -> None:
    """Take an item out of use; a second time changes nothing.

    Raises:
        ExperienceNotFound: there is none that `uid` sees.
    """
    item = changeable(ledger, item_id, uid)
    if item.state != "retired":
        write(ledger, item, Change(at=at, change="retired", item_id=item_id, uid=item.uid, by=checked_name("by", by)))


def supersede(ledger: Ledger, item_id: str, successor: Experience, *, at: datetime, by: str | None, uid: str | None) -> str:
    """Close an experience and record its successor, which belongs to the same owner; return the successor's id.

    The same again changes nothing. A successor that is there already, active and just as it is given, is only linked.

    Raises:
        ExperienceNotFound: there is none that `uid` sees.
        BadInput: it was superseded by another, it is a skill, or the successor is another owner's or known already.
    """
    item, new = visible(ledger, item_id, uid), checked(successor, max_bytes=ledger.max_item_bytes)
    if not isinstance(item, Experience) or not isinstance(new, Experience):
        raise BadInput(f"{item_id!r} and what supersedes it must be experiences: a skill is replaced by add_skill with the same name, and a case never")
    if item.superseded_by == new.experience_id:
        return new.experience_id
    if item.state == "superseded":
        raise BadInput(f"experience {item_id!r} was superseded already by {item.superseded_by!r}: supersede that one")
    if new.uid is None:
        new = replace(new, uid=item.uid)
    if new.uid != item.uid:
        raise BadInput(f"the successor of {item_id!r} belongs to another owner: add it with add_experience, or promote it first")
    known = ledger.find(new.experience_id)
    is_again = known == new and new.state == "active" and new.experience_id != item_id
    if not is_again and (known is not None or ledger.was_forgotten(new.experience_id)):
        raise taken(new)
    write(ledger, item, Change(at=at, change="superseded", item_id=item_id, uid=item.uid, by=checked_name("by", by), successor_id=new.experience_id))
    if not is_again:
        add(ledger, new, at=at, by=by)
    return new.experience_id


def promote(ledger: Ledger, item_id: str, *, at: datetime, by: str, uid: str | None) -> None:
    """Share an item within its scope; one that is shared already stays as it is.

    Raises:
        ExperienceNotFound: there is none that `uid` sees.
    """
    item = changeable(ledger, item_id, uid)
    if item.uid is None:
        return
    change = Change(at=at, change="promoted", item_id=item_id, uid=None, by=checked_name("by", by))
    shared = applied(item, change)
    if isinstance(shared, Skill) and shared.state == "active":
        _replace_skill(ledger, shared, at=at, by=by)
    ledger.record(change, shared)


def forget(ledger: Ledger, item_id: str, *, at: datetime, by: str | None, uid: str | None) -> None:
    """Remove an item's words; its id stays on the record and is never used again.

    Raises:
        ExperienceNotFound: there is none that `uid` sees.
    """
    item = visible(ledger, item_id, uid)
    change = Change(at=at, change="forgotten", item_id=item_id, uid=item.uid, by=checked_name("by", by))
    ledger.erase([item_id])
    write(ledger, item, change)


def visible(ledger: Ledger, item_id: str, uid: str | None) -> Item:
    """Return the item.

    Raises:
        ExperienceNotFound: there is none that `uid` sees.
    """
    item = ledger.find(item_id)
    if item is None or not is_visible(item.uid, uid):
        raise ExperienceNotFound(item_id, "list() shows what there is")
    return item


def changeable(ledger: Ledger, item_id: str, uid: str | None) -> Experience | Skill:
    """Return the item, if it is one that changes.

    Raises:
        ExperienceNotFound: there is none that `uid` sees.
        BadInput: it is a case.
    """
    item = visible(ledger, item_id, uid)
    if isinstance(item, Case):
        raise BadInput(f"case {item_id!r} says what was seen, and never changes: forget it, or add another")
    return item


def add(ledger: Ledger, item: Item, *, at: datetime, by: str | None = None) -> None:
    """Record an item that is not there."""
    write(ledger, None, Change(at=at, change="added", item_id=id_of(item), uid=item.uid, by=by, data=encode(item)))


def write(ledger: Ledger, before: Item | None, change: Change) -> Item | None:
    """Record a change, and return what it makes of the item."""
    after = applied(before, change)
    ledger.record(change, after)
    return after


def taken(item: Item) -> BadInput:
    """Return the refusal of an item whose id is something else's."""
    return BadInput(f"{kind_of(item)} {id_of(item)!r} was not recorded: its id is taken by something else, give it another")


def _replace_skill(ledger: Ledger, new: Skill, *, at: datetime, by: str | None = None) -> None:
    older = ledger.skill_named(new.scope, new.uid, new.name)
    if older is not None and older.skill_id != new.skill_id:
        write(ledger, older, Change(at=at, change="superseded", item_id=older.skill_id, uid=older.uid, by=by, successor_id=new.skill_id))
