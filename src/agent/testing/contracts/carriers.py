"""The contract of `TraceCarrier`: traces go to another store as they are, and nothing that was changed gets in."""
# ruff: noqa: PLR2004  # an expected number is a literal

import zlib
from typing import Any

import pytest

from agent.errors import BadInput, TraceExists, TraceNotFound
from agent.models.trace import Trace
from agent.models.value import replace
from agent.storage.codec import Row
from agent.storage.exported import of_plain, to_plain
from agent.storage.portable import Carried, TraceCarrier, gather
from agent.testing.contracts.trace_forks import forked
from agent.testing.contracts.trace_samples import MOMENT, a_run, fact, opened, recorded

EMPTY = b"\x80" + bytes(8)  # a payload without values, and its salt
STRANGE: list[Row] = [
    (-1, 0, "k", 0, "", EMPTY, None),
    (10**30, 0, "k", 0, "", EMPTY, None),
    (0, -1, "k", 0, "", EMPTY, None),
    (0, 0, "", 0, "", EMPTY, None),
    (0, 0, "k", 10**18, "", EMPTY, None),
    (0, 0, "k", 0, "[{}]", EMPTY, None),
    (0, 0, "k", 0, "x", EMPTY, None),
    (0, 0, "k", 0, "", EMPTY, ""),
    *[
        (0, 0, "k", 0, "", data, None)
        for data in (
            b"",
            b"\x00",
            b"\x00" + bytes(3),
            b"\xa1x" + bytes(8),  # text
            b"\x81\x01\x02" + bytes(8),  # a number for a key
            b"\x91\xcf" + b"\xff" * 16,  # keys that nobody knows
            b"\xff" * 20,
            b"{" * 100_000 + bytes(8),
            b'{"a":' + b"[" * 100_000 + bytes(8),
            b"\x81\xa1a" + b"\x91" * 100_000 + bytes(8),
            b"x\x9c" + bytes(8),
            zlib.compress(bytes(50_000_000)) + bytes(8),
        )
    ],
]
"""Rows that no store writes."""


class TraceCarrierContract:
    """Fixtures: `store` and `other`, two stores of the make that is checked."""

    async def test_a_trace_arrives_as_it_was(self, store: Any, other: Any) -> None:
        """`dump` returns a trace as it is recorded; `load` takes it in: it reads and verifies the same."""
        trace = await opened(store, a_run(""), uid="u", context={"a": [1]})
        await store.update_trace(trace.trace_id, status="completed", completed_at=MOMENT, total_tokens=7, signalled=5, learnt=2)

        assert await other.load(await gather(store, trace.trace_id), uid="u") == [trace.trace_id]
        assert [found.trace_id for found in await other.list_traces(is_unlearnt=True)] == [trace.trace_id]
        assert await other.get_trace(trace.trace_id) == await store.get_trace(trace.trace_id)
        assert await other.get_trace_steps(trace.trace_id) == await store.get_trace_steps(trace.trace_id)
        assert await other.verify(trace.trace_id) == await store.verify(trace.trace_id)
        assert await other.changes_since(0) == ([(trace.trace_id, n) for n in range(6)], (await other.changes_since(None))[1])

    async def test_a_trace_comes_with_what_it_rests_on(self, store: Any, other: Any) -> None:
        """A fork with its parents, a run of a conversation with those before it, a run with its sub-agents' runs; large values too."""
        first = await opened(store, a_run(""), conversation_id="c")
        await store.update_trace(first.trace_id, status="completed")
        later = [
            fact("", 0, "input", task="x" * 100_000, model="m", continues={"trace_id": first.trace_id, "sequence": 5}),
            fact("", 1, "llm_call", response="a"),
        ]
        second = await opened(store, later, conversation_id="c")
        helper = await opened(store, a_run(""))
        child = await forked(store, second, 1, fact("", 2, "subrun", call_id="1.0", trace_id=helper.trace_id))
        fork = await forked(store, child, 2, fact("", 3, "llm_call", response="b"))
        wanted = [first, second, helper, child, fork]

        carried = of_plain([to_plain(one) for one in await gather(store, fork.trace_id)])
        assert sorted(await other.load(carried, uid=None)) == sorted(trace.trace_id for trace in wanted)
        for trace in wanted:
            assert await other.get_trace_steps(trace.trace_id) == await store.get_trace_steps(trace.trace_id)
            assert (await other.verify(trace.trace_id)).head == (await store.verify(trace.trace_id)).head

    async def test_what_was_running_rests(self, store: Any, other: Any) -> None:
        """Nobody drives them: one that was running rests, `paused`. It goes on where it was."""
        trace = await opened(store, [fact("", 0)])
        await store.claim(trace.trace_id, expected_epoch=1)
        await store.add_steps(trace.trace_id, [fact(trace, 1)], epoch=2)
        await other.load([await store.dump(trace.trace_id)], uid=None)

        head = await other.head(trace.trace_id)
        assert (head.trace.status, head.owner, head.owner_is_alive, head.epoch, head.next_sequence) == ("paused", None, False, 2, 2)
        await other.claim(trace.trace_id, expected_epoch=2)
        await other.add_steps(trace.trace_id, [fact(trace, 2)], epoch=3)
        assert (await other.verify(trace.trace_id)).entries == 3

    async def test_what_the_seed_wrote_arrives_too(self, store: Any, other: Any) -> None:
        """Gaps, any order of commit, ids that a caller chose."""
        trace = await recorded(store)
        for sequence in (3, 1, 7):
            await store.add_step(fact(trace, sequence, step_id=f"mine-{sequence}", value=2**70))
        await other.load([await store.dump(trace.trace_id)], uid=None)
        for one in (store, other):
            await one.add_step(fact(trace, 5))

        assert await other.get_trace_steps(trace.trace_id) == await store.get_trace_steps(trace.trace_id)
        assert (await other.verify(trace.trace_id)).entries == 4

    async def test_what_is_there_already_stays_as_it_is(self, store: Any, other: Any) -> None:
        """One that is there with the same steps stays, also if it went on there; another one of that id is refused: TraceExists."""
        trace = await opened(store, [fact("", 0)])
        carried = await gather(store, trace.trace_id)
        await other.load(carried, uid=None)
        await other.add_steps(trace.trace_id, [fact(trace, 1)])

        assert await other.load(carried, uid=None) == []
        assert len(await other.read_steps(trace.trace_id)) == 2
        await store.add_steps(trace.trace_id, [fact(trace, 1, else_="here")])
        with pytest.raises(TraceExists):
            await other.load(await gather(store, trace.trace_id), uid=None)

    async def test_nothing_that_was_changed_gets_in(self, store: Any, other: Any) -> None:
        """BadInput: they are not what was recorded, or are another uid's. Nothing was taken in."""
        trace = await opened(store, a_run(""), uid="u")
        last = await opened(store, [fact("", 0, text="y" * 100_000)], uid="u")
        one, large = await store.dump(trace.trace_id), await store.dump(last.trace_id)
        rows = one.rows
        wrong: list[Carried] = [
            replace(one, rows=rows[:-1]),
            replace(one, rows=[*rows[:2], rows[3], rows[2], *rows[4:]]),
            replace(one, rows=[(*row[:5], row[5][:-9] + b"x" + row[5][-8:], row[6]) if row[0] == 2 else row for row in rows]),
            replace(one, rows=[(*row[:4], "0", *row[5:]) if row[0] == 3 else row for row in rows]),
            replace(one, rows=[*rows, rows[-1]]),
            replace(one, head="00" * 16),
            replace(one, trace=replace(one.trace, parent_trace_id="nobody", fork_at=3)),
            replace(one, trace=replace(one.trace, trace_id="another")),
            replace(one, trace=replace(one.trace, uid="other")),
            replace(one, trace=replace(one.trace, format=99)),
            replace(one, trace=replace(one.trace, status="dancing")),
            replace(large, blobs={}),
            replace(large, blobs=dict.fromkeys(large.blobs, b"\x00other")),
        ]

        for bad in wrong:
            with pytest.raises(BadInput):
                await other.load([large, bad] if bad.trace.trace_id != last.trace_id else [one, bad], uid="u")
        assert await other.list_traces() == []
        assert await other.changes_since(0) == ([], 0)
        assert len(await other.load([one, large], uid="u")) == 2

    async def test_a_run_goes_on_from_ones_own_runs_only(self, store: Any, other: Any) -> None:
        """BadInput: it goes on from what is not there, or is another uid's."""
        foreign = await opened(other, a_run(""), uid="victim")
        for place in (foreign.trace_id, "nobody"):
            trace = await opened(store, [fact("", 0, "input", task="x", model="m", continues={"trace_id": place, "sequence": 5})], uid="u")
            with pytest.raises(BadInput, match="which is not there"):
                await other.load([await store.dump(trace.trace_id)], uid="u")
        assert [trace.trace_id for trace in await other.list_traces()] == [foreign.trace_id]

    async def test_a_conversation_is_not_taken_over(self, store: Any, other: Any) -> None:
        """BadInput: a run of a conversation that has other runs there would be taken for the newest of them."""
        await opened(other, a_run(""), conversation_id="c")
        trace = await opened(store, a_run(""), conversation_id="c")

        with pytest.raises(BadInput, match="the conversation 'c' has other runs here"):
            await other.load([await store.dump(trace.trace_id)], uid=None)

    async def test_no_word_is_put_into_the_mouth_of_an_agent(self, store: Any, other: Any) -> None:
        """BadInput: a sub-agent's run comes in whose caller is there already."""
        caller = await opened(store, [fact("", 0), fact("", 1, "subrun", call_id="0.0")])
        await other.load([await store.dump(caller.trace_id)], uid=None)
        planted = Trace.create(trace_id=f"{caller.trace_id}.0.0", parent_trace_id=caller.trace_id, status="completed")
        await store.open_trace(planted, [fact(planted, 0)])

        with pytest.raises(BadInput, match="which is there already"):
            await other.load([await store.dump(planted.trace_id)], uid=None)
        assert await other.get_trace(planted.trace_id) is None

    async def test_what_is_not_there_cannot_be_dumped(self, store: TraceCarrier) -> None:
        """TraceNotFound: no trace has this id."""
        with pytest.raises(TraceNotFound):
            await store.dump("nobody")
        assert await store.load([], uid=None) == []

    @pytest.mark.parametrize("row", STRANGE, ids=range(len(STRANGE)))
    async def test_a_row_that_no_store_writes_is_refused(self, other: Any, row: Any) -> None:
        """BadInput: they are not what was recorded. No row crashes a store."""
        trace = Trace.create(created_at=MOMENT)
        with pytest.raises(BadInput):
            await other.load([Carried(trace=trace, head="00" * 16, rows=[row])], uid=None)
        assert await other.list_traces() == []
