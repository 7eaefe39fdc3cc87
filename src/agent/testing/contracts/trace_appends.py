"""The part of the contract of `TraceLog` that is about writing."""
# ruff: noqa: PLR2004  # an expected number is a literal

import asyncio

import pytest

from agent.errors import BadInput, ConversationBusy, Fenced, SequenceTaken, TraceExists, TraceNotFound
from agent.models.trace import Trace
from agent.storage.protocols import TraceLog
from agent.testing.contracts.trace_samples import MOMENT, fact, listed, opened, recorded, sequences


class TraceAppendsContract:
    """`open_trace`, `add_steps`, `claim`, `head`."""

    async def test_a_trace_opens_with_its_first_steps(self, store: TraceLog) -> None:
        """`open_trace`: one commit; this store's owner drives it, its epoch is 1."""
        trace = Trace.create(task="t", created_at=MOMENT)
        await store.open_trace(trace, [fact(trace, 0, "input", task="t"), fact(trace, 1)])

        head = await store.head(trace.trace_id)
        assert (head.trace, head.next_sequence, head.epoch, head.owner_is_alive) == (trace, 2, 1, True)
        assert head.owner is not None
        assert [step.epoch for step in await store.read_steps(trace.trace_id)] == [1, 1]

    async def test_a_trace_that_does_not_run_is_driven_by_nobody(self, store: TraceLog) -> None:
        """`open_trace`: one whose status is not running rests, its epoch is 0."""
        trace = Trace.create(status="paused", created_at=MOMENT)
        await store.open_trace(trace, [fact(trace, 0)])

        head = await store.head(trace.trace_id)
        assert (head.trace.status, head.owner, head.owner_is_alive, head.epoch, head.next_sequence) == ("paused", None, False, 0, 1)
        assert await store.claim(trace.trace_id, expected_epoch=0) == 1

    async def test_a_trace_opens_whole_or_not_at_all(self, store: TraceLog) -> None:
        """`open_trace` raises TraceExists, and SequenceTaken where its steps have a gap: then there is no trace."""
        trace = await opened(store)

        with pytest.raises(TraceExists):
            await store.open_trace(trace, [])
        other = Trace.create()
        with pytest.raises(SequenceTaken):
            await store.open_trace(other, [fact(other, 0), fact(other, 2)])
        assert await store.get_trace(other.trace_id) is None

    async def test_of_two_traces_that_begin_after_the_same_one_of_a_conversation_one_is_recorded(self, store: TraceLog) -> None:
        """`open_trace` with `only_after` raises ConversationBusy where another one is the newest, or it has not ended."""

        async def begin(after: str, uid: str = "ada") -> str:
            """Open a trace of the conversation after the one that is named."""
            trace = Trace.create(uid=uid, conversation_id="talk")
            await store.open_trace(trace, [fact(trace, 0)], only_after=after)
            return trace.trace_id

        first, other = await asyncio.gather(begin(""), begin(""), return_exceptions=True)
        newest, refusal = (first, other) if isinstance(first, str) else (other, first)
        assert isinstance(newest, str)
        assert isinstance(refusal, ConversationBusy)
        with pytest.raises(ConversationBusy):
            await begin(newest)  # it runs
        assert await begin("", uid="bob")  # another's conversation
        await store.update_trace(newest, status="completed")
        with pytest.raises(ConversationBusy):
            await begin("")
        following = await begin(newest)
        assert [trace.trace_id for trace in await store.list_traces(uid="ada")] == [following, newest]

    async def test_steps_are_appended_whole_or_not_at_all(self, store: TraceLog) -> None:
        """`add_steps`: a gap, or a step that cannot be held, and nothing was written."""
        trace = await opened(store)
        await store.add_steps(trace.trace_id, [fact(trace, 0), fact(trace, 1)], epoch=1)

        with pytest.raises(SequenceTaken):
            await store.add_steps(trace.trace_id, [fact(trace, 2), fact(trace, 4)], epoch=1)
        with pytest.raises(SequenceTaken):
            await store.add_steps(trace.trace_id, [fact(trace, 1)], epoch=1)
        with pytest.raises(BadInput):
            await store.add_steps(trace.trace_id, [fact(trace, 2), fact(trace, 3, bad=object())], epoch=1)
        with pytest.raises(BadInput):
            await store.add_steps(trace.trace_id, [fact("another", 2)], epoch=1)
        with pytest.raises(BadInput):
            await store.add_steps(trace.trace_id, [fact(trace, 2, step_id="same"), fact(trace, 3, step_id="same")], epoch=1)
        assert sequences(await store.read_steps(trace.trace_id)) == [0, 1]
        assert (await store.verify(trace.trace_id)).entries == 2

    async def test_numbers_go_on_after_the_largest(self, store: TraceLog) -> None:
        """`steps[0].sequence` must be the largest + 1, also where `add_step` left a gap."""
        trace = await opened(store)
        await store.add_step(fact(trace, 5))

        with pytest.raises(SequenceTaken):
            await store.add_steps(trace.trace_id, [fact(trace, 0)])
        await store.add_steps(trace.trace_id, [fact(trace, 6), fact(trace, 7)])
        assert sequences(await store.read_steps(trace.trace_id)) == [5, 6, 7]

    async def test_of_many_appends_of_one_sequence_one_wins(self, store: TraceLog) -> None:
        """SequenceTaken: another writer was first. Nothing was written."""
        trace = await opened(store)

        outcomes = await asyncio.gather(
            *(store.add_steps(trace.trace_id, [fact(trace, 0, who=n), fact(trace, 1)], epoch=1) for n in range(20)), return_exceptions=True
        )

        assert [type(outcome) for outcome in outcomes].count(SequenceTaken) == 19
        assert len(await store.read_steps(trace.trace_id)) == 2

    async def test_an_older_epoch_appends_nothing(self, store: TraceLog) -> None:
        """Fenced: the trace has another epoch by now. Nothing was written."""
        trace = await opened(store)
        await store.claim(trace.trace_id, expected_epoch=1)

        with pytest.raises(Fenced):
            await store.add_steps(trace.trace_id, [fact(trace, 0)], epoch=1, changes={"status": "completed"})
        head = await store.head(trace.trace_id)
        assert (head.next_sequence, head.trace.status) == (0, "running")
        await store.add_steps(trace.trace_id, [fact(trace, 0)], epoch=2)
        await store.add_steps(trace.trace_id, [fact(trace, 1)])
        assert [step.epoch for step in await store.read_steps(trace.trace_id)] == [2, 0]

    async def test_changes_come_in_the_same_commit(self, store: TraceLog) -> None:
        """`changes` of the trace are set with the steps, or not; `steps` may be empty; `owner=None` gives the trace up."""
        trace = await opened(store)
        await store.add_steps(trace.trace_id, [fact(trace, 0)], epoch=1, changes={"total_tokens": 5})
        with pytest.raises(SequenceTaken):
            await store.add_steps(trace.trace_id, [fact(trace, 0)], epoch=1, changes={"total_tokens": 6})
        await store.add_steps(trace.trace_id, [], epoch=1, changes={"status": "waiting", "owner": None})

        head = await store.head(trace.trace_id)
        assert (head.trace.total_tokens, head.trace.status, head.owner, head.owner_is_alive) == (5, "waiting", None, False)

    async def test_what_memory_may_learn_from_is_noted_and_found(self, store: TraceLog) -> None:
        """`list_traces(is_unlearnt=True)` returns those whose `signalled` is above `learnt`; both only grow; the chain holds."""
        traces = [await opened(store, [fact("", 0)], uid=f"u{n % 2}") for n in range(4)]
        ids = [trace.trace_id for trace in traces]
        assert await listed(store, is_unlearnt=True) == []
        await store.add_steps(ids[1], [fact(traces[1], 1)], changes={"signalled": 1})
        await store.update_trace(ids[2], signalled=0, status="completed")
        await store.update_trace(ids[3], signalled=0)

        assert await listed(store, is_unlearnt=True) == [ids[3], ids[2], ids[1]]
        assert await listed(store, is_unlearnt=True, uid="u1", limit=1) == [ids[3]]
        assert await listed(store, is_unlearnt=True, before=ids[3], status="completed") == [ids[2]]
        assert await listed(store, is_unlearnt=False) == [ids[0]]
        await store.update_trace(ids[1], signalled=0, learnt=0)
        assert await listed(store, is_unlearnt=True, uid="u1") == [ids[3], ids[1]]
        for learnt in (5, 1, -1):
            await store.update_trace(ids[1], learnt=learnt)
        trace = await store.get_trace(ids[1])
        assert trace is not None
        assert (trace.signalled, trace.learnt) == (1, 5)
        assert await listed(store, is_unlearnt=True, uid="u1") == [ids[3]]
        assert [(await store.verify(trace_id)).entries for trace_id in ids] == [1, 2, 1, 1]

    async def test_a_note_that_is_no_number_of_a_step_is_refused(self, store: TraceLog) -> None:
        """BadInput: nothing was set."""
        trace = await opened(store)

        for value in (-2, None, "1", True, 1 << 70):
            with pytest.raises(BadInput):
                await store.update_trace(trace.trace_id, signalled=value)
        assert await listed(store, is_unlearnt=True) == []

    async def test_an_append_of_nothing_or_with_strange_changes_is_refused(self, store: TraceLog) -> None:
        """BadInput, and TraceNotFound for a trace that is not there."""
        trace = await opened(store)

        for changes in ({}, {"colour": 1}, {"owner": "me"}, {"uid": "x"}):
            with pytest.raises(BadInput):
                await store.add_steps(trace.trace_id, [], changes=changes)
        with pytest.raises(TraceNotFound):
            await store.add_steps("nobody", [fact("nobody", 0)])

    async def test_a_claim_raises_the_epoch_once(self, store: TraceLog) -> None:
        """`claim` raises the epoch by one, sets status running and returns the new epoch; Fenced: someone else was first."""
        trace = await opened(store)
        await store.add_steps(trace.trace_id, [], changes={"status": "failed", "owner": None, "completed_at": MOMENT})

        outcomes = await asyncio.gather(*(store.claim(trace.trace_id, expected_epoch=1) for _ in range(5)), return_exceptions=True)

        assert sorted(map(str, outcomes)).count("2") == 1
        assert sum(isinstance(outcome, Fenced) for outcome in outcomes) == 4
        head = await store.head(trace.trace_id)
        assert (head.epoch, head.trace.status, head.trace.completed_at, head.owner_is_alive) == (2, "running", None, True)

    async def test_what_is_not_there_has_no_head_and_cannot_be_claimed(self, store: TraceLog) -> None:
        """TraceNotFound: no trace has this id."""
        with pytest.raises(TraceNotFound):
            await store.head("nobody")
        with pytest.raises(TraceNotFound):
            await store.claim("nobody", expected_epoch=0)
        with pytest.raises(TraceNotFound):
            await store.verify("nobody")

    async def test_a_trace_of_the_seed_has_no_owner(self, store: TraceLog) -> None:
        """`owner` None: nobody."""
        trace = await recorded(store)

        head = await store.head(trace.trace_id)
        assert (head.epoch, head.owner, head.owner_is_alive, head.next_sequence) == (0, None, False, 0)
