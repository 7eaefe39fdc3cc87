"""Calls whose outcome nobody knows: the tool's probe is asked, and what it said goes on the record with the doubt."""

import asyncio
from collections.abc import Container, Sequence

import agent.models.payloads as said
from agent.core.limits import Outside
from agent.core.state import PROBE, CallState, RunState
from agent.engine.decider import Decider
from agent.engine.executing import in_doubt, stopped
from agent.engine.log import RunLog
from agent.engine.planning import Plan
from agent.engine.shop import Shop
from agent.models.payloads import Payload
from agent.models.value import replace
from agent.tools.invoke import is_at_work, to_text
from agent.tools.probing import Finding, ask_probe


def worker_of(log: RunLog) -> str | None:
    """Return the name under which this process drives runs; None where the store has none."""
    owner = getattr(log, "owner", None)
    return owner if isinstance(owner, str) else None


async def doubted(shop: Shop, decider: Decider, state: RunState, calls: Sequence[CallState], *, worker: str | None, cause: str) -> list[Payload]:
    """Return the steps that say of calls that nobody knows their outcome, each with the probe's word where it has one."""
    gate = asyncio.Semaphore(shop.config.parallel_tools)

    async def one(call: CallState) -> list[Payload]:
        """Ask about one call when it is its turn."""
        async with gate:
            return await examined(shop, decider, state, call, in_doubt(call, worker, cause))

    found = await asyncio.gather(*(one(call) for call in calls))
    return [fact for facts in found for fact in facts]


async def left_open(
    shop: Shop, decider: Decider, state: RunState, known: Container[str], *, workers: tuple[str | None, str | None], cause: str, limit: Outside | None = None
) -> list[Payload]:
    """Return what is to be said of calls that were begun and stopped, but for those whose outcome is known.

    `workers`: who drives the run now, and who did before. What the one before had begun was cut off by its end, not by `cause`.
    """
    begun = [c for c in state.turn if c.result is None and c.started_epoch is not None and not c.is_in_doubt and c.call.call_id not in known]
    open_calls = [c for c in begun if c.subrun is None]  # the runs that carry out calls say themselves what is unknown
    unsafe = [c for c in open_calls if decider.is_unsafe(c.call.name)]
    mine = [c for c in unsafe if c.started_epoch == decider.epoch]
    lost = [c for c in unsafe if c.started_epoch != decider.epoch]
    facts: list[Payload] = [stopped(c, decider.language, limit) for c in open_calls if c not in unsafe and c.started_epoch == decider.epoch]
    facts += await doubted(shop, decider, state, mine, worker=workers[0], cause=cause)
    return facts + await doubted(shop, decider, state, lost, worker=workers[1], cause="crash")


async def examined(shop: Shop, decider: Decider, state: RunState, call: CallState, doubt: said.InDoubtStep) -> list[Payload]:
    """Return a doubt together with what the tool's probe says of it. Without a probe: the doubt as it is.

    That it was not done is believed only where the call cannot be at work any more. After a crash it is then made again, after a
    timeout or a cancel the model is told.
    """
    plan = decider.plan_of(state, call)
    if plan.tool is None or plan.tool.probe is None:
        return [doubt]
    context = decider.context_of(call)
    finding = await ask_probe(plan.tool, context, shop.redactor.revealed(plan.arguments, plan.tool.secrets, set()), timeout_s=shop.config.probe_timeout_s)
    may_be_at_work = is_at_work(context.idempotency_key) or (decider.is_worker_alive and call.started_epoch != decider.epoch)
    if finding.kind == "not_done" and may_be_at_work:
        finding = Finding(kind="unknown", why="the probe says that it was not done, but the call may still be at work")
    if finding.kind == "unknown":
        why = shop.redactor.text(finding.why)
        return [replace(doubt, detail=f"{doubt.detail} ({why})" if doubt.detail else why)]
    if finding.kind == "done":
        return [doubt, said.InDoubtResolved(call_id=doubt.call_id, outcome="done", result=_result(shop, plan, finding), by=PROBE)]
    outcome = "retry" if doubt.cause == "crash" else "not_done"
    return [doubt, said.InDoubtResolved(call_id=doubt.call_id, outcome=outcome, by=PROBE)]


def _result(shop: Shop, plan: Plan, finding: Finding) -> str | None:
    if finding.result is None:
        return None
    assert plan.tool is not None
    return shop.redactor.text(to_text(finding.result))[: plan.tool.max_result_chars or shop.config.max_result_chars]
