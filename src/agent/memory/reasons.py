"""Why a line stands in a prompt, and what was learnt lately: from the items back to the steps they rest on."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from math import fsum
from typing import Any

import agent.models.payloads as said
from agent.core.advice import item_id_of
from agent.core.signals import read_run
from agent.errors import AgentError, ExperienceNotFound, TraceNotFound
from agent.memory.credit import MAX_CASES, Credit
from agent.models.learning import Case, Use, Used
from agent.models.lift import ItemLift
from agent.models.memory import Experience, Skill
from agent.models.trace import Step
from agent.models.value import replace
from agent.models.why import CameOf, Evidence, Learnt, Record, RunWhy, Told, Why
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import TraceLog

MAX_EVIDENCE = 20
"""Steps of an item that are read."""
MAX_USES = 200
"""Newest uses of an item from which its record is counted."""
SHOWN_USES = 10
"""Newest uses of an item that are returned."""
FIRST_STEPS = 20
"""Steps from the beginning of a run among which the reading of memory is looked for."""
MAX_LEARNT = 1_000
"""Newest experiences, and cases, that are looked at for what was learnt lately."""
MAX_WORDS = 500
"""Of what a step says, in characters."""


class Reasons:
    """Follows an item to its evidence and to its uses. Only what belongs to the uid, or to nobody, is found."""

    def __init__(self, memories: LearningStore, traces: TraceLog, credit: Credit | None = None) -> None:
        self.memories, self.traces = memories, traces
        self.credit = credit if credit is not None else Credit(memories)

    async def why_item(self, item_id: str, *, uid: str | None) -> Why:
        """Return why an item exists, where it was used and how those runs did.

        Raises:
            ExperienceNotFound: there is none (of this uid).
        """
        found = await self.memories.get(item_id, uid=uid)
        uses = await self.memories.uses(item_id=item_id, uid=uid, limit=MAX_USES)
        cases = await self._cases_of(item_id, uses, uid)
        if found is None and not cases:
            raise ExperienceNotFound(item_id)
        return replace(await self._why(item_id, found, cases, uid), **_used(item_id, uses), lift=await self.credit.item(item_id, uid=uid))

    async def why_run(self, trace_id: str, *, uid: str | None) -> RunWhy:
        """Return what memory did for a run, and why each item exists.

        Raises:
            TraceNotFound: there is no such run (of this uid).
        """
        if await self.traces.get_trace(trace_id, uid=uid) is None:
            raise TraceNotFound(trace_id)
        uses = await self.memories.uses(trace_id=trace_id, uid=uid, limit=1)
        block = await self._block(trace_id, uid)
        if not uses:
            return RunWhy(trace_id=trace_id, use=None, block=block)
        use = uses[0]
        lifts = {lift.item_id: lift for lift in await self.credit.items(use.scope, uid=use.uid)}
        return RunWhy(trace_id=trace_id, use=use, block=block, items=tuple([await self._told(item, use, lifts.get(item.item_id), uid) for item in use.items]))

    async def came_of(self, trace_id: str, step_id: str, *, uid: str | None) -> CameOf:
        """Return what was learnt from a step: a feedback, a decision, or what feedback was given on.

        Raises:
            TraceNotFound: there is no such run (of this uid).
        """
        if await self.traces.get_trace(trace_id, uid=uid) is None:
            raise TraceNotFound(trace_id)
        record = read_run(trace_id, await self.traces.read_steps(trace_id))
        steps = {step_id} | {
            version.step.step_id
            for versions in record.feedback.values()
            if step_id == versions[-1].payload.target_step_id or step_id in {version.step.step_id for version in versions}
            for version in versions
        }
        made = dict.fromkeys(record.written[one] for one in sorted(steps) if one in record.written)
        cases = [case for case in await self.memories.cases(trace_id=trace_id, uid=uid) if case.step_id in steps]
        whys: list[Why] = []
        for item_id in made:
            try:
                whys.append(await self.why_item(item_id, uid=uid))
            except ExperienceNotFound:
                whys.append(Why(item_id=item_id, kind="rule", says="", state="forgotten"))
        return CameOf(trace_id=trace_id, step_id=step_id, experiences=tuple(whys), cases=tuple(_of_case(case) for case in cases))

    async def learnt_since(self, moment: datetime, *, uid: str | None) -> Learnt:
        """Return what was learnt since a moment, with how much each scope helps now."""
        experiences = [one for one in await self.memories.list(uid=uid, limit=MAX_LEARNT) if isinstance(one, Experience)]
        cases = await self.memories.cases(uid=uid, limit=MAX_LEARNT)
        new = tuple(one for one in experiences if one.created_at >= moment)
        tried = [case for case in cases if case.created_at >= moment]
        scopes = sorted({one.scope for one in new} | {case.scope for case in tried})
        return Learnt(
            since=moment,
            experiences=new,
            cases=len(tried),
            cases_for=dict(Counter(case.tool for case in tried if case.sign > 0).most_common()),
            cases_against=dict(Counter(case.tool for case in tried if case.sign < 0).most_common()),
            is_partial=MAX_LEARNT in {len(new), len(tried)},
            lifts=tuple([await self.credit.lift(scope, uid=uid) for scope in scopes]),
        )

    async def _told(self, item: Used, use: Use, lift: ItemLift | None, uid: str | None) -> Told:
        found = await self.memories.get(item.item_id, uid=uid)
        cases = await self._cases_of(item.item_id, [use], uid) if item.kind == "advice" else []
        why = replace(await self._why(item.item_id, found, cases, uid, kind=item.kind), lift=lift)
        return Told(arm=item.arm, rank=item.rank, score=item.score, propensity=item.propensity, why=why)

    async def _why(self, item_id: str, found: Experience | Skill | None, cases: Sequence[Case], uid: str | None, *, kind: str = "rule") -> Why:
        if cases:
            shown = cases[:MAX_EVIDENCE]
            tool = cases[0].tool
            worked = sum(case.sign > 0 for case in cases)
            return Why(
                item_id=item_id,
                kind="advice",
                says=f"{tool}: {worked} cases for it, {len(cases) - worked} against it",
                state=found.state if found is not None else "active",
                created_at=cases[-1].created_at,
                evidence=tuple(_of_case(case) for case in shown),
                evidence_left_out=len(cases) - len(shown),
            )
        if isinstance(found, Experience):
            return await self._why_rule(found, uid)
        if found is not None:
            return Why(item_id=item_id, kind="skill", says=f"{found.name}: {found.description}", state=found.state, created_at=found.created_at)
        return Why(item_id=item_id, kind=kind, says="", state="forgotten")

    async def _why_rule(self, rule: Experience, uid: str | None) -> Why:
        shown = rule.evidence[:MAX_EVIDENCE]
        return Why(
            item_id=rule.experience_id,
            kind="rule",
            says=rule.to_prompt_text(),
            state=rule.state,
            source=rule.source,
            author=rule.author,
            trust=rule.trust,
            confidence=rule.confidence,
            created_at=rule.created_at,
            evidence=tuple([await self._evidence(step_id, uid) for step_id in shown]),
            evidence_left_out=len(rule.evidence) - len(shown),
        )

    async def _evidence(self, step_id: str, uid: str | None) -> Evidence:
        """Return what a step says; one that is gone, or of another uid, by its id alone."""
        trace_id = step_id.rpartition("/")[0]
        try:
            step = await self.traces.get_step(trace_id, step_id, uid=uid)
        except AgentError:
            return Evidence(trace_id=trace_id, step_id=step_id)
        words, by = _words(step)
        return Evidence(trace_id=trace_id, step_id=step_id, step_type=step.step_type, says=words, by=by, at=step.created_at)

    async def _cases_of(self, item_id: str, uses: Sequence[Use], uid: str | None) -> list[Case]:
        """Return the newest cases that an item of advice stands for: those of one scope, owner and tool."""
        where = {(use.scope, use.uid) for use in uses[:1]}
        for scope, owner in where:
            newest = await self.memories.cases(uid=uid, scopes=[scope], limit=MAX_CASES)
            found = [case for case in newest if item_id_of(scope, owner, case.tool) == item_id]
            if found:
                return found
        return []

    async def _block(self, trace_id: str, uid: str | None) -> str:
        for step in await self.traces.get_steps(trace_id, limit=FIRST_STEPS, uid=uid):
            payload = said.payload_of(step)
            if isinstance(payload, said.MemoryRead):
                return payload.block
        return ""


def _used(item_id: str, uses: Sequence[Use]) -> dict[str, Any]:
    """Return the record of an item, and the newest of its uses."""
    arms = [(item.arm, use.outcome) for use in uses for item in use.items if item.item_id == item_id]
    told, withheld = ([outcome for was, outcome in arms if was == arm] for arm in ("injected", "withheld"))
    record = Record(
        told=len(told),
        told_known=len(_known(told)),
        told_mean=_mean(told),
        withheld=len(withheld),
        withheld_known=len(_known(withheld)),
        withheld_mean=_mean(withheld),
        logged=len(arms) - len(told) - len(withheld),
    )
    shown = tuple(replace(use, items=tuple(item for item in use.items if item.item_id == item_id)) for use in uses[:SHOWN_USES])
    return {"record": record, "uses": shown}


def _known(outcomes: Iterable[float | None]) -> list[float]:
    return [outcome for outcome in outcomes if outcome is not None]


def _mean(outcomes: Iterable[float | None]) -> float | None:
    known = _known(outcomes)
    return fsum(known) / len(known) if known else None


def _of_case(case: Case) -> Evidence:
    return Evidence(
        trace_id=case.trace_id,
        step_id=case.step_id,
        step_type=case.signal,
        says=f"{case.tool}: {case.task}"[:MAX_WORDS],
        sign=case.sign,
        by=case.author,
        at=case.created_at,
    )


def _words(step: Step) -> tuple[str, str | None]:
    """Return what a step says in short, and whose words they are."""
    payload = said.payload_of(step)
    match payload:
        case said.Feedback():
            return payload.content[:MAX_WORDS], payload.by
        case said.ApprovalDecided():
            return f"{payload.verdict}: {payload.reason or payload.text or ''}"[:MAX_WORDS], payload.by
        case said.InDoubtResolved():
            return payload.outcome, payload.by
        case said.ToolCall():
            return f"{payload.tool_name}: {payload.result}"[:MAX_WORDS], None
        case said.LlmCall():
            return (payload.response or "")[:MAX_WORDS], None
        case said.Conclusion():
            return (payload.content or "")[:MAX_WORDS], None
        case said.Failure():
            return payload.error[:MAX_WORDS], None
        case _:
            return "", None
