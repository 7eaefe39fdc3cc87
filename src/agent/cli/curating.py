"""What people do with what was learnt, on the command line: look, change, close, share."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from agent.cli.crediting import learning_of, lift_sentence
from agent.cli.item_finding import find_experience, find_item, id_of
from agent.cli.listing import when_text
from agent.cli.outlet import console, say, say_json, tell
from agent.cli.place import Place, opened, place_options
from agent.cli.reasoning import show_why
from agent.cli.upkeep import age_of
from agent.cli.visible import count_text, one_line
from agent.clock import now
from agent.config import AgentConfig
from agent.errors import BadInput
from agent.memory.credit import Credit
from agent.memory.memory import Memory
from agent.models.learning import Case
from agent.models.memory import Experience, Skill
from agent.models.value import Value
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import Store

STATES = ("candidate", "shadow", "active", "superseded", "retired")
WORD_CHARS = 90
MAX_LISTED = 10_000  # items that are looked through for a list with filters
COUNTED_USES = 1_000  # newest uses of an item that are counted


class Filter(Value, frozen=True, kw_only=True):
    """Which items are wanted."""

    kind: str = "experience"
    state: str | None = None
    scope: str | None = None
    since: str | None = None
    query: str | None = None
    limit: int = 20


async def caught_up(store: Store, uid: str) -> LearningStore:
    """Return the store's memory, once what a crash left unlearnt is in it."""
    memories = learning_of(store)
    await Memory(memories, store.traces, AgentConfig()).digest(uid)
    return memories


async def list_items(place: Place, wanted: Filter, *, is_json: bool) -> None:
    """Print items of memory, newest first; with a query those that fit it, best first.

    Raises:
        BadInput: no such state, kind or age.
    """
    if wanted.kind not in ("experience", "skill", "case"):
        raise BadInput(f"kind {wanted.kind!r} is not known: it is experience, skill or case")
    if wanted.state is not None and wanted.state not in STATES:
        raise BadInput(f"no item has the state {wanted.state!r}: there are {', '.join(STATES)}")
    after = now() - age_of(wanted.since) if wanted.since is not None else None
    async with opened(place) as store:
        memories = await caught_up(store, place.uid)
        found = [item for item in await _found(memories, wanted, place.uid) if after is None or item.created_at >= after][: wanted.limit]
        rows = [await _row(memories, item, place.uid) for item in found]
        besides = [] if found or is_json else await _besides(memories, wanted.kind, place.uid)
    if is_json:
        for item, row in zip(found, rows, strict=True):
            say_json({**item.to_dict(), **row})
        return
    options = place_options(place) or ""
    if besides:
        tell(f"{place.uid!r} has no such {wanted.kind}; there is other memory:")
        for kind, many in besides:
            tell(f"  {many}: seasoned memory ls --kind {kind}{options}")
        return
    if not found:
        tell(f"{place.uid!r} has no such item; `seasoned feedback add last --correction …{options}` makes one of what a run did")
        return
    if wanted.kind == "case":
        _print_cases(found)
    else:
        _print_items(found, rows)
    if wanted.kind != "case":
        tell(f"more on one of them: seasoned memory show ID{options}")


async def _found(memories: LearningStore, wanted: Filter, uid: str) -> list[Any]:
    states = (wanted.state,) if wanted.state is not None else STATES
    if wanted.query is not None:
        scopes = [wanted.scope] if wanted.scope is not None else await _scopes(memories, wanted.kind, uid)
        found = await memories.search(wanted.query, scopes=scopes, kind=wanted.kind, uid=uid, states=states, limit=wanted.limit)
        return [one.item for one in found]
    limit = wanted.limit if wanted.since is None else MAX_LISTED
    if wanted.kind == "case":
        return list(await memories.cases(uid=uid, scopes=[wanted.scope] if wanted.scope is not None else None, limit=limit))
    return list(await memories.list(uid=uid, kind=wanted.kind, scope=wanted.scope, state=wanted.state, limit=limit))


async def _besides(memories: LearningStore, kind: str, uid: str) -> list[tuple[str, str]]:
    """Return what there is of the other kinds, and how much."""
    counts = {one: len(await memories.list(uid=uid, kind=one, limit=MAX_LISTED)) for one in ("experience", "skill") if one != kind}
    if kind != "case":
        counts["case"] = len(await memories.cases(uid=uid, limit=MAX_LISTED))
    return [(one, count_text(many, one)) for one, many in counts.items() if many]


async def _scopes(memories: LearningStore, kind: str, uid: str) -> list[str]:
    if kind == "case":
        return sorted({case.scope for case in await memories.cases(uid=uid, limit=MAX_LISTED)})
    return sorted({item.scope for item in await memories.list(uid=uid, kind=kind, limit=MAX_LISTED)})


async def _row(memories: LearningStore, item: Experience | Skill | Case, uid: str) -> dict[str, Any]:
    """Return how often an item was told, and what is known of its effect."""
    if isinstance(item, Case):
        return {}
    item_id = id_of(item)
    uses = await memories.uses(item_id=item_id, uid=uid, limit=COUNTED_USES)
    arms = [used.arm for use in uses for used in use.items if used.item_id == item_id]
    lift = await Credit(memories).item(item_id, uid=uid) if uses else None
    known = lift is not None and lift.lift.verdict != "not_known"
    return {
        "told": arms.count("injected"),
        "withheld": arms.count("withheld"),
        "lift": lift_sentence(lift.lift) if lift is not None and known else "not yet known",
    }


def _print_items(found: list[Any], rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("id", "state", "scope", "kind"):
        table.add_column(name, no_wrap=True)
    table.add_column("says", overflow="fold")
    for name in ("evidence", "told"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("lift", overflow="fold")
    for item, row in zip(found, rows, strict=True):
        is_skill = isinstance(item, Skill)
        words = f"{item.name}: {item.description}" if is_skill else item.to_prompt_text()
        owner = item.scope if item.uid is not None else f"{item.scope} (shared)"
        evidence = "" if is_skill else str(len(item.evidence))
        kind = "skill" if is_skill else item.kind
        cells = [Text(one_line(text, WORD_CHARS)) for text in (id_of(item), item.state, owner, kind, words)]
        table.add_row(*cells, evidence, str(row["told"]), row["lift"])
    console(is_stderr=False).print(table)


def _print_cases(found: list[Any]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("when", "scope", "tool", "for or against", "signal", "by"):
        table.add_column(name, no_wrap=True)
    table.add_column("task", overflow="fold")
    for case in found:
        words = (when_text(case.created_at), case.scope, case.tool, "for" if case.sign > 0 else "against", case.signal, case.author or "", case.task)
        table.add_row(*(Text(one_line(text, WORD_CHARS)) for text in words))
    console(is_stderr=False).print(table)


async def show_item(place: Place, wanted: str, *, is_json: bool) -> None:
    """Print an item whole: its words, what it rests on, where it was told, and every change of it."""
    async with opened(place) as store:
        memories = await caught_up(store, place.uid)
        item = await find_item(memories, wanted, place.uid)
        history = await memories.history(uid=place.uid, item_id=id_of(item))
    if is_json:
        say_json({**item.to_dict(), "history": history})
        return
    await show_why(place, id_of(item), is_json=False)
    if isinstance(item, Skill):
        say(f"\n{item.content}")
    else:
        term = [f"valid from {when_text(item.valid_from)}" if item.valid_from else "", f"until {when_text(item.valid_to)}" if item.valid_to else ""]
        say(
            f"  scope {one_line(item.scope)}, {'of ' + one_line(item.uid, 60) if item.uid else 'shared'}, confidence {item.confidence:.2f}"
            + "".join(f", {t}" for t in term if t)
        )
        if item.superseded_by:
            say(f"  superseded by [{one_line(item.superseded_by)}]")
    for entry in history:
        did = f"made {entry['state']}" if entry.get("state") else entry["change"]
        by, why = entry.get("by"), entry.get("reason")
        say(f"  {when_text(entry['at'])}  {did}" + (f" by {one_line(by, 60)}" if by else "") + (f": {one_line(why, WORD_CHARS)}" if why else ""))
    if isinstance(item, Experience):
        _say_next(item, place_options(place) or "")


def _say_next(item: Experience, options: str) -> None:
    """Tell the commands that fit the state that an item is in."""
    item_id = one_line(item.experience_id)
    if item.state in ("shadow", "candidate"):
        tell(f"it is told to nobody yet. See what it would do: seasoned memory prove {item_id}{options}\n  then: seasoned memory activate {item_id}{options}")
    elif item.state == "active":
        tell(f"take it out of use: seasoned memory retire {item_id}{options}")
    else:
        tell(f"put it back: seasoned memory restore {item_id}{options}")


async def edit_item(place: Place, wanted: str, changes: Mapping[str, Any], *, by: str | None, is_json: bool) -> None:
    """Make a new version of an experience.

    Raises:
        BadInput: there is nothing to change.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    if not given:
        raise BadInput("nothing was given to change: say --rule, --condition, --kind or --confidence")
    async with opened(place) as store:
        memories = await caught_up(store, place.uid)
        item = await find_experience(memories, wanted, place.uid)
        new = await memories.edit(item.experience_id, given, by=by or place.uid, uid=place.uid)
    if is_json:
        say_json(new.to_dict())
        return
    for name in given:
        say(f"- {name}: {one_line(getattr(item, name), WORD_CHARS)}\n+ {name}: {one_line(getattr(new, name), WORD_CHARS)}")
    tell(f"{item.experience_id} has a new version; the older ones stay in its history")


async def set_state(place: Place, wanted: str, state: str, *, by: str | None, reason: str, is_json: bool) -> None:
    """Take an experience out of use, or into it."""
    async with opened(place) as store:
        memories = await caught_up(store, place.uid)
        item = await find_item(memories, wanted, place.uid)
        if isinstance(item, Skill) and state == "retired":
            await memories.retire(item.skill_id, by=by or place.uid, uid=place.uid)
            found: Any = await memories.get(item.skill_id, uid=place.uid)
        else:
            item = await find_experience(memories, wanted, place.uid)
            found = await memories.set_state(item.experience_id, state, by=by or place.uid, reason=reason, uid=place.uid)
    if is_json:
        say_json(found.to_dict())
        return
    back = f"seasoned memory restore {id_of(found)}{place_options(place) or ''}"
    told = "later runs are told it where it fits" if found.state == "active" else f"no run is told it any more; back: {back}"
    tell(f"{id_of(found)} is {found.state}: {told}")


async def share_item(place: Place, wanted: str, *, by: str, is_json: bool) -> None:
    """Share an item of one uid with all within its scope; who did it stays on the record."""
    async with opened(place) as store:
        memories = await caught_up(store, place.uid)
        item = await find_item(memories, wanted, place.uid)
        await memories.promote(id_of(item), by=by, uid=place.uid)
        found = await memories.get(id_of(item), uid=place.uid)
    assert found is not None
    if is_json:
        say_json(found.to_dict())
    else:
        shared = f"{id_of(item)} is shared by {by}"
        if found.state == "active":
            tell(f"{shared}: runs of every uid in the scope {item.scope} are told it where it fits")
        else:
            tell(f"{shared} in the scope {item.scope}, and told to no run: it is {found.state}")
            if isinstance(found, Experience):
                _say_next(found, place_options(place) or "")
