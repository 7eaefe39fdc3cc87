"""What people's decisions say about the next ones: rules over arguments, each tried on every decision it was made from.

A rule never covers a call that a person did not approve as it stood; where no such rule exists, none is made.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from agent.core.patterns import fields_for, is_number, meets
from agent.models.digest import canonical_hash
from agent.models.rule import BackTest, Fields, NoRule, Refused, Suggestion, WhyNone
from agent.models.value import Value

MIN_SUPPORT = 5
"""Equal decisions that a rule needs at least."""

MAX_DECISIONS = 2_000  # the newest of one tool that are looked at
MAX_PARTS = 20  # values of one argument by which decisions are taken apart
MAX_NAMES = 12  # arguments that are tried for that
MAX_SPLITS = 2  # how often they are taken apart again
TRAINING = 2 / 3  # the share of decisions, the oldest, that is learnt from before the rest is tried


class PastDecision(Value, frozen=True, kw_only=True, gc=False):
    """What a person said of one call. `is_approved`: it was to run exactly as it stood."""

    tool_name: str
    schema_hash: str
    arguments: dict[str, Any]
    is_approved: bool
    trace_id: str
    decided_at: datetime
    by: str = ""
    call_id: str = ""
    verdict: str = "approve"


def suggest(decisions: Sequence[PastDecision], *, min_support: int = MIN_SUPPORT) -> list[Suggestion]:
    """Return the rules that these decisions give rise to, those with the most support first."""
    found: list[Suggestion] = []
    for tool in sorted({decision.tool_name for decision in decisions}):
        of_tool = sorted((d for d in decisions if d.tool_name == tool), key=lambda d: d.decided_at)[-MAX_DECISIONS:]
        found += _suggest_for_tool(of_tool, min_support)
    return sorted(found, key=lambda s: (-s.tested.approved, s.tool_name, s.suggestion_id))


def without_rule(decisions: Sequence[PastDecision], *, min_support: int = MIN_SUPPORT) -> list[NoRule]:
    """Return the tools of which enough calls were approved and no rule is made, and why."""
    found: list[NoRule] = []
    for tool in sorted({decision.tool_name for decision in decisions}):
        of_tool = sorted((d for d in decisions if d.tool_name == tool), key=lambda d: d.decided_at)[-MAX_DECISIONS:]
        approved = [d.arguments for d in of_tool if d.is_approved and d.schema_hash == of_tool[-1].schema_hash]
        if len(approved) < min_support or _suggest_for_tool(of_tool, min_support):
            continue
        where = fields_for(approved)
        against = [d for d in of_tool if not d.is_approved and where is not None and meets(where, d.arguments)]
        why: WhyNone = "nothing_in_common" if where is None or not where.fields else "others_were_refused" if against else "wrong_later"
        told = [Refused(trace_id=d.trace_id, call_id=d.call_id, verdict=d.verdict, by=d.by, at=d.decided_at, arguments=d.arguments) for d in against[::-1]]
        found.append(NoRule(tool_name=tool, approved=len(approved), why=why, against=told))
    return found


def _suggest_for_tool(decisions: Sequence[PastDecision], min_support: int) -> list[Suggestion]:
    """Only decisions on the tool as it is now speak for a rule; any speaks against one."""
    schema_hash = decisions[-1].schema_hash
    approved = [d.arguments for d in decisions if d.is_approved and d.schema_hash == schema_hash]
    refused = [d.arguments for d in decisions if not d.is_approved]
    before = decisions[: int(len(decisions) * TRAINING)]
    earlier = _learnt([d.arguments for d in before if d.is_approved], [d.arguments for d in before if not d.is_approved], min_support)
    found: list[Suggestion] = []
    for where in _learnt(approved, refused, min_support):
        tested = _tested(where, decisions, earlier, decisions[len(before) :])
        if tested.later_wrongly_approved:  # what was learnt a while ago was wrong later: these decisions follow no such rule
            continue
        covered = [d for d in decisions if d.is_approved and meets(where, d.arguments)]
        per_run = max(Counter(d.trace_id for d in covered).values())
        found.append(
            Suggestion(
                suggestion_id=canonical_hash([decisions[0].tool_name, schema_hash, repr(where), per_run])[:12],
                tool_name=decisions[0].tool_name,
                schema_hash=schema_hash,
                where=where,
                max_per_run=per_run,
                tested=tested,
                approved_by=dict(Counter(d.by for d in covered)),
            )
        )
    return found


def _tested(where: Fields, decisions: Sequence[PastDecision], earlier: Sequence[Fields], later: Sequence[PastDecision]) -> BackTest:
    covered = [meets(where, d.arguments) for d in decisions]
    would = [d.is_approved for d in later if any(meets(rule, d.arguments) for rule in earlier)]
    return BackTest(
        decisions=len(decisions),
        approved=sum(d.is_approved and is_covered for d, is_covered in zip(decisions, covered, strict=True)),
        missed=sum(d.is_approved and not is_covered for d, is_covered in zip(decisions, covered, strict=True)),
        wrongly_approved=sum(is_covered and not d.is_approved for d, is_covered in zip(decisions, covered, strict=True)),
        later=len(later),
        later_approved=sum(would),
        later_wrongly_approved=len(would) - sum(would),
    )


def _learnt(approved: Sequence[dict[str, Any]], refused: Sequence[dict[str, Any]], min_support: int, splits: int = 0) -> list[Fields]:
    """Return conditions that cover approved arguments and none of the refused: one for all, or where that fails some for parts of them."""
    if len(approved) < max(min_support, 1):
        return []
    where = fields_for(approved)
    if where is not None and where.fields and not any(meets(where, arguments) for arguments in refused):
        return [where]
    if splits == MAX_SPLITS:
        return []
    best: tuple[int, list[Fields]] = (0, [])
    for name in sorted({name for arguments in approved for name in arguments})[:MAX_NAMES]:
        found = [rule for part in _parts(name, approved, refused) for rule in _learnt(part, refused, min_support, splits + 1)]
        count = sum(any(meets(rule, arguments) for rule in found) for arguments in approved)
        if count > best[0]:
            best = (count, found)
    return best[1]


def _parts(name: str, approved: Sequence[dict[str, Any]], refused: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return the approved arguments taken apart by one of them: numbers between those that were refused, all else by its value."""
    numbers = [value for arguments in approved if is_number(value := arguments.get(name))]
    if len(numbers) == len(approved):
        cuts = sorted(value for arguments in refused if is_number(value := arguments.get(name)))[:MAX_PARTS]
        keys = [str(sum(cut <= value for cut in cuts)) if value not in cuts else f"at {value}" for value in numbers]
    else:
        keys = [canonical_hash([name in arguments, arguments.get(name)]) for arguments in approved]
    parts: dict[str, list[dict[str, Any]]] = {}
    for key, arguments in zip(keys, approved, strict=True):
        parts.setdefault(key, []).append(arguments)
    largest = sorted(parts.values(), key=len, reverse=True)[:MAX_PARTS]
    return largest if len(parts) > 1 else []
