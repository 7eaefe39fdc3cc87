"""The log of a memory: what may be recorded, its bytes, and what each change does to an item. Both adapters read it alike."""

import math
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, get_args

import msgspec

from agent.clock import as_utc, from_ms, to_ms
from agent.errors import BadInput
from agent.models.learning import Case
from agent.models.memory import EVIDENCE_PATH, EXPERIENCES_KEY, Experience, MemoryState, Skill
from agent.models.trace import sequence_of
from agent.models.value import Value, replace
from agent.storage.unicode import is_unicode

MAX_ITEM_BYTES = 1_048_576  # of an experience, skill or case, encoded
MAX_NAME_CHARS = 512  # of an id, a scope, a skill's name
MAX_REASON_CHARS = 10_000
MAX_CITED = 1_000  # ids that a skill may cite and be found by

Item = Experience | Skill | Case
ItemKind = Literal["experience", "skill", "case"]
UseChange = Literal["used", "judged", "use_forgotten"]
"""Entries about a use; their `item_id` is the trace."""
ChangeKind = Literal["added", "edited", "retired", "superseded", "promoted", "state_set", "restored", "cut", "forgotten"] | UseChange
"""What an entry of the log says.

`added`, `edited`: the item as it is from then on. `retired`, `promoted`: no more than that. `superseded`: with the successor's id.
`state_set`: the state and why. `restored`: the item as it was before it was closed. `cut`: part of what it rested on was
forgotten; the item without that, and all that earlier entries said of it is gone. `forgotten`: likewise, and no item is left.
`used`: what a run was told. `judged`: how it went. `use_forgotten`: both are gone.
"""
CARRYING = frozenset({"added", "edited", "state_set", "restored", "cut", "used", "judged"})
"""Changes whose entry says more than its head, until that is forgotten."""
WHOLE = frozenset({"added", "edited", "restored", "cut"})
"""Those of them whose entry carries the whole item."""
OF_USES = frozenset(get_args(UseChange))
_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")  # as `agent.ids` makes them


class Change(Value, frozen=True, kw_only=True):
    """One entry of the log. `uid` is the owner at that time: who may see the entry."""

    at: datetime
    change: ChangeKind
    item_id: str
    uid: str | None
    by: str | None = None
    data: bytes | None = None  # of the CARRYING what they carry, until it is forgotten
    successor_id: str | None = None


class StateSet(Value, frozen=True):
    """What a `state_set` carries."""

    state: str
    reason: str = ""


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


def checked_reason(reason: str) -> str:
    """Return a reason that the log can keep.

    Raises:
        BadInput: it is no text, too long, or no valid unicode.
    """
    if not isinstance(reason, str) or len(reason) > MAX_REASON_CHARS or not is_unicode(reason):
        raise BadInput(f"reason is {reason!r:.80}: give a text of at most {MAX_REASON_CHARS} characters, without lone surrogates")
    return reason


def id_of(item: Item) -> str:
    """Return the item's id."""
    if isinstance(item, Experience):
        return item.experience_id
    return item.skill_id if isinstance(item, Skill) else item.case_id


def kind_of(item: Item) -> ItemKind:
    """Return which of the three it is."""
    if isinstance(item, Experience):
        return "experience"
    return "skill" if isinstance(item, Skill) else "case"


def state_of(item: Item) -> str:
    """Return its state; a case has none but to be there."""
    return "active" if isinstance(item, Case) else item.state


def name_of(item: Item) -> str | None:
    """Return by what it is looked up beside its id: a skill's name, a case's tool."""
    if isinstance(item, Skill):
        return item.name
    return item.tool if isinstance(item, Case) else None


def checked_kind(kind: str) -> ItemKind:
    """Return `kind` if it is one.

    Raises:
        BadInput: it is none.
    """
    if kind not in get_args(ItemKind):
        raise BadInput(f"kind {kind!r} is not known: it is 'experience', 'skill' or 'case'")
    return "experience" if kind == "experience" else "skill" if kind == "skill" else "case"


def listed_kind(kind: str) -> ItemKind:
    """Return `kind` if `list` lists it.

    Raises:
        BadInput: it does not.
    """
    if checked_kind(kind) == "case":
        raise BadInput("cases are listed by `cases`")
    return checked_kind(kind)


def told_of(number: int, change: Change, *, with_item: bool) -> dict[str, Any]:
    """Return an entry as `history` tells it: number, at, change, item_id, by, uid, the state that was set and why, the successor.

    `with_item`: also the item as it was from then on, where the entry carries it.
    """
    told = {"number": number, "at": change.at, "change": change.change, "item_id": change.item_id, "by": change.by, "uid": change.uid}
    told |= {"state": None, "reason": "", "successor_id": change.successor_id}
    if change.change == "state_set" and change.data is not None:
        told |= msgspec.to_builtins(decode_state(change.data))
    if with_item:
        told["item"] = msgspec.to_builtins(decode(change.data)) if change.change in WHOLE and change.data is not None else None
    return told


def searched_text(item: Item) -> str:
    """Return the words by which an item is found."""
    if isinstance(item, Experience):
        return f"{item.condition}\n{item.rule}"
    if isinstance(item, Case):
        return item.task
    return f"{item.name}\n{item.description}" + ("" if item.folder else f"\n{item.content}")  # a folder is told by these alone


def origins_of(item: Item) -> frozenset[str]:
    """Return what it rests on: of a case its run; of an experience the runs of its evidence, and evidence that is no step; of a skill the ids it cites."""
    if isinstance(item, Case):
        return frozenset({item.trace_id})
    if isinstance(item, Experience):
        return frozenset(map(origin_of, item.evidence))
    if not item.folder:
        return frozenset(_ID.findall(f"{item.description}\n{item.content}")[:MAX_CITED])
    metadata, evidence = item.folder.metadata, [file.data.decode(errors="replace") for file in item.folder.files if file.path == EVIDENCE_PATH]
    cited = _ID.findall("\n".join([*metadata.values(), item.description, item.content, *evidence]))[:MAX_CITED]
    return frozenset([*cited, *metadata.get(EXPERIENCES_KEY, "").split()[:MAX_CITED]])


def origin_of(evidence: str) -> str:
    """Return the run of a step id; another id as it is."""
    trace_id, _, _ = evidence.rpartition("/")
    return trace_id if trace_id and sequence_of(trace_id, evidence) is not None else evidence


def says(item: Item, text: str) -> bool:
    """Whether these words stand anywhere in an item, as they stand."""
    return any(text in words for words in _words(msgspec.to_builtins(item, builtin_types=(bytes,))))


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):  # a file of a skill
        yield value.decode(errors="replace")
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from (key, *_words(part))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _words(part)


def is_visible(owner: str | None, uid: str | None) -> bool:
    """Whether `uid` sees what belongs to `owner`: its own and nobody's; None sees all."""
    return uid is None or owner is None or owner == uid


def is_in_use(item: Item, now_ms: int, states: frozenset[str] = frozenset({"active"})) -> bool:
    """Whether it is in one of the states, and valid at that moment."""
    begin, end = term_of(item)
    return state_of(item) in states and (begin is None or begin <= now_ms) and (end is None or now_ms < end)


def term_of(item: Item) -> tuple[int | None, int | None]:
    """Return from when (included) until when (excluded) it is valid, in milliseconds since 1970; None is open."""
    if isinstance(item, Experience):
        return _ms(item.valid_from), _ms(item.valid_to)
    return None, (_ms(item.valid_to) if isinstance(item, Case) else None)


_decode_pair = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw]).decode
_decode_experience = msgspec.msgpack.Decoder(Experience).decode
_decode_skill = msgspec.msgpack.Decoder(Skill).decode
_decode_case = msgspec.msgpack.Decoder(Case).decode


def encode(item: Item) -> bytes:
    """Return an item's bytes; `decode` is the way back."""
    return msgspec.msgpack.encode((kind_of(item), item))


def decode(data: bytes) -> Item:
    """Return the item of `encode`; fields of a newer version are left out."""
    kind, body = _decode_pair(data)
    if kind == "experience":
        return _decode_experience(body)
    return _decode_case(body) if kind == "case" else _decode_skill(body)


def checked(item: Item, *, max_bytes: int) -> Item:
    """Return an item of the declared types, its moments in UTC, that shares nothing with the caller's.

    Raises:
        BadInput: something in it is no text, too long, out of its range, or not known.
    """
    if not isinstance(item, Item):
        raise BadInput(f"a memory holds Experience, Skill and Case, not {type(item).__name__}: make one with Experience.create or Skill.create")
    try:
        data = encode(item)
        found = decode(data)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise BadInput(f"{kind_of(item)} {id_of(item)!r} cannot be recorded: {error}") from error
    if len(data) > max_bytes:
        raise BadInput(f"{kind_of(item)} {id_of(item)!r} has {len(data)} bytes, at most {max_bytes} are kept: shorten it, or raise max_item_bytes")
    for what, name in _names(found).items():
        if not 0 < len(name) <= MAX_NAME_CHARS:
            raise BadInput(f"the {what} of a {kind_of(found)} has {len(name)} characters: give it 1 to {MAX_NAME_CHARS}")
    checked_state(state_of(found))
    if isinstance(found, Skill):
        return replace(found, created_at=as_utc(found.created_at))
    if isinstance(found, Case):
        return _checked_case(found)
    if not 0 <= found.confidence <= 1:
        raise BadInput(f"experience {id_of(found)!r} has the confidence {found.confidence!r}: give it 0 to 1")
    return replace(found, created_at=as_utc(found.created_at), valid_from=_utc(found.valid_from), valid_to=_utc(found.valid_to))


def _names(item: Item) -> dict[str, str]:
    if isinstance(item, Case):
        return {"id": item.case_id, "scope": item.scope, "tool": item.tool, "trace_id": item.trace_id, "step_id": item.step_id}
    return {"id": id_of(item), "scope": item.scope} | ({"name": item.name} if isinstance(item, Skill) else {})


def _checked_case(case: Case) -> Case:
    if not (math.isfinite(case.weight) and case.weight >= 0):
        raise BadInput(f"case {case.case_id!r} has the weight {case.weight!r}: give it a number from 0 on")
    if case.run_number < 0:
        raise BadInput(f"case {case.case_id!r} has the run number {case.run_number!r}: give it a number from 0 on")
    return replace(case, created_at=as_utc(case.created_at), valid_to=_utc(case.valid_to))


def checked_state(state: str) -> str:
    """Return `state` if an item may have it.

    Raises:
        BadInput: it is none.
    """
    if state not in get_args(MemoryState):
        raise BadInput(f"the state {state!r:.80} is not known: choose one of {', '.join(get_args(MemoryState))}")
    return state


def encode_state(state: StateSet) -> bytes:
    """Return what a `state_set` carries."""
    return msgspec.msgpack.encode(state)


def decode_state(data: bytes) -> StateSet:
    """Return what `encode_state` was given."""
    return msgspec.msgpack.decode(data, type=StateSet)


def applied(item: Item | None, change: Change) -> Item | None:
    """Return the item after `change`; None: there is none (any more)."""
    if change.change in WHOLE:
        return decode(change.data) if change.data is not None else None
    if item is None or change.change == "forgotten":
        return None
    if change.change == "promoted":
        return replace(item, uid=None)
    if isinstance(item, Case):
        return item
    if change.change == "retired":
        return replace(item, state="retired")
    if change.change == "state_set" and change.data is not None:
        return replace(item, state=decode_state(change.data).state)
    if change.change != "superseded":
        return item  # a newer version's change
    if isinstance(item, Experience):
        return replace(item, state="superseded", valid_to=change.at, superseded_by=change.successor_id)
    return replace(item, state="superseded")


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else as_utc(moment)


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)
