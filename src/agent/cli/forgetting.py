"""Forgetting on the command line: first what would go, then, when it is meant, for good."""

import sys

import typer

from agent.cli.curating import caught_up
from agent.cli.item_finding import find_item, id_of
from agent.cli.outlet import say, say_json, tell
from agent.cli.place import Place, find_trace, opened, place_options
from agent.cli.visible import count_text, one_line
from agent.errors import BadInput
from agent.models.memory import Experience, Skill
from agent.models.value import Value
from agent.storage.learning_port import LearningStore, Sources

SHOWN = 20
USES = 1_000  # newest uses of an item that are looked at for the runs that were told it
LINE_CHARS = 140


class Meant(Value, frozen=True, kw_only=True):
    """What is to be forgotten; all that is given must hold."""

    item: str | None = None
    run: str | None = None
    source: str | None = None
    text: str | None = None
    is_all: bool = False


async def forget(place: Place, meant: Meant, *, by: str | None, is_dry_run: bool, is_sure: bool, is_json: bool) -> None:
    """Remove items for good, after showing them and asking.

    Raises:
        BadInput: nothing was named, or nobody can be asked.
    """
    if not any((meant.item, meant.run, meant.source, meant.text, meant.is_all)):
        raise BadInput("say what to forget: an item by its id, --run ID, --source NAME, --text WORDS, or --all that this uid has")
    async with opened(place) as store:
        memories = await caught_up(store, place.uid)
        item_id = id_of(await find_item(memories, meant.item, place.uid)) if meant.item is not None else None
        trace_id = (await find_trace(store.traces, meant.run, place.uid)).trace_id if meant.run is not None else None
        sources = Sources(uid=place.uid, item_id=item_id, trace_id=trace_id, source=meant.source, text=meant.text)
        found = await memories.forget_from(sources, by=by or place.uid, is_dry_run=True)
        runs = await _runs_of(memories, found, place.uid) if trace_id is None else [trace_id]
        if not is_json:
            await _show(memories, found, place.uid)
        if found and not is_dry_run:
            _make_sure(len(found), is_sure=is_sure)
            found = await memories.forget_from(sources, by=by or place.uid)
    if is_json:
        say_json({"is_dry_run": is_dry_run, "item_ids": found})
        return
    did = "would be" if is_dry_run else "was" if len(found) == 1 else "were"
    tell(f"{count_text(len(found), 'item')} {did} forgotten" + ("" if is_dry_run else "; that they were there stays on the record"))
    if runs and found and not is_dry_run:
        tell("the runs themselves still say what they said:")
        for one in runs[:SHOWN]:
            tell(f"  seasoned runs erase {one} --all --reason …{place_options(place) or ''}")
        if len(runs) > SHOWN:
            tell(f"  and {len(runs) - SHOWN} more")


async def _runs_of(memories: LearningStore, found: list[str], uid: str) -> list[str]:
    """Return the runs that items were learnt from, and those that were told them: their own steps hold the words too."""
    runs: list[str] = []
    for item_id in found:
        item = await memories.get(item_id, uid=uid)
        if isinstance(item, Experience):
            runs += [step_id.rpartition("/")[0] for step_id in item.evidence if "/" in step_id]
        runs += [use.trace_id for use in await memories.uses(item_id=item_id, uid=uid, limit=USES)]
    return list(dict.fromkeys(runs))


async def _show(memories: LearningStore, found: list[str], uid: str) -> None:
    for item_id in found[:SHOWN]:
        item = await memories.get(item_id, uid=uid)
        words = item.to_prompt_text() if isinstance(item, Experience) else f"skill {item.name}" if isinstance(item, Skill) else "a case, or what a run was told"
        say(f"[{one_line(item_id)}] {one_line(words, LINE_CHARS)}")
    if len(found) > SHOWN:
        say(f"and {len(found) - SHOWN} more")


def _make_sure(count: int, *, is_sure: bool) -> None:
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise BadInput(f"{count_text(count, 'item')} would be forgotten for good: say --yes, or look first with --dry-run")
    if not typer.confirm(f"Forget {count_text(count, 'item')} for good?", err=True):
        raise typer.Exit(1)
