"""The part of the contract of `TraceLog` that is about looking after it."""
# ruff: noqa: PLR2004  # an expected number is a literal

from datetime import timedelta

import pytest

from agent.errors import BadInput, BlobNotFound
from agent.storage.protocols import TraceLog
from agent.testing.contracts.trace_samples import MOMENT, a_run, digest_of, fact, listed, opened, recorded


class TraceUpkeepContract:
    """`get_blob`, `verify`, `prune`."""

    async def test_a_large_value_is_a_blob(self, store: TraceLog) -> None:
        """`get_blob` returns a blob by its hash; BlobNotFound: no blob has this hash."""
        text = "blob ü " * 20_000
        await opened(store, [fact("", 0, result=text)])

        assert (await store.get_blob(digest_of(text.encode()))).decode() == text
        for unknown in ("00" * 16, "", "no hex"):
            with pytest.raises(BlobNotFound):
                await store.get_blob(unknown)

    async def test_verify_counts_the_steps_in_any_order_of_commit(self, store: TraceLog) -> None:
        """`verify` checks the hash chain of a trace and returns how many steps it covers."""
        trace = await opened(store, a_run(""))
        for sequence in (20, 10, 15, 30, 25):
            await store.add_step(fact(trace, sequence, step_id=f"chosen {sequence}"))
        await store.add_steps(trace.trace_id, [fact(trace, 31), fact(trace, 32)], changes={"status": "completed"})

        assert await store.verify(trace.trace_id) == 13

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
        assert await store.verify(new.trace_id) == 1

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

    async def test_a_cursor_stays_good_after_a_prune(self, store: TraceLog) -> None:
        """`changes_since`: what was committed after `cursor`, also where the newest steps were removed."""
        old = await opened(store, [fact("", n) for n in range(5)], created_at=MOMENT)
        await store.update_trace(old.trace_id, status="completed")
        _, cursor = await store.changes_since(None)
        for _ in range(2):
            await store.prune(before=MOMENT + timedelta(hours=1))
        new = await opened(store, [fact("", 0)])

        assert (await store.changes_since(cursor))[0] == [(new.trace_id, 0)]
