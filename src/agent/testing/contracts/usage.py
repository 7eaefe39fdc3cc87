"""The contract of `UsageLog`: what daily limits need of a store."""
# an expected number is a literal

from datetime import timedelta
from typing import Any

from agent.models.trace import Trace, subrun_id_of
from agent.storage.protocols import UsageLog
from agent.testing.contracts.trace_samples import MOMENT, recorded


async def _used(store: Any, uid: str, created_h: float, completed_h: float | None, tokens: int, cost: float | None, **fields: Any) -> Trace:
    trace = await recorded(store, uid=uid, created_at=MOMENT + timedelta(hours=created_h), **fields)
    changes: dict[str, Any] = {"total_tokens": tokens, "total_cost": cost}
    if completed_h is not None:
        changes |= {"status": "completed", "completed_at": MOMENT + timedelta(hours=completed_h)}
    await store.update_trace(trace.trace_id, **changes)
    return trace


class UsageLogContract:
    """What runs of a uid have used since a moment."""

    async def test_what_began_or_ended_since_a_moment_is_summed(self, store: UsageLog) -> None:
        """`usage_since` returns what the traces that began or ended at a moment or later have used in all."""
        await _used(store, "me", -5, -4, 1_000, 10.0)  # over before
        await _used(store, "me", -3, 2, 10, 0.5)  # ended since
        await _used(store, "me", 0, 1, 20, 0.25)  # at that very moment
        await _used(store, "me", 1, None, 40, 0.125, mode="call")
        caller = await _used(store, "other", 1, 2, 5_000, 5.0)
        await _used(store, "other", 1, 2, 3_000, 3.0, trace_id=subrun_id_of(caller.trace_id, "1.0"), parent_trace_id=caller.trace_id)

        usage = await store.usage_since(MOMENT, uid="me")
        assert (usage.runs, usage.tokens, usage.cost, usage.cost_is_partial) == (1, 70, 0.875, False)
        everybody = await store.usage_since(MOMENT)
        assert (everybody.runs, everybody.tokens) == (2, 5_070)

    async def test_an_unknown_cost_is_said(self, store: UsageLog) -> None:
        """`cost` is what is known of it, and `cost_is_partial` where that is not all."""
        await _used(store, "me", 1, 2, 1, 0.5)
        assert not (await store.usage_since(MOMENT, uid="me")).cost_is_partial
        await _used(store, "me", 1, 2, 1, None)

        usage = await store.usage_since(MOMENT, uid="me")
        assert (usage.cost, usage.cost_is_partial) == (0.5, True)

    async def test_nothing_was_used_by_nobody(self, store: UsageLog) -> None:
        """A uid without traces has used nothing."""
        usage = await store.usage_since(MOMENT, uid="nobody")

        assert (usage.runs, usage.tokens, usage.cost, usage.cost_is_partial) == (0, 0, 0.0, False)

    async def test_what_is_used_later_counts_at_the_next_question(self, store: Any) -> None:
        """A trace counts as of when it last rested."""
        trace = await _used(store, "me", 1, 2, 10, 0.5)
        before = await store.usage_since(MOMENT, uid="me")
        await store.update_trace(trace.trace_id, total_tokens=15)

        assert (before.tokens, (await store.usage_since(MOMENT, uid="me")).tokens) == (10, 15)
