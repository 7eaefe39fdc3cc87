"""Cases to advice: what was tried on tasks like this one, and how it ended, put to the vote.

Each case counts for or against its tool by how like its task is, how strong its signal was, how long ago and by whom. The
shares say whether memory has something to say at all, and how firmly. The constants were chosen on held-out tasks of a
public data set (bench/learning); none is fitted to a user's own.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from agent.core.profiles import Seen, covering
from agent.core.quoting import one_line
from agent.core.wording import wording
from agent.models.json_text import json_of
from agent.models.learning import Advice, Case, Form, Found, ToolRecord
from agent.models.value import Value, replace

TELLING = 0.01
"""The weight, as a part of the heaviest, from which on a case is named among those that decided."""
CASES = 50
"""How many cases, those that fit best, a store is asked for and have a vote."""
SHARPNESS = 4
"""The power of a case's likeness: at half the likeness a case has a sixteenth of the weight."""
HALF_LIFE = 1_000
"""Runs of its scope, before the newest case of the same tool that was found, by which a case counts half: what nobody tried again is not forgotten for
that, and what has failed since gives way."""
UNKNOWN = 0.3**SHARPNESS
"""The vote for "none of these": as much as one plain case of the likeness .3. A few distant cases never make a large share."""
AGAINST = 0.5
"""How much a failure counts beside a success: one of two is not to close a tool."""
FIRM = 0.5
"""The share from which on a tool is named as what to use."""
FIRM_UNPROVEN = 0.6
"""The same where no success was ever seen, only corrections: nobody knows whether what was corrected to works."""
WORTH_A_WORD = 0.3
"""The share from which on a tool's record is told as evidence. A reader who does what the first line says is led astray early by less: told
from .1 on, 19 % of what it did right at 500 runs it then did wrong, from .3 on 6 %; one who weighs loses a point (bench/learning)."""
MAX_RECORDS = 3
"""Tools whose records are told as evidence, at most."""
NEAR = 0.5
"""Likeness, as a part of the best, from which on a case is counted in "worked 6, failed 1"."""
TRUST: Mapping[str, float] = {"person": 1.0, "verified_tool": 1.0, "model": 0.5, "web": 0.25}
"""How much a case counts by where it comes from; what is not named here counts as the last."""
SAME_VALUE = 0.75
"""Share of the cases that name an argument, by weight, that must have the same value for it to be told."""
MIN_AGREEING = 2
"""Runs that must have had that value: what one person wrote once belongs to that task."""
MAX_VALUE_CHARS = 40
"""Of an argument's value as JSON; a longer one is no setting but material of its task."""
MAX_VALUES = 3
"""Arguments that are told at most."""
MAX_LIKE_CHARS = 60
"""Of the task that is quoted."""
MAX_TOOL_CHARS = 100
"""Of a tool's name."""
PROOF = frozenset({"positive", "approved", "resolved", "outcome", "score"})
"""Signals which, in favour of a tool, say that it was seen to work."""
CHOSEN = frozenset({"correction", "edited"})
"""Signals in which somebody wrote the arguments down."""


class _Vote(Value, frozen=True):
    case: Case
    likeness: float
    weight: float
    worth: float  # the weight that it would have if its task were this one


ABSTAINED = Advice()
_LEAST_TRUST = min(TRUST.values())
_ITEM_ID = re.compile("c-[0-9a-f]{10}").fullmatch


@lru_cache(maxsize=4_096)
def item_id_of(scope: str, uid: str | None, tool: str) -> str:
    """Return the id under which the cases of a scope, an owner and a tool are one experience."""
    key = "\0".join((scope, "" if uid is None else f"={uid}", tool))
    return f"c-{blake2b(key.encode(errors='surrogatepass'), digest_size=5).hexdigest()}"


def is_item_id(item_id: str) -> bool:
    """Return whether an id has the form of those of `item_id_of`."""
    return _ITEM_ID(item_id) is not None


def advise(
    found: Sequence[Found],
    *,
    runs: Mapping[str, int],
    scope: str,
    task: str = "",
    uid: str | None = None,
    offered: Collection[str] | None = None,
    trust_of: Callable[[Case], float] | None = None,
    language: str = "en",
) -> Advice:
    """Return what these cases come to; the order in which they are given does not matter.

    `runs` says how many runs each scope has had (a scope that it lacks counts none: its cases do not age). Only tools that are `offered`
    are named (None: any); cases of others still speak against certainty. `trust_of` takes the place of `TRUST`. Given the `task`,
    tools whose cases together cover its words get more of what the votes give to all of them, others less.

    Source: kernel-weighted nearest neighbours (E. Nadaraya, 1964; G. Watson, 1964) with a prior vote for "unknown".
    """
    votes = _votes(found, runs, trust_of or trust)
    if not votes:
        return ABSTAINED
    records = [record for record in _covering(task, votes, _records(votes, scope, uid)) if offered is None or record.tool in offered]
    case_ids = tuple(vote.case.case_id for vote in votes if vote.weight >= votes[0].weight * TELLING)
    if not records:
        return Advice(case_ids=case_ids)
    told, form = _told(records, votes)
    arguments = _agreed([vote for vote in votes if vote.case.tool == told[0].tool]) if form == "instruction" else {}
    text = "" if form == "none" else _text(form, told, arguments, _like(votes, {record.tool for record in told}), language)
    return Advice(form=form, records=tuple(told), arguments=arguments, case_ids=case_ids, text=text)


def trust(case: Case) -> float:
    """Return how much a case counts by where it comes from."""
    return TRUST.get(case.trust, _LEAST_TRUST)


def weight_of(case: Case, likeness: float, age: int, trusted: float = 1.0) -> float:
    """Return what a case's vote weighs. `likeness` is the score of its task, `age` counts runs of its scope until the newest case of its tool."""
    near, fresh = math.pow(min(max(likeness, 0.0), 1.0), SHARPNESS), math.pow(2.0, -max(age, 0) / HALF_LIFE)
    return near * fresh * case.weight * trusted


def _votes(found: Sequence[Found], runs: Mapping[str, int], trust_of: Callable[[Case], float]) -> list[_Vote]:
    """Return the votes, the heaviest first; each case has one."""
    newest: dict[tuple[str, str], int] = {}
    for case in (one.item for one in found):
        if isinstance(case, Case):
            newest[case.scope, case.tool] = max(newest.get((case.scope, case.tool), 0), case.run_number)
    votes: dict[str, _Vote] = {}
    for one in found:
        case = one.item
        if not isinstance(case, Case):
            continue
        age = newest[case.scope, case.tool] - case.run_number if case.scope in runs else 0
        trusted = trust_of(case)
        weight = weight_of(case, one.score, age, trusted)
        if weight > 0 and math.isfinite(weight):
            votes[case.case_id] = _Vote(case, one.score, weight, weight_of(case, 1.0, age, trusted))
    return sorted(votes.values(), key=lambda vote: (-vote.weight, vote.case.case_id))


def _records(votes: Sequence[_Vote], scope: str, uid: str | None) -> list[ToolRecord]:
    """Return the tools that cases speak for, the best first. Sums are exact, so that no order shows in them."""
    total = _sum(vote for vote in votes if vote.case.sign > 0) + UNKNOWN
    nearest = max(vote.likeness for vote in votes) * NEAR
    of_tool: dict[str, list[_Vote]] = {}
    for vote in votes:
        of_tool.setdefault(vote.case.tool, []).append(vote)
    records = []
    for tool, those in of_tool.items():
        near = [vote.case.sign for vote in those if vote.likeness >= nearest]
        records.append(ToolRecord(tool, min(_net(those) / total, 1.0), near.count(1), near.count(-1), item_id_of(scope, uid, tool)))
    return sorted(records, key=lambda record: (-record.share, record.tool))


def _covering(task: str, votes: Sequence[_Vote], records: list[ToolRecord]) -> list[ToolRecord]:
    """Return the records with their shares as the geometric mean of the votes and of how well the tool's cases cover the task; their sum stays."""
    parts = covering(task, (Seen(vote.case.tool, vote.case.task, vote.worth) for vote in votes if vote.case.sign > 0))
    means = [math.sqrt(record.share * parts.get(record.tool, 0.0)) for record in records]
    whole, given = math.fsum(means), math.fsum(record.share for record in records)
    if not whole:
        return records
    mixed = [replace(record, share=min(mean / whole * given, 1.0)) for record, mean in zip(records, means, strict=True)]
    return sorted(mixed, key=lambda record: (-record.share, record.tool))


def _sum(votes: Iterable[_Vote]) -> float:
    return math.fsum(vote.weight for vote in votes)


def _net(votes: Sequence[_Vote]) -> float:
    """Return what votes come to once those against are taken off, never below 0."""
    return max(math.fsum(vote.weight * (1.0 if vote.case.sign > 0 else -AGAINST) for vote in votes), 0.0)


def _told(records: Sequence[ToolRecord], votes: Sequence[_Vote]) -> tuple[list[ToolRecord], Form]:
    is_proven = any(vote.case.sign > 0 and vote.case.signal in PROOF for vote in votes)
    if records[0].share >= (FIRM if is_proven else FIRM_UNPROVEN):
        return [records[0]], "instruction"
    told = [record for record in records if record.share >= WORTH_A_WORD][:MAX_RECORDS]
    return (told, "evidence") if told else ([records[0]], "none")


def _agreed(votes: Sequence[_Vote]) -> dict[str, Any]:
    """Return the arguments that somebody wrote down and on whose value the tool's cases agree, from several runs."""
    named = [vote for vote in votes if vote.case.arguments]
    agreed: dict[str, Any] = {}
    for name in sorted({name for vote in named if vote.case.signal in CHOSEN for name in vote.case.arguments or ()}):
        speaking = [vote for vote in named if name in (vote.case.arguments or {})]
        values: dict[str, list[_Vote]] = {}
        for vote in speaking:
            values.setdefault(json_of((vote.case.arguments or {})[name]) or "", []).append(vote)
        whole = _sum(vote for vote in speaking if vote.case.sign > 0) + UNKNOWN
        value, net = max(((value, _net(those)) for value, those in values.items()), key=lambda entry: (entry[1], entry[0]))
        backing = {vote.case.trace_id for vote in values[value] if vote.case.sign > 0}
        if 0 < len(value) <= MAX_VALUE_CHARS and len(backing) >= MIN_AGREEING and net / whole >= SAME_VALUE:
            agreed[name] = (values[value][0].case.arguments or {})[name]
    return dict(list(agreed.items())[:MAX_VALUES])


def _like(votes: Sequence[_Vote], tools: Collection[str]) -> str:
    """Return the task that speaks most for what is told."""
    return next(vote.case.task for vote in votes if vote.case.tool in tools and vote.case.sign > 0)


def _text(form: Form, told: Sequence[ToolRecord], arguments: Mapping[str, Any], like: str, language: str) -> str:
    quoted, first = one_line(like, max_chars=MAX_LIKE_CHARS), told[0]
    head = f"[{first.item_id}] "
    if form == "evidence":
        records = [
            wording("advice_record", language, tool=_name(one.tool), share=round(100 * one.share), worked=one.worked, tried=one.worked + one.failed)
            for one in told
        ]
        return head + wording("advice_seen", language, like=quoted, records=wording("list_semicolon", language).join(records))
    values = [f"{_name(name)}={one_line(json_of(value) or '', max_chars=MAX_VALUE_CHARS)}" for name, value in arguments.items()]
    with_values = wording("advice_with", language, values=wording("list_comma", language).join(values)) if values else ""
    record = wording("advice_worked_and_failed" if first.failed else "advice_worked", language, worked=first.worked, failed=first.failed)
    return head + wording("advice_use", language, like=quoted, tool=_name(first.tool), arguments=with_values, record=record)


def _name(name: str) -> str:
    return one_line(name, max_chars=MAX_TOOL_CHARS)
