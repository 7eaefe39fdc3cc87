"""Lessons that get in each other's way, on the command line."""

from typing import Literal

from agent.cli.curating import caught_up
from agent.cli.outlet import say, say_json, tell
from agent.cli.place import Place, opened, place_options
from agent.cli.visible import one_line, visible
from agent.errors import BadInput
from agent.memory.conflicts import Conflicts
from agent.models.conflict import Conflict


async def show_conflicts(place: Place, *, is_json: bool) -> None:
    """Print what waits for a person's word, each as a diff."""
    async with opened(place) as store:
        found = await Conflicts(await caught_up(store, place.uid)).list(uid=place.uid)
    if is_json:
        for one in found:
            say_json(one.to_dict())
        return
    if not found:
        tell("no lessons are in each other's way")
    for one in found:
        _say(one, place_options(place) or "")


def _say(one: Conflict, options: str) -> None:
    what = "say nearly the same; as one" if one.kind == "merge" else "the newer took the older's place"
    say(f"{one_line(one.conflict_id)}: [{one_line(one.older.experience_id)}] and [{one_line(one.newer.experience_id)}]: {what}")
    for line in one.diff.splitlines():
        say(f"  {visible(line)}")
    if one.proposal is not None:
        say(f"  = {one_line(one.proposal.to_prompt_text(), 300)}")
        tell(f"  make them one: seasoned memory conflicts --accept {one.conflict_id}{options}; leave both: --refuse {one.conflict_id}{options}")
    else:
        tell(f"  bring the older back: seasoned memory conflicts --refuse {one.conflict_id}{options}")


async def settle(place: Place, *, accept: str | None, refuse: str | None, by: str | None, is_json: bool) -> None:
    """Do what a conflict proposes, or not.

    Raises:
        BadInput: both were asked for.
        ExperienceNotFound: there is no such conflict.
    """
    if accept is not None and refuse is not None:
        raise BadInput("--accept and --refuse are two words on two conflicts: give one at a time")
    verdict: Literal["accept", "refuse"] = "accept" if accept is not None else "refuse"
    async with opened(place) as store:
        told = await Conflicts(await caught_up(store, place.uid)).settle(accept or refuse or "", verdict, by=by or place.uid, uid=place.uid)
    if is_json:
        say_json(told.to_dict())
        return
    say(f"[{one_line(told.experience_id)}] {one_line(told.to_prompt_text(), 300)}")
    closed = told.experience_id if verdict == "accept" else refuse
    tell(f"this is told from now on; undo it: seasoned memory restore {closed}{place_options(place) or ''}")
