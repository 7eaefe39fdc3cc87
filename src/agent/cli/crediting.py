"""Lift on the command line: the memory as a whole, each item, and one of them."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from agent.cli.item_finding import find_experience
from agent.cli.outlet import console, say, say_json, tell
from agent.cli.place import Place, opened, place_options
from agent.cli.visible import one_line
from agent.errors import BadInput, ExperienceNotFound
from agent.memory.credit import Credit
from agent.models.lift import ItemLift, Lift, as_json
from agent.models.value import Value
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import Store


class Wanted(Value, frozen=True, kw_only=True):
    """Whose lift is wanted."""

    item_id: str | None = None
    scope: str | None = None
    runs: int = 1_000


def learning_of(store: Store) -> LearningStore:
    """Return the store's memory.

    Raises:
        BadInput: it keeps no record of what runs were told.
    """
    if not isinstance(store.memories, LearningStore):
        raise BadInput("this store keeps no record of what runs were told: use sqlite:///…")
    return store.memories


async def show_lift(place: Place, wanted: Wanted, *, is_json: bool) -> None:
    """Print lift.

    Raises:
        ExperienceNotFound: no run was told this item, nor spared it.
    """
    async with opened(place) as store:
        credit = Credit(learning_of(store))
        if wanted.item_id is not None:
            item = await credit.item(wanted.item_id, uid=place.uid, window=wanted.runs)
            if item is None:
                raise ExperienceNotFound(wanted.item_id, f"no run of {place.uid!r} was told it yet: its lift is not known")
            if is_json:
                say_json(as_json(item))
            else:
                experience = await credit.memories.get(item.item_id, uid=place.uid)
                _say_item(item, place, is_told=experience is not None and experience.state == "active")
            return
        scopes = [wanted.scope] if wanted.scope is not None else await credit.scopes(uid=place.uid, window=wanted.runs)
        if not scopes and not is_json:
            tell(f"no run of {place.uid!r} was told anything yet: lift is not known (n=0)")
        for scope in scopes:
            whole, items = await credit.both(scope, uid=place.uid, window=wanted.runs)
            if is_json:
                say_json(as_json(whole) | {"items": [as_json(item) for item in items]})
            else:
                _say_whole(whole, items, place)


def lift_sentence(lift: Lift) -> str:
    """Return what is known, in one sentence that says of how many runs."""
    if lift.verdict == "not_known" or lift.estimate is None:
        counted = lift.told + lift.withheld
        so_far = "" if lift.estimate is None else f"; so far {_interval(lift)}"
        return f"not yet known (n={lift.runs}, {counted} of them count; about {lift.more_runs:,} more would show a lift of {lift.target}){so_far}"
    words = {"helps": "helps", "harms": "does harm", "no_difference": "makes no difference that matters"}[lift.verdict]
    return f"{words}: {_interval(lift)}"


def _interval(lift: Lift) -> str:
    return f"{lift.estimate:+.2f} (95 %: {lift.low:+.2f} to {lift.high:+.2f})"


def arm_lines(lift: Lift) -> list[str]:
    """Return how the runs did, arm by arm, and what does not count."""
    if not lift.told + lift.withheld + lift.unknown_told + lift.unknown_withheld:
        lines = ["nothing was left to chance yet: advice is from the 50th run on (setting withhold), a person's own rules never, unless asked for"]
    else:
        lines = [f"told: {runs_text(lift.told)}{_went(lift.told_mean)}; withheld: {lift.withheld}{_went(lift.withheld_mean)}"]
    if lift.unknown_told or lift.unknown_withheld:
        lines.append(f"nobody said how {lift.unknown_told} told and {lift.unknown_withheld} withheld runs went: they are in neither")
    if lift.certain:
        lines.append(f"told without a chance of being withheld, which says nothing of the effect: {runs_text(lift.certain)}")
    return lines


def runs_text(count: int) -> str:
    """Return a number of runs."""
    return f"{count:,} run{'' if count == 1 else 's'}"


def _went(mean: float | None) -> str:
    return "" if mean is None else f", {100 * mean:.0f} % went well"


def _say_whole(lift: Lift, items: Sequence[ItemLift], place: Place) -> None:
    say(f"{one_line(lift.scope)}: {lift_sentence(lift)}")
    for line in arm_lines(lift):
        say(f"  {line}")
    if not items:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("item", "kind"):
        table.add_column(name, no_wrap=True)
    for name in ("told", "withheld"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("lift", "stands"):
        table.add_column(name, overflow="fold")
    for item in items:
        known = item.lift
        short = "not yet known" if known.verdict == "not_known" else lift_sentence(known)
        table.add_row(Text(one_line(item.item_id, 60)), item.kind, str(known.told + known.certain), str(known.withheld), short, stage_text(item))
    console(is_stderr=False).print(table)
    if any(item.stage == "quarantine" for item in items):
        tell(f"an item of your own that does harm is told to nobody; put it back with: seasoned memory restore ITEM{place_options(place) or ''}")


def stage_text(item: ItemLift) -> str:
    """Return how an item stands, and what that rests on."""
    if item.stage == "quarantine":
        return f"harmful: evidence {item.harm:.3g} of 100"
    if item.stage == "probation" and not item.tosses:
        return f"suspected: runs told it go badly (evidence {item.suspicion:.3g} of 10), for whatever cause"
    if item.stage == "probation":
        return f"on probation: runs told it go badly (evidence {item.suspicion:.3g} of 10), a coin decides; evidence of harm {item.harm:.3g} of 100"
    return "trusted"


def _say_item(item: ItemLift, place: Place, *, is_told: bool) -> None:
    say(f"{one_line(item.item_id)} ({item.kind}, {one_line(item.lift.scope)}): {lift_sentence(item.lift)}")
    for line in arm_lines(item.lift):
        say(f"  {line}")
    say(f"  {stage_text(item)}")
    if item.stage == "quarantine" and is_told:
        tell("it is told all the same: it is shared, and one owner's runs take it from nobody; whoever looks after it can retire it")
    elif item.stage == "quarantine":
        tell(f"it is told to nobody; put it back with: seasoned memory restore {one_line(item.item_id)}{place_options(place) or ''}")


async def put_back(place: Place, item_id: str, *, by: str | None, is_json: bool) -> None:
    """Take the last closing of an item back.

    Raises:
        ExperienceNotFound, BadInput: there is none, or nothing to take back.
    """
    async with opened(place) as store:
        memories = learning_of(store)
        item = await find_experience(memories, item_id, place.uid)
        found = await Credit(memories).put_back(item.experience_id, by=by or place.uid, uid=place.uid)
    if is_json:
        say_json(found.to_dict())
    else:
        tell(
            f"{one_line(found.experience_id)} is {found.state} again"
            + (": it is told where it fits, and judged by the runs to come" if found.state == "active" else "")
        )
