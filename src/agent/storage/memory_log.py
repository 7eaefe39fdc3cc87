"""The log of a memory: what may be recorded, its bytes, and what each change does to an item. Both adapters read it alike."""

from datetime import datetime
from typing import Literal, get_args

import msgspec

from agent.clock import as_utc, from_ms, to_ms
from agent.errors import BadInput
from agent.models.memory import Experience, MemoryState, Skill
from agent.models.value import Value, replace
from agent.storage.unicode import is_unicode

MAX_ITEM_BYTES = 1_048_576  # of an experience or skill, encoded
MAX_NAME_CHARS = 512  # of an id, a scope, a skill's name

Item = Experience | Skill
ItemKind = Literal["experience", "skill"]
ChangeKind = Literal["added", "edited", "retired", "superseded", "promoted", "forgotten"]


class Change(Value, frozen=True, kw_only=True):
    """One entry of the log. `uid` is the owner at that time: who may see the entry."""

    at: datetime
    change: ChangeKind
    item_id: str
    uid: str | None
    by: str | None = None
    data: bytes | None = None  # of `added` and `edited` the item, until it is forgotten
    successor_id: str | None = None


def moment(at: datetime) -> datetime:
    """Return `at` as the log keeps it: in whole milliseconds, so that a projection comes out the same again."""
    return from_ms(to_ms(at))


def checked_name(what: str, name: str | None) -> str | None:
    """Return a name (of a person, say) that the log can keep.

    Raises:
        BadInput: it is too long, or no valid unicode.
    """
    if name is not None and (len(name) > MAX_NAME_CHARS or not is_unicode(name)):
        raise BadInput(f"{what} is {name[:80]!r}: give it at most {MAX_NAME_CHARS} characters, without lone surrogates")
    return name


def id_of(item: Item) -> str:
    """Return the item's id."""
    return item.experience_id if isinstance(item, Experience) else item.skill_id


def kind_of(item: Item) -> ItemKind:
    """Return which of the two it is."""
    return "experience" if isinstance(item, Experience) else "skill"


def checked_kind(kind: str) -> ItemKind:
    """Return `kind` if it is one.

    Raises:
        BadInput: it is none.
    """
    if kind not in get_args(ItemKind):
        raise BadInput(f"kind {kind!r} is not known: it is 'experience' or 'skill'")
    return "experience" if kind == "experience" else "skill"


def searched_text(item: Item) -> str:
    """Return the words by which an item is found."""
    if isinstance(item, Experience):
        return f"{item.condition}\n{item.rule}"
    return f"{item.name}\n{item.description}\n{item.content}"


def is_visible(owner: str | None, uid: str | None) -> bool:
    """Whether `uid` sees what belongs to `owner`: its own and nobody's; None sees all."""
    return uid is None or owner is None or owner == uid


def is_in_use(item: Item, now_ms: int) -> bool:
    """Whether it is active, and valid at that moment."""
    begin, end = term_of(item)
    return item.state == "active" and (begin is None or begin <= now_ms) and (end is None or now_ms < end)


def term_of(item: Item) -> tuple[int | None, int | None]:
    """Return from when (included) until when (excluded) it is valid, in milliseconds since 1970; None is open."""
    if isinstance(item, Skill):
        return None, None
    return _ms(item.valid_from), _ms(item.valid_to)


def encode(item: Item) -> bytes:
    """Return an item's bytes; `decode` is the way back."""
    return msgspec.msgpack.encode((kind_of(item), item))


def decode(data: bytes) -> Item:
    """Return the item of `encode`; fields of a newer version are left out."""
    kind, body = msgspec.msgpack.decode(data, type=tuple[str, msgspec.Raw])
    if kind == "experience":
        return msgspec.msgpack.decode(body, type=Experience)
    return msgspec.msgpack.decode(body, type=Skill)


def checked(item: Item, *, max_bytes: int) -> Item:
    """Return an item of the declared types, its moments in UTC, that shares nothing with the caller's.

    Raises:
        BadInput: something in it is no text, too long, out of its range, or not known.
    """
    if not isinstance(item, Experience | Skill):
        raise BadInput(f"a memory holds Experience and Skill, not {type(item).__name__}: make one with Experience.create or Skill.create")
    try:
        data = encode(item)
        found = decode(data)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise BadInput(f"{kind_of(item)} {id_of(item)!r} cannot be recorded: {error}") from error
    if len(data) > max_bytes:
        raise BadInput(f"{kind_of(item)} {id_of(item)!r} has {len(data)} bytes, at most {max_bytes} are kept: shorten it, or raise max_item_bytes")
    names = {"id": id_of(found), "scope": found.scope} | ({"name": found.name} if isinstance(found, Skill) else {})
    for what, name in names.items():
        if not 0 < len(name) <= MAX_NAME_CHARS:
            raise BadInput(f"the {what} of a {kind_of(found)} has {len(name)} characters: give it 1 to {MAX_NAME_CHARS}")
    if found.state not in get_args(MemoryState):
        raise BadInput(f"{kind_of(found)} {id_of(found)!r} has the state {found.state!r}: choose one of {', '.join(get_args(MemoryState))}")
    if isinstance(found, Skill):
        return replace(found, created_at=as_utc(found.created_at))
    if not 0 <= found.confidence <= 1:
        raise BadInput(f"experience {id_of(found)!r} has the confidence {found.confidence!r}: give it 0 to 1")
    return replace(found, created_at=as_utc(found.created_at), valid_from=_utc(found.valid_from), valid_to=_utc(found.valid_to))


def applied(item: Item | None, change: Change) -> Item | None:
    """Return the item after `change`; None: there is none (any more)."""
    if change.change in {"added", "edited"}:
        return decode(change.data) if change.data is not None else None
    if item is None or change.change == "forgotten":
        return None
    if change.change == "retired":
        return replace(item, state="retired")
    if change.change == "promoted":
        return replace(item, uid=None)
    if change.change != "superseded":
        return item  # a newer version's change
    if isinstance(item, Experience):
        return replace(item, state="superseded", valid_to=change.at, superseded_by=change.successor_id)
    return replace(item, state="superseded")


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else as_utc(moment)


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)
