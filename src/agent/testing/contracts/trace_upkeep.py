"""The part of the contract of `TraceLog` that is about looking after it."""
# ruff: noqa: PLR2004  # an expected number is a literal

from datetime import timedelta

import pytest

from agent.errors import BadInput, BlobNotFound, StepNotFound, StoreUnusable, TraceNotFound
from agent.storage.protocols import TraceLog
from agent.testing.contracts.trace_samples import MOMENT, a_run, digest_of, fact, listed, opened, recorded


class TraceUpkeepContract:
    """`get_blob`, `verify`, `erase`, `prune`."""

    async def test_a_large_value_is_a_blob(self, store: TraceLog) -> None:
        """`get_blob` returns a blob by its hash; BlobNotFound: no blob has this hash."""
        text = "blob ü " * 20_000
        await opened(store, [fact("", 0, result=text)])

        assert (await store.get_blob(digest_of(text.encode()))).decode() == text
        for unknown in ("00" * 16, "", "no hex"):
            with pytest.raises(BlobNotFound):
                await store.get_blob(unknown)

    async def test_verify_counts_the_steps_in_any_order_of_commit(self, store: TraceLog) -> None:
        """`verify` checks a trace against its hash chain and returns how many steps it covers."""
        trace = await opened(store, a_run(""))
        for sequence in (20, 10, 15, 30, 25):
            await store.add_step(fact(trace, sequence, step_id=f"chosen {sequence}"))
        await store.add_steps(trace.trace_id, [fact(trace, 31), fact(trace, 32)], changes={"status": "completed"})

        assert (await store.verify(trace.trace_id)).entries == 13

    async def test_a_head_kept_elsewhere_holds_while_the_trace_goes_on(self, store: TraceLog) -> None:
        """With `head` the trace must have gone on from there; another trace's head, or an unknown one, is refused."""
        trace, other = await opened(store, a_run("")), await opened(store, a_run(""))
        heads = [(await store.verify(trace.trace_id)).head]
        for sequence in (6, 7):
            await store.add_steps(trace.trace_id, [fact(trace, sequence)])
            heads.append((await store.verify(trace.trace_id)).head)
        await store.update_trace(trace.trace_id, status="completed", total_tokens=5)

        assert len(set(heads)) == 3
        for head in heads:
            assert (await store.verify(trace.trace_id, head=head)).head == heads[-1]
        for wrong in ((await store.verify(other.trace_id)).head, "00" * 16, "", "no hex"):
            with pytest.raises(StoreUnusable):
                await store.verify(trace.trace_id, head=wrong)

    async def test_what_steps_said_can_be_erased_and_the_chain_holds(self, store: TraceLog) -> None:
        """`erase` forgets what steps said, and `verify` returns who erased what and why; a second time changes nothing."""
        trace = await opened(store, a_run(""), task="Weather?", context={"model": "m"})
        await store.update_trace(trace.trace_id, status="completed", total_tokens=9)
        head = (await store.verify(trace.trace_id)).head

        assert await store.erase(trace.trace_id, [3, 0, 3], reason="a person asked", by="Ann") == [0, 3]
        assert await store.erase(trace.trace_id, [0, 6], reason="again") == []
        found, steps = await store.verify(trace.trace_id, head=head), await store.get_trace_steps(trace.trace_id)
        assert [(gone.sequences, gone.by, gone.reason) for gone in found.erased] == [((0, 3), "Ann", "a person asked")]
        assert [step.step_type for step in steps] == [*(step.step_type for step in a_run("")), "erased"]
        assert "sunny" not in repr(steps)
        after = await store.get_trace(trace.trace_id)
        assert after is not None
        assert (after.task, after.context, after.status, after.total_tokens) == (None, {}, "completed", 9)

    async def test_erasing_takes_the_blobs_that_nobody_else_uses(self, store: TraceLog) -> None:
        """`erase`: with blobs nobody else uses."""
        alone, shared = "alone " * 20_000, "shared " * 20_000
        trace = await opened(store, [fact("", 0, result=alone), fact("", 1, result=shared)])
        other = await opened(store, [fact("", 0, result=shared)])
        await store.update_trace(trace.trace_id, status="cancelled")
        await store.erase(trace.trace_id, [0, 1], reason="old")

        with pytest.raises(BlobNotFound):
            await store.get_blob(digest_of(alone.encode()))
        assert (await store.read_steps(other.trace_id))[0].data["result"] == shared
        assert (await store.verify(other.trace_id)).erased == ()

    async def test_what_may_go_on_is_not_erased(self, store: TraceLog) -> None:
        """BadInput: the run is neither completed nor cancelled, or there is no reason; StepNotFound, TraceNotFound: nothing was erased."""
        trace = await opened(store, a_run(""))
        with pytest.raises(BadInput):
            await store.erase(trace.trace_id, [0], reason="why not")
        await store.update_trace(trace.trace_id, status="completed")
        with pytest.raises(BadInput):
            await store.erase(trace.trace_id, [0], reason=" ")
        with pytest.raises(BadInput):
            await store.erase(trace.trace_id, [-1], reason="x")
        with pytest.raises(StepNotFound):
            await store.erase(trace.trace_id, [0, 77], reason="x")
        with pytest.raises(TraceNotFound):
            await store.erase("nobody", [0], reason="x")

        assert [step.step_type for step in await store.get_trace_steps(trace.trace_id)] == [step.step_type for step in a_run("")]
        assert (await store.verify(trace.trace_id)).erased == ()

    async def test_prune_removes_ended_traces_created_before_a_moment(self, store: TraceLog) -> None:
        """`prune` removes ended traces created before a moment, and returns their ids; a dry run only names them."""
        old = [await recorded(store, created_at=MOMENT, uid=uid) for uid in ("a", "b")]
        running, new = await recorded(store, created_at=MOMENT), await recorded(store, created_at=MOMENT + timedelta(hours=2))
        for trace in (*old, new):
            await store.add_step(fact(trace, 0, step_id="mine"))
            await store.update_trace(trace.trace_id, status="completed")
        until = MOMENT + timedelta(hours=1)

        assert await store.prune(before=until, uid="a", is_dry_run=True) == [old[0].trace_id]
        assert await store.get_trace(old[0].trace_id) is not None
        assert await store.prune(before=until, statuses=["failed"]) == []
        assert await store.prune(before=until, uid="a") == [old[0].trace_id]
        assert await store.prune(before=until) == [old[1].trace_id]
        assert await listed(store) == [new.trace_id, running.trace_id]
        assert await store.get_trace_steps(old[0].trace_id) == []
        assert len(await store.get_trace_steps(new.trace_id)) == 1
        with pytest.raises(BadInput):
            await store.prune(before=until, statuses=["running"])

    async def test_prune_keeps_blobs_that_others_use(self, store: TraceLog) -> None:
        """`prune` removes blobs nobody else uses, and no others."""
        shared, alone = "shared " * 20_000, "alone " * 20_000
        old = await opened(store, [fact("", 0, result=shared), fact("", 1, result=alone)], created_at=MOMENT)
        new = await opened(store, [fact("", 0, result=shared)])
        await store.update_trace(old.trace_id, status="completed")
        assert await store.prune(before=MOMENT + timedelta(hours=1)) == [old.trace_id]

        assert (await store.read_steps(new.trace_id))[0].data["result"] == shared
        with pytest.raises(BlobNotFound):
            await store.get_blob(digest_of(alone.encode()))
        assert (await store.verify(new.trace_id)).entries == 1

    async def test_prune_keeps_what_a_kept_trace_goes_on_from(self, store: TraceLog) -> None:
        """A fork's parent and the earlier runs of a conversation stay as long as it does."""
        parent = await recorded(store, created_at=MOMENT)
        child = await recorded(store, created_at=MOMENT, parent_trace_id=parent.trace_id)
        earlier = await recorded(store, created_at=MOMENT, conversation_id="c")
        later = await recorded(store, created_at=MOMENT, conversation_id="c")
        for trace in (parent, earlier):
            await store.update_trace(trace.trace_id, status="completed")

        assert await store.prune(before=MOMENT + timedelta(hours=1)) == []
        for trace in (child, later):
            await store.update_trace(trace.trace_id, status="completed")
        assert await store.prune(before=MOMENT + timedelta(hours=1)) == [later.trace_id, earlier.trace_id, child.trace_id, parent.trace_id]

    async def test_prune_keeps_a_sub_agents_run_that_its_caller_may_go_on_with(self, store: TraceLog) -> None:
        """`prune`: a sub-agent's run stays as long as its caller does, and that one has neither an answer nor been cancelled."""
        caller = await recorded(store, created_at=MOMENT)
        below = await recorded(store, created_at=MOMENT, parent_trace_id=caller.trace_id, trace_id=f"{caller.trace_id}.1.0")
        await store.update_trace(below.trace_id, status="completed")

        assert await store.prune(before=MOMENT + timedelta(hours=1)) == []
        await store.update_trace(caller.trace_id, status="failed")
        assert await store.prune(before=MOMENT + timedelta(hours=1), statuses=["completed"]) == []
        assert await store.prune(before=MOMENT + timedelta(hours=1)) == [below.trace_id, caller.trace_id]

    async def test_a_cursor_stays_good_after_a_prune(self, store: TraceLog) -> None:
        """`changes_since`: what was committed after `cursor`, also where the newest steps were removed."""
        old = await opened(store, [fact("", n) for n in range(5)], created_at=MOMENT)
        await store.update_trace(old.trace_id, status="completed")
        _, cursor = await store.changes_since(None)
        for _ in range(2):
            await store.prune(before=MOMENT + timedelta(hours=1))
        new = await opened(store, [fact("", 0)])

        assert (await store.changes_since(cursor))[0] == [(new.trace_id, 0)]
