"""Limits on what a uid may do in a day: refused before, ended during, and gone on the next day."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.clock import now
from agent.engine import days
from agent.errors import BadInput, DailyLimitReached, LimitNotRaised, Unsupported
from agent.events import AgentEvent
from agent.models.trace import Trace
from agent.storage.protocols import Store, UsageLog
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM, asks, says, tool_request

LOOK = asks(tool_request("look", {"where": "a"}))


async def used(store: Store, uid: str = "anonymous", *, at: datetime | None = None, tokens: int = 100, cost: float = 1.0) -> None:
    """Put a run of today, or of another moment, on the record."""
    moment = at or now()
    trace = Trace.create(uid=uid, created_at=moment)
    await store.traces.create_trace(trace)
    await store.traces.update_trace(trace.trace_id, total_tokens=tokens, total_cost=cost)


def ending(events: list[AgentEvent]) -> tuple[str, Any]:
    return events[-1].type, events[-1].data.get("limit")


@pytest.mark.parametrize("limits", [{"max_runs_per_day": 1}, {"max_tokens_per_day": 100}, {"max_cost_per_day": 1.0}])
async def test_a_run_beyond_the_days_limit_is_refused_and_told_when_it_may_go_on(limits: dict[str, Any], make: Any, store: Store) -> None:
    runner = make("done", config={"limits": limits})
    await used(store)
    midnight = now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    with pytest.raises(DailyLimitReached, match=f"{next(iter(limits))}=1.*from {midnight:%Y-%m-%d} 00:00 UTC on") as refused:
        await collect(runner.run("go"))

    assert (refused.value.until, refused.value.uid) == (midnight, "anonymous")
    assert len(await store.traces.list_traces()) == 1, "nothing was recorded"
    assert (await collect(runner.run("go", uid="other")))[-1].type == "trace_completed"
    assert (await collect(runner.run("go", limits=dict.fromkeys(limits, 5000))))[-1].type == "trace_completed"


async def test_what_was_used_yesterday_does_not_count(make: Any, store: Store) -> None:
    await used(store, at=now() - timedelta(days=1))

    assert (await collect(make("done", config={"limits": {"max_runs_per_day": 1}}).run("go")))[-1].type == "trace_completed"


async def test_of_runs_that_begin_at_once_only_as_many_begin_as_may(make: Any, store: Store) -> None:
    runner = make(llm=ScriptedLLM(["done"]), config={"limits": {"max_runs_per_day": 3}})
    outcomes = await asyncio.gather(*(collect(runner.run("go")) for _ in range(10)), return_exceptions=True)

    assert sum(isinstance(outcome, DailyLimitReached) for outcome in outcomes) == 7
    assert len(await store.traces.list_traces()) == 3


async def test_single_calls_count_and_are_refused(make: Any, store: Store) -> None:
    runner = make("done", config={"limits": {"max_tokens_per_day": 15}})
    await runner.call([{"role": "user", "content": "hi"}])

    with pytest.raises(DailyLimitReached):
        await runner.call([{"role": "user", "content": "hi"}])
    with pytest.raises(DailyLimitReached):
        await collect(runner.run("go"))


async def test_a_running_run_ends_at_the_days_limit_and_goes_on_the_next_day(make: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await used(store, tokens=80)
    runner = make(llm=ScriptedLLM([LOOK, LOOK, "so far", "done"], by_calls=True), config={"limits": {"max_tokens_per_day": 100}})
    events = await collect(runner.run("go", tools=["look"]))
    trace_id = events[0].data["trace_id"]
    assert ending(events) == ("limit_reached", "max_tokens_per_day")
    assert [event.data["content"] for event in events if event.type == "conclusion"] == ["so far"]
    with pytest.raises(DailyLimitReached):
        await collect(runner.resume(trace_id))
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr(days, "now", lambda: tomorrow)

    assert (await collect(runner.resume(trace_id)))[-1].type == "trace_completed"


async def test_runs_that_go_on_here_count_before_they_rest(make: Any, store: Store) -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    async def last(_: Any) -> Any:
        entered.set()
        await go.wait()
        return says("done")

    runner = make(llm=ScriptedLLM([LOOK, last]), config={"limits": {"max_tokens_per_day": 15}})
    first = asyncio.ensure_future(collect(make(llm=runner.llm_call).run("go", tools=["look"])))  # another runner's: not known here
    await entered.wait()
    assert isinstance(store.traces, UsageLog)
    assert (await store.traces.usage_since(now() - timedelta(hours=1))).tokens == 0
    entered.clear()
    own = asyncio.ensure_future(collect(runner.run("go", tools=["look"], limits={"max_tokens_per_day": 10**6})))
    await entered.wait()
    with pytest.raises(DailyLimitReached):
        await collect(runner.run("go"))
    go.set()

    assert [events[-1].type for events in await asyncio.gather(first, own)] == ["trace_completed", "trace_completed"]


async def test_a_daily_limit_of_nothing_has_to_be_raised(make: Any, store: Store) -> None:
    runner = make("done", config={"limits": {"max_cost_per_day": 0}})
    with pytest.raises(DailyLimitReached):
        await collect(runner.run("go"))
    trace_id = (await collect(runner.run("go", limits={"max_cost_per_day": 1, "max_iterations": 0})))[0].data["trace_id"]

    with pytest.raises(LimitNotRaised):
        await collect(runner.resume(trace_id, limits={"max_cost_per_day": 0}))


@pytest.mark.parametrize("parts", [{"trace_store": None}, {"trace_store": "seed"}])
async def test_a_store_that_cannot_count_is_refused(parts: dict[str, Any], make: Any) -> None:
    if parts["trace_store"] == "seed":
        parts = {"trace_store": SeedStore()}
    runner = make("done", config={"limits": {"max_runs_per_day": 5}}, **parts)

    with pytest.raises(Unsupported, match="max_runs_per_day"):
        await collect(runner.run("go"))
    with pytest.raises(BadInput):
        await runner.call([{"role": "user", "content": "hi"}])


class SeedStore:
    """A store with the seed's methods only."""

    async def create_trace(self, trace: Trace) -> str:
        raise AssertionError

    async def add_step(self, step: Any) -> str:
        raise AssertionError

    async def update_trace(self, trace_id: str, **changes: Any) -> None:
        raise AssertionError

    async def get_trace(self, trace_id: str) -> None:
        raise AssertionError

    async def get_trace_steps(self, trace_id: str) -> list[Any]:
        raise AssertionError
