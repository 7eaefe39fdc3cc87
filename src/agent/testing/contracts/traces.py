"""The contracts of `TraceStore` and `TraceLog`, one test for each sentence.

To check a store of your own, inherit the class and give it a fixture named `store` (pytest with pytest-asyncio in auto mode):

    pytest.register_assert_rewrite("agent.testing.contracts.traces")  # in conftest.py: failures then show values
    from agent.testing.contracts.traces import TraceStoreContract

    class TestMyStore(TraceStoreContract):
        @pytest.fixture
        async def store(self):
            return MyStore()
"""
# ruff: noqa: PLR2004  # an expected number is a literal

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

from agent.clock import as_utc, from_ms, to_ms
from agent.errors import BadInput, SequenceTaken, TraceExists, TraceNotFound
from agent.models.trace import Step, Trace
from agent.storage.protocols import TraceStore
from agent.testing.contracts.trace_appends import TraceAppendsContract
from agent.testing.contracts.trace_forks import TraceForksContract
from agent.testing.contracts.trace_reads import TraceReadsContract
from agent.testing.contracts.trace_samples import MOMENT, fact, recorded, sequences
from agent.testing.contracts.trace_upkeep import TraceUpkeepContract


class TraceStoreContract:
    """What the seed's port promises."""

    async def test_a_trace_comes_back_as_it_was_recorded(self, store: TraceStore) -> None:
        """`create_trace` records a new trace and returns its id; `get_trace` returns the trace."""
        trace = Trace.create(
            mode="call", task="写一首诗\nplease", agent_type="poet", uid="u1", context={"model": "m", "deep": {"list": [1, None, True, 2.5]}}, created_at=MOMENT
        )

        assert await store.create_trace(trace) == trace.trace_id
        assert await store.get_trace(trace.trace_id) == trace

    async def test_an_unknown_trace_is_none_and_has_no_steps(self, store: TraceStore) -> None:
        """`get_trace` returns None; an unknown trace has no steps."""
        assert await store.get_trace("nobody") is None
        assert await store.get_trace_steps("nobody") == []

    async def test_a_taken_trace_id_is_refused(self, store: TraceStore) -> None:
        """`create_trace` raises TraceExists; the first trace stands."""
        trace = Trace.create(task="first")
        await store.create_trace(trace)

        with pytest.raises(TraceExists):
            await store.create_trace(Trace.create(task="second", trace_id=trace.trace_id))
        found = await store.get_trace(trace.trace_id)
        assert found is not None
        assert found.task == "first"

    async def test_a_step_comes_back_as_it_was_recorded(self, store: TraceStore) -> None:
        """`add_step` appends one step and returns its id."""
        trace = await recorded(store)
        step = Step.create(
            trace.trace_id,
            "tool_call",
            0,
            {"tool_name": "t", "arguments": {"数": [1, 2.5, None, True, "\u2028"]}, "result": "ok"},
            ["elsewhere", "other/1"],
            created_at=MOMENT,
        )

        assert await store.add_step(step) == step.step_id
        assert await store.get_trace_steps(trace.trace_id) == [step]

    async def test_a_step_may_take_any_free_sequence(self, store: TraceStore) -> None:
        """`add_step` appends at any free sequence; `get_trace_steps` returns steps by sequence."""
        trace = await recorded(store)
        for sequence in (3, 1, 7, 0):
            await store.add_step(fact(trace, sequence))

        assert sequences(await store.get_trace_steps(trace.trace_id)) == [0, 1, 3, 7]

    async def test_a_taken_sequence_is_refused_and_the_first_step_stands(self, store: TraceStore) -> None:
        """`add_step` raises SequenceTaken; nothing was written."""
        trace = await recorded(store)
        await store.add_step(fact(trace, 1, text="first"))

        with pytest.raises(SequenceTaken):
            await store.add_step(fact(trace, 1, text="second", step_id="mine"))
        assert [step.data["text"] for step in await store.get_trace_steps(trace.trace_id)] == ["first"]

    async def test_of_many_writers_of_one_sequence_one_wins(self, store: TraceStore) -> None:
        """`add_step` raises SequenceTaken for all but one."""
        trace = await recorded(store)

        outcomes = await asyncio.gather(*(store.add_step(fact(trace, 0, who=n, step_id=f"mine-{n}")) for n in range(20)), return_exceptions=True)

        assert sum(isinstance(outcome, SequenceTaken) for outcome in outcomes) == 19
        assert len(await store.get_trace_steps(trace.trace_id)) == 1

    async def test_a_step_of_no_trace_is_refused(self, store: TraceStore) -> None:
        """`add_step` and `update_trace` raise TraceNotFound."""
        with pytest.raises(TraceNotFound):
            await store.add_step(fact("nobody", 0))
        with pytest.raises(TraceNotFound):
            await store.update_trace("nobody", status="completed")

    async def test_what_a_caller_does_to_its_data_later_changes_nothing(self, store: TraceStore) -> None:
        """`step.data` is copied."""
        messages = [{"role": "user", "content": "before"}]
        trace = Trace.create(context={"list": [1]})
        await store.create_trace(trace)
        step = fact(trace, 0, "llm_call", messages=messages)
        pending = store.add_step(step)
        await pending
        messages.append({"role": "user", "content": "after"})
        messages[0]["content"] = "changed"
        trace.context["list"].append(2)

        (found,) = await store.get_trace_steps(trace.trace_id)
        assert found.data["messages"] == [{"role": "user", "content": "before"}]
        found.data["messages"].clear()
        ((again,), kept) = (await store.get_trace_steps(trace.trace_id), await store.get_trace(trace.trace_id))
        assert len(again.data["messages"]) == 1
        assert kept is not None
        assert kept.context == {"list": [1]}

    async def test_fields_of_a_trace_can_be_set(self, store: TraceStore) -> None:
        """`update_trace` sets fields of the trace."""
        trace = await recorded(store)
        await store.update_trace(trace.trace_id, status="completed", completed_at=MOMENT, total_tokens=12, total_cost=None)
        await store.update_trace(trace.trace_id, total_tokens=13)

        found = await store.get_trace(trace.trace_id)
        assert found is not None
        assert (found.status, found.completed_at, found.total_tokens, found.total_cost) == ("completed", MOMENT, 13, None)
        assert found.created_at == from_ms(to_ms(trace.created_at))

    async def test_a_naive_moment_is_local_time(self, store: TraceStore) -> None:
        """`update_trace`: a naive moment is local time."""
        trace = await recorded(store)
        naive = MOMENT.astimezone().replace(tzinfo=None)
        await store.update_trace(trace.trace_id, completed_at=naive)

        found = await store.get_trace(trace.trace_id)
        assert found is not None
        assert found.completed_at == MOMENT == as_utc(naive)

    @pytest.mark.parametrize(
        "changes",
        [
            {"colour": "red"},
            {"mode": "call"},
            {"created_at": MOMENT},
            {"uid": "other"},
            {"status": "dancing"},
            {"total_tokens": "many"},
            {"completed_at": "now"},
            {"total_cost": "much"},
            {"total_cost": 10**400},
            {"task": 7},
            {"context": [1]},
            {"total_tokens": -1},
        ],
    )
    async def test_what_a_trace_does_not_have_cannot_be_set(self, store: TraceStore, changes: dict[str, Any]) -> None:
        """`update_trace` raises BadInput: a trace has no such field, or it may not be changed."""
        trace = await recorded(store)

        with pytest.raises(BadInput):
            await store.update_trace(trace.trace_id, **changes)

    @pytest.mark.parametrize(
        "value",
        [
            2**70,
            -(2**70),
            "\ud800 alone",
            "nul \0 inside",
            b"\x00\xff bytes",
            "",
            {},
            [],
            None,
            -0.0,
            1e308,
            math.inf,
            {"\0": ["bytes", "x"]},
            {"a": {"\0": 2**80, "b": b"x"}},
            {"\ud800": "key"},
            "长" * 100_000,
            b"\x00" * 100_000,
            ["x" * 1000] * 100,
            {"a" * 70_000: "\udfff" * 70_000},
            [[[[[[{}]]]]]],
        ],
        ids=repr,
    )
    async def test_any_json_value_and_bytes_survive(self, store: TraceStore, value: Any) -> None:
        """A step comes back as it was recorded, whatever its data holds."""
        trace = await recorded(store)
        await store.add_step(fact(trace, 0, value=value, beside=1))

        (found,) = await store.get_trace_steps(trace.trace_id)
        assert found.data == {"value": value, "beside": 1}
        assert type(found.data["value"]) is type(value)

    async def test_not_a_number_survives(self, store: TraceStore) -> None:
        """A step comes back as it was recorded, whatever its data holds."""
        trace = await recorded(store)
        await store.add_step(fact(trace, 0, value=math.nan))

        assert math.isnan((await store.get_trace_steps(trace.trace_id))[0].data["value"])

    async def test_tuples_sets_and_moments_become_plain_data(self, store: TraceStore) -> None:
        """What can be held as JSON without loss is."""
        trace = await recorded(store)
        await store.add_step(fact(trace, 0, value={"tuple": (1, (2,)), "set": {3}, "at": MOMENT, "path": Path("a/b"), 7: "number"}))

        (found,) = await store.get_trace_steps(trace.trace_id)
        assert found.data["value"] == {"tuple": [1, [2]], "set": [3], "at": MOMENT.isoformat(), "path": "a/b", "7": "number"}

    async def test_what_json_cannot_hold_is_refused_by_name(self, store: TraceStore) -> None:
        """BadInput says where it is; nothing was written."""
        trace = await recorded(store)

        with pytest.raises(BadInput, match=r"data\['client'\]\[0\] is a object"):
            await store.add_step(fact(trace, 0, client=[object()]))
        assert await store.get_trace_steps(trace.trace_id) == []


class TraceLogContract(TraceStoreContract, TraceAppendsContract, TraceReadsContract, TraceForksContract, TraceUpkeepContract):
    """What the port of our own stores promises besides. Fixture: `store`, a `TraceLog`."""
