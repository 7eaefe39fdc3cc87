"""What lessons say against each other, and a person's word on it."""

from agent.cli.crediting import learning_of
from agent.cli.outlet import say, say_json, tell
from agent.cli.place import Place, opened
from agent.cli.visible import one_line, visible
from agent.errors import BadInput
from agent.memory.conflicts import ACCEPT, REFUSE, Conflicts


async def show_conflicts(place: Place, *, is_json: bool) -> None:
    """Print the conflicts of an owner, each with its diff."""
    async with opened(place) as store:
        found = await Conflicts(learning_of(store)).list(uid=place.uid)
    if is_json:
        for conflict in found:
            say_json(conflict.to_dict())
        return
    if not found:
        tell("no lesson closed another, and no two say nearly the same")
    for conflict in found:
        what = f"{one_line(conflict.newer.experience_id)} took the place of {one_line(conflict.older.experience_id)}"
        if conflict.proposal is not None:
            what = f"nearly the same; as one: {one_line(conflict.proposal.rule)}"
        say(f"{one_line(conflict.conflict_id)}  {what}")
        for line in visible(conflict.diff).splitlines():
            say(f"  {line}")


async def settle_conflict(place: Place, *, accept: str | None, refuse: str | None, by: str | None, is_json: bool) -> None:
    """Do what a conflict proposes, or not.

    Raises:
        BadInput: both are asked for.
        ExperienceNotFound: there is no such conflict (any more).
    """
    if accept is not None and refuse is not None:
        raise BadInput("give one of --accept and --refuse")
    async with opened(place) as store:
        conflicts = Conflicts(learning_of(store))
        conflict_id, verdict = (accept, ACCEPT) if accept is not None else (refuse or "", REFUSE)
        told = await conflicts.settle(conflict_id, verdict, by=by, uid=place.uid)
    if is_json:
        say_json(told.to_dict())
        return
    tell(f"settled: {one_line(told.experience_id)} is {told.state}: {one_line(told.rule)}")
