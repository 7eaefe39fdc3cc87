"""A memory out of a store, and into another."""

import sys
from collections.abc import Iterable
from pathlib import Path

from agent.cli.curating import caught_up
from agent.cli.outlet import say, say_json, tell
from agent.cli.place import Place, opened
from agent.cli.visible import count_text
from agent.errors import BadInput
from agent.models.learning import Case
from agent.models.memory import Experience, Skill
from agent.storage.learning_port import LearningStore
from agent.storage.memory_portable import Item, as_json_lines, as_markdown, id_of, owned_by, read_items

MAX_FILE_BYTES = 1_000_000_000
MAX_ITEMS = 1_000_000


async def export_memory(place: Place, target: str | None, form: str, *, has_cases: bool) -> None:
    """Write all that a uid has learnt, oldest first, to a file or stdout.

    Raises:
        BadInput: no such form, or the file cannot be written.
    """
    if form not in ("jsonl", "md"):
        raise BadInput(f"format {form!r} is not known: it is jsonl or md")
    async with opened(place) as store:
        memories = await caught_up(store, place.uid)
        items = await _all(memories, place.uid, has_cases=has_cases)
    lines = as_json_lines(items) if form == "jsonl" else as_markdown(items)
    if target is None or target == "-":
        for line in lines:
            say(line)
    else:
        _write(Path(target), lines)
    tell(f"{count_text(len(items), 'item')} of {place.uid!r}" + ("" if target in (None, "-") else f" were written to {target}"))


def _write(target: Path, lines: Iterable[str]) -> None:
    try:
        with target.open("x", encoding="utf-8", errors="surrogatepass") as file:
            file.writelines(f"{line}\n" for line in lines)
    except FileExistsError:
        raise BadInput(f"{str(target)!r} is there already: name a new file") from None
    except OSError as error:
        raise BadInput(f"{str(target)!r} cannot be written ({error.strerror}): name another file") from None


async def _all(memories: LearningStore, uid: str, *, has_cases: bool) -> list[Item]:
    found: list[Item] = list(await memories.list(uid=uid, limit=MAX_ITEMS))
    found += await memories.list(uid=uid, kind="skill", limit=MAX_ITEMS)
    if has_cases:
        found += await memories.cases(uid=uid, limit=MAX_ITEMS)
    return list(reversed(found))


async def import_memory(place: Place, source: str, *, take_over: bool, may_share: bool, is_dry_run: bool, is_json: bool) -> None:
    """Take items in from a file, or from stdin for `-`: all of them are looked at before one is written.

    Raises:
        BadInput: a line is no item, or is another uid's. Nothing was taken in.
    """
    found = owned_by(read_items(_text(source)), place.uid, take_over=take_over, may_share=may_share)
    async with opened(place, may_make=True) as store:
        memories = await caught_up(store, place.uid)
        new = [item for item in found if not await _is_known(memories, item)]
        for item in () if is_dry_run else new:
            await _take_in(memories, item)
        forgotten = [] if is_dry_run else [id_of(item) for item in new if not await _is_known(memories, item)]
    taken = [id_of(item) for item in new if id_of(item) not in forgotten]
    if is_json:
        say_json({"is_dry_run": is_dry_run, "item_ids": taken, "forgotten": forgotten})
        return
    for item_id in taken:
        say(item_id)
    rest = f": {len(found) - len(new)} are here already" if len(new) < len(found) else ""
    tell(f"{len(taken)} of {len(found)} items {'would be' if is_dry_run else 'were'} taken in{rest}")
    for item_id in forgotten:
        tell(f"{item_id} was forgotten here, and is not learnt again under this id: give it another one where that is meant")


async def _is_known(memories: LearningStore, item: Item) -> bool:
    if isinstance(item, Case):
        return any(case.case_id == item.case_id for case in await memories.cases(trace_id=item.trace_id))
    known = await memories.get(id_of(item))
    if known is not None and known.uid != item.uid:
        raise BadInput(f"{id_of(item)!r} is {known.uid!r}'s in this store: give the item another id")
    return known is not None


async def _take_in(memories: LearningStore, item: Item) -> None:
    if isinstance(item, Case):
        await memories.add_cases([item])
    elif isinstance(item, Skill):
        await memories.add_skill(item)
    else:
        assert isinstance(item, Experience)
        await memories.add_experience(item)


def _text(source: str) -> str:
    try:
        if source == "-":
            data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{source!r} cannot be read ({error.strerror}): name the file that `seasoned memory export` wrote") from None
    if len(data) > MAX_FILE_BYTES:
        raise BadInput(f"{source!r} has more than {MAX_FILE_BYTES:,} bytes: cut it into parts")
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise BadInput(f"{source!r} is no UTF-8 text (byte {error.start}): name the file that `seasoned memory export` wrote") from None
