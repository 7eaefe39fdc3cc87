"""The part of the contract of `TraceLog` that is about reading."""
# ruff: noqa: PLR2004  # an expected number is a literal

import pytest

from agent.errors import StepNotFound, TraceNotFound
from agent.models.trace import step_id_of
from agent.storage.protocols import TraceLog
from agent.testing.contracts.trace_samples import a_run, fact, listed, opened, recorded, restored_one_by_one, sequences


class TraceReadsContract:
    """Pages, single steps, lists, changes."""

    async def test_steps_are_read_in_pages(self, store: TraceLog) -> None:
        """`read_steps` and `get_steps` return steps with a sequence above `after`, by sequence, at most `limit`."""
        trace = await opened(store, [fact("", n) for n in range(10)])

        for read in (store.read_steps, store.get_steps):
            assert sequences(await read(trace.trace_id)) == list(range(10))
            assert sequences(await read(trace.trace_id, after=3, limit=2)) == [4, 5]
            assert sequences(await read(trace.trace_id, after=8)) == [9]
            assert await read(trace.trace_id, after=9) == []
            assert await read(trace.trace_id, limit=0) == []
            assert await read("nobody") == []

    async def test_read_steps_are_lean_and_get_steps_are_restored(self, store: TraceLog) -> None:
        """What can be derived is left out of `read_steps`, restored in `get_steps` except messages, whole in `get_trace_steps`."""
        trace = await opened(store, a_run(""))

        lean = await store.read_steps(trace.trace_id)
        assert [set(step.data) & {"model", "messages", "arguments", "content"} for step in lean] == [{"model"}, set(), set(), set(), set(), set()]
        for page in (await store.get_steps(trace.trace_id), await restored_one_by_one(store, trace.trace_id)):
            assert [step.data.get("model") for step in page if step.step_type == "llm_call"] == ["m", "m"]
            assert page[3].data["arguments"] == {"city": "Ulm"}
            assert page[5].data["content"] == "Sunny."
            assert not any("messages" in step.data for step in page)
        whole = await store.get_trace_steps(trace.trace_id)
        assert [message["role"] for message in whole[4].data["messages"]] == ["system", "user", "assistant", "tool"]
        assert [message["role"] for message in whole[1].data["messages"]] == ["system", "user"]

    async def test_a_run_that_goes_on_begins_with_the_messages_before_it(self, store: TraceLog) -> None:
        """`get_trace_steps`: every `llm_call` with its `messages`, those of the runs that it continues too."""
        first = await opened(store, a_run(""))
        second = await opened(
            store,
            [
                fact("", 0, "input", task="And Bonn?", model="m", continues={"trace_id": first.trace_id, "sequence": 5}),
                fact("", 1, "llm_call", response="Rain."),
            ],
        )
        third = await opened(
            store,
            [fact("", 0, "input", task="Thanks", model="m", continues={"trace_id": second.trace_id, "sequence": 1}), fact("", 1, "llm_call", response="Yes.")],
        )

        whole = await store.get_trace_steps(third.trace_id)
        assert [message["content"] for message in whole[1].data["messages"] if message["role"] in ("user", "assistant") and message["content"]] == [
            "Weather?",
            "Sunny.",
            "And Bonn?",
            "Rain.",
            "Thanks",
        ]

    async def test_one_step_is_found_by_either_id(self, store: TraceLog) -> None:
        """`get_step` returns one step by the id its caller chose, or by the derived one."""
        trace = await opened(store, [fact("", 0), fact("", 1, step_id="mine", text="hello")])

        assert (await store.get_step(trace.trace_id, "mine")).data == {"text": "hello"}
        assert (await store.get_step(trace.trace_id, step_id_of(trace.trace_id, 1))).step_id == "mine"
        for unknown in ("other", step_id_of(trace.trace_id, 2), step_id_of("else", 0), "", f"{trace.trace_id}/" + "9" * 30):
            with pytest.raises(StepNotFound):
                await store.get_step(trace.trace_id, unknown)
        with pytest.raises(TraceNotFound):
            await store.get_step("nobody", "nobody/0")

    async def test_parents_of_all_kinds_come_back_in_their_order(self, store: TraceLog) -> None:
        """`parent_ids` say what a step rests on."""
        trace = await recorded(store)
        kinds = [
            (),
            (f"{trace.trace_id}/0",),
            (f"{trace.trace_id}/1", f"{trace.trace_id}/0"),
            ("chosen", f"{trace.trace_id}/2", "else/3", "7", "a,b", f"{trace.trace_id}/007", "步骤"),
        ]
        await store.add_steps(trace.trace_id, [fact(trace, n, parents=parents) for n, parents in enumerate(kinds)])

        assert [tuple(step.parent_ids) for step in await store.read_steps(trace.trace_id)] == kinds

    async def test_another_uid_sees_nothing(self, store: TraceLog) -> None:
        """With `uid`, another uid's trace is as if it were not there."""
        trace = await opened(store, [fact("", 0)], uid="mine")

        assert await store.get_trace(trace.trace_id, uid="mine") is not None
        assert await store.get_trace(trace.trace_id, uid="other") is None
        assert await store.get_trace_steps(trace.trace_id, uid="other") == []
        assert await store.get_steps(trace.trace_id, uid="other") == []
        assert len(await store.get_steps(trace.trace_id, uid="mine")) == 1
        with pytest.raises(TraceNotFound):
            await store.get_step(trace.trace_id, step_id_of(trace.trace_id, 0), uid="other")

    async def test_traces_are_listed_newest_first_in_pages(self, store: TraceLog) -> None:
        """`list_traces` returns traces, newest first; `before` is a trace id: only older ones."""
        traces = [await recorded(store, uid=f"u{n % 2}", agent_type=f"a{n % 3}", conversation_id="c" if n < 2 else None) for n in range(6)]
        await store.update_trace(traces[4].trace_id, status="completed")
        ids = [trace.trace_id for trace in traces]

        assert await listed(store) == ids[::-1]
        assert await listed(store, limit=2) == [ids[5], ids[4]]
        assert await listed(store, limit=2, before=ids[4]) == [ids[3], ids[2]]
        assert await listed(store, before=ids[0]) == []
        assert await listed(store, limit=0) == []
        assert await listed(store, uid="u0") == [ids[4], ids[2], ids[0]]
        assert await listed(store, status="running", uid="u0") == [ids[2], ids[0]]
        assert await listed(store, status="completed") == [ids[4]]
        assert await listed(store, agent_type="a1") == [ids[4], ids[1]]
        assert await listed(store, conversation_id="c", limit=1) == [ids[1]]
        with pytest.raises(TraceNotFound):
            await store.list_traces(before="nobody")

    async def test_changes_are_told_in_the_order_of_commit(self, store: TraceLog) -> None:
        """`changes_since` returns (trace id, sequence) of what was committed after `cursor`, and the new cursor."""
        one = await opened(store, [fact("", 0)])
        nothing, cursor = await store.changes_since(None)
        two = await opened(store, [fact("", 0)])
        await store.add_step(fact(one, 3))
        await store.add_step(fact(one, 1))

        assert nothing == []
        changes, after = await store.changes_since(cursor)
        assert changes == [(two.trace_id, 0), (one.trace_id, 3), (one.trace_id, 1)]
        assert await store.changes_since(after) == ([], after)
