"""Why memory said what it said, and what it learnt lately, on the command line."""

from collections.abc import Sequence

from agent.cli.crediting import learning_of, lift_sentence, stage_text
from agent.cli.listing import when_text
from agent.cli.one_step import find_step
from agent.cli.outlet import say, say_json, tell
from agent.cli.place import Place, find_trace, opened, place_options
from agent.cli.upkeep import age_of
from agent.cli.visible import count_text, one_line
from agent.clock import now
from agent.errors import BadInput, ExperienceNotFound, TraceNotFound
from agent.memory.reasons import Reasons
from agent.models.learning import Use
from agent.models.lift import as_json
from agent.models.why import CameOf, Evidence, Learnt, Record, RunWhy, Why

LINE_CHARS = 140
SHOWN = 20  # experiences and tools that are listed of what was learnt lately


async def show_why(place: Place, target: str, *, is_json: bool) -> None:
    """Print why an item exists, why each item of a run does, or what came of a step.

    Raises:
        TraceNotFound: there is neither such an item nor such a run.
        StepNotFound: the run has no such step.
    """
    async with opened(place) as store:
        reasons = Reasons(learning_of(store), store.traces)
        if "/" in target:
            trace, step = await find_step(store.traces, target, place.uid)
            came = await reasons.came_of(trace.trace_id, step.step_id, uid=place.uid)
            if is_json:
                say_json(as_json(came))
            else:
                _say_came(came, place)
            return
        try:
            why = await reasons.why_item(target, uid=place.uid)
        except ExperienceNotFound:
            pass
        else:
            if is_json:
                say_json(as_json(why))
            else:
                _say_item(why, offer=offer_of_proof(target, place))
            return
        try:
            trace = await find_trace(store.traces, target, place.uid)
        except TraceNotFound:
            raise TraceNotFound(target, "nor is there an item of memory with this id; `seasoned runs ls` lists the runs") from None
        found = await reasons.why_run(trace.trace_id, uid=place.uid)
    if is_json:
        say_json(as_json(found))
    else:
        _say_run(found, place)


def offer_of_proof(item_id: str, place: Place) -> str:
    """Return what to do before a rule in the shadow is made active."""
    return f"See what it would change in past runs:\n  seasoned memory prove {one_line(item_id)}{place_options(place) or ''}"


async def show_learnt(place: Place, since: str, *, is_json: bool) -> None:
    """Print what was learnt lately.

    Raises:
        BadInput: the age is none.
    """
    try:
        moment = now() - age_of(since)
    except OverflowError:
        raise BadInput(f"{since!r} is longer ago than dates go") from None
    async with opened(place) as store:
        found = await Reasons(learning_of(store), store.traces).learnt_since(moment, uid=place.uid)
    if is_json:
        say_json(as_json(found))
    else:
        _say_learnt(found, place)


def _say_run(found: RunWhy, place: Place) -> None:
    if found.use is None:
        tell(f"run {found.trace_id} was told nothing: memory was off, or had nothing that fits")
        return
    use = found.use
    said = {"injected": "was told its advice", "withheld": "was chosen to go without the advice there was", "none": "had no advice"}[use.arm]
    say(f"run {one_line(use.trace_id)} ({one_line(use.scope)}) {said}; {_outcome_text(use)}")
    for told in found.items:
        became = {"injected": "told", "withheld": "withheld by chance", "shadow": "only logged", "excluded": "left out"}[told.arm]
        chance = "" if told.propensity >= 1 else f", with a chance of {told.propensity:.2f}"
        say(f"\n{became}{chance}; fits {told.score:.2f}")
        _say_item(told.why, is_short=True)
    if found.items:
        tell(f"more on one of them: seasoned memory why ITEM{place_options(place) or ''}")


def _say_came(came: CameOf, place: Place) -> None:
    if not came.experiences and not came.cases:
        tell(f"nothing was learnt from step {one_line(came.step_id)}, or not yet")
        return
    for why in came.experiences:
        _say_item(why)
    for line in _evidence_lines(came.cases):
        say(line)
    if came.experiences:
        tell(f"undo it: seasoned feedback undo {one_line(came.step_id)}{place_options(place) or ''}")


def _outcome_text(use: Use) -> str:
    if use.outcome is None:
        return "nobody said how it went"
    by = f" by {one_line(use.outcome_by, 60)}" if use.outcome_by else ""
    return f"it went {use.outcome:.2f} of 1 ({use.outcome_from or 'said'}{by})"


def _say_item(why: Why, *, is_short: bool = False, offer: str = "") -> None:
    say(f"[{one_line(why.item_id)}] {one_line(why.says, LINE_CHARS) or '(its words were forgotten)'}")
    facts = [why.kind, why.state, f"from {why.source}" if why.source else None, f"by {one_line(why.author, 60)}" if why.author else None]
    facts += [f"trust: {why.trust}" if why.trust else None, when_text(why.created_at) if why.created_at else None]
    say("  " + ", ".join(fact for fact in facts if fact))
    for line in _evidence_lines(why.evidence):
        say(f"  {line}")
    if why.evidence_left_out:
        say(f"  and {why.evidence_left_out} more")
    if is_short:
        if why.lift is not None:
            say(f"  {lift_sentence(why.lift.lift)}; {stage_text(why.lift)}")
        return
    say(f"  {_record_text(why.record)}")
    if why.lift is not None:
        say(f"  lift: {lift_sentence(why.lift.lift)}; {stage_text(why.lift)}")
    for use in why.uses:
        became = use.items[0].arm if use.items else "?"
        say(f"  run {one_line(use.trace_id)} ({when_text(use.at)}): {became}; {_outcome_text(use)}")
    if offer and why.state == "shadow":
        tell(offer)


def _evidence_lines(evidence: Sequence[Evidence]) -> list[str]:
    lines = []
    for one in evidence:
        sign = {1: "for it: ", -1: "against it: ", None: ""}[one.sign]
        by = f" by {one_line(one.by, 60)}" if one.by else ""
        what = f"{one.step_type}{by}" if one.step_type else "not to be read any more"
        words = f": {one_line(one.says, LINE_CHARS)}" if one.says.strip() else ""
        lines.append(f"learnt from {one_line(one.step_id)} ({what}), {sign}{words.removeprefix(': ')}".rstrip(", "))
    return lines


def _record_text(record: Record) -> str:
    def arm(name: str, runs: int, known: int, mean: float | None) -> str:
        return f"{name} {runs}" + ("" if mean is None else f" (of {known} known, {100 * mean:.0f} % went well)")

    parts = [
        arm("told to", record.told, record.told_known, record.told_mean),
        arm("withheld from", record.withheld, record.withheld_known, record.withheld_mean),
    ]
    return "; ".join(parts) + (f"; only logged in {record.logged}" if record.logged else "")


def _say_learnt(found: Learnt, place: Place) -> None:
    if not found.experiences and not found.cases:
        tell(f"nothing was learnt since {when_text(found.since)}")
        return
    many = " or more" if found.is_partial else ""
    say(f"since {when_text(found.since)}: {count_text(len(found.experiences), 'experience')}, {count_text(found.cases, 'case')}{many}")
    for one in found.experiences[:SHOWN]:
        by = f", by {one_line(one.author, 60)}" if one.author else ""
        say(f"  {when_text(one.created_at)}  [{one_line(one.experience_id)}] {one_line(one.to_prompt_text(), LINE_CHARS)} ({one.state}{by})")
    if len(found.experiences) > SHOWN:
        say(f"  and {len(found.experiences) - SHOWN} more")
    tools = sorted(found.cases_for.keys() | found.cases_against.keys())
    for tool in tools[:SHOWN]:
        say(f"  {one_line(tool, 60)}: {count_text(found.cases_for.get(tool, 0), 'case')} for it, {found.cases_against.get(tool, 0)} against it")
    if len(tools) > SHOWN:
        say(f"  and {len(tools) - SHOWN} more tools")
    for lift in found.lifts:
        say(f"{one_line(lift.scope)}: {lift_sentence(lift)}")
    tell(f"why one of them is there: seasoned memory why ITEM{place_options(place) or ''}")
