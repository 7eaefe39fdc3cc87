"""The part of the contract of `TraceLog` that is about forks."""
# ruff: noqa: PLR2004  # an expected number is a literal

from datetime import timedelta
from typing import Any

import pytest

from agent.errors import BadInput, SequenceTaken, StepNotFound, TraceNotFound
from agent.models.trace import Step, Trace, step_id_of
from agent.storage.protocols import TraceLog
from agent.testing.contracts.trace_samples import MOMENT, a_run, fact, opened, recorded, restored_one_by_one, sequences


async def forked(store: TraceLog, parent: Trace, at: int, *steps: Step) -> Trace:
    """Return a new fork; steps of trace "" become its own."""
    return await opened(store, steps, parent_trace_id=parent.trace_id, fork_at=at, uid=parent.uid, created_at=MOMENT)


class TraceForksContract:
    """`open_trace` with `fork_at`, and what all else does with such a trace."""

    async def test_a_fork_shows_the_steps_it_inherits_and_its_own(self, store: TraceLog) -> None:
        """All reading shows the steps of its parent up to that sequence as they are there, and then its own."""
        parent = await opened(store, a_run(""))
        fork = await forked(store, parent, 4, fact("", 5, "forked", parents=[f"{parent.trace_id}/4"]), fact("", 6, "llm_call", response="Rain."))
        inherited = await store.get_trace_steps(parent.trace_id)

        whole = await store.get_trace_steps(fork.trace_id)
        assert whole[:5] == inherited[:5]
        assert [step.step_id for step in whole[5:]] == [step_id_of(fork.trace_id, 5), step_id_of(fork.trace_id, 6)]
        assert [message["role"] for message in whole[6].data["messages"]] == ["system", "user", "assistant", "tool", "assistant"]
        assert (await store.read_steps(fork.trace_id))[:5] == (await store.read_steps(parent.trace_id))[:5]
        for page in (await store.get_steps(fork.trace_id), await restored_one_by_one(store, fork.trace_id)):
            assert [step.data.get("model") for step in page if step.step_type == "llm_call"] == ["m", "m", "m"]
            assert page[3].data["arguments"] == {"city": "Ulm"}
        assert await store.get_trace_steps(parent.trace_id) == inherited

    async def test_a_fork_is_read_in_pages_over_the_seam(self, store: TraceLog) -> None:
        """`after` and `limit` count inherited steps as its own."""
        parent = await opened(store, [fact("", n) for n in range(10)])
        child = await forked(store, parent, 5, *(fact("", n) for n in range(6, 9)))
        fork = await forked(store, child, 7, *(fact("", n) for n in range(8, 12)))

        for read in (store.read_steps, store.get_steps):
            assert sequences(await read(fork.trace_id)) == list(range(12))
            for after in range(-1, 12):
                for limit in (0, 1, 3, 20):
                    assert sequences(await read(fork.trace_id, after=after, limit=limit)) == list(range(12))[after + 1 : after + 1 + limit]
        owners = [step.trace_id for step in await store.read_steps(fork.trace_id)]
        assert owners == [parent.trace_id] * 6 + [child.trace_id] * 2 + [fork.trace_id] * 4

    async def test_a_fork_of_a_fork_may_begin_before_its_parent_did(self, store: TraceLog) -> None:
        """It then inherits from the one its parent came from."""
        parent = await opened(store, [fact("", n) for n in range(10)])
        child = await forked(store, parent, 7, fact("", 8))
        fork = await forked(store, child, 3, fact("", 4))

        assert [step.trace_id for step in await store.read_steps(fork.trace_id)] == [parent.trace_id] * 4 + [fork.trace_id]
        assert (await store.verify(fork.trace_id)).entries == 5

    async def test_a_step_of_a_fork_is_found_by_its_own_id(self, store: TraceLog) -> None:
        """`get_step` finds inherited steps by their ids, or by their number in the fork; what was not inherited is not there."""
        parent = await opened(store, [fact("", 0), fact("", 1, step_id="mine"), fact("", 2), fact("", 3, step_id="later")])
        fork = await forked(store, parent, 2, fact("", 3, text="own"))

        assert (await store.get_step(fork.trace_id, "mine")).sequence == 1
        assert (await store.get_step(fork.trace_id, step_id_of(parent.trace_id, 2))).trace_id == parent.trace_id
        assert (await store.get_step(fork.trace_id, step_id_of(fork.trace_id, 2))).trace_id == parent.trace_id
        assert (await store.get_step(fork.trace_id, step_id_of(fork.trace_id, 3))).data == {"text": "own"}
        for unknown in ("later", step_id_of(parent.trace_id, 3), step_id_of(fork.trace_id, 4)):
            with pytest.raises(StepNotFound):
                await store.get_step(fork.trace_id, unknown)

    async def test_a_fork_goes_on_at_the_next_number(self, store: TraceLog) -> None:
        """Its own steps begin at `fork_at` + 1, and nothing takes a number that it inherits."""
        parent = await opened(store, [fact("", n) for n in range(5)])
        fork = await forked(store, parent, 2)

        assert (await store.head(fork.trace_id)).next_sequence == 3
        for sequence in (0, 2, 4):
            with pytest.raises(SequenceTaken):
                await store.add_steps(fork.trace_id, [fact(fork, sequence)])
        for sequence in (0, 2):
            with pytest.raises(SequenceTaken):
                await store.add_step(fact(fork, sequence))
        await store.add_steps(fork.trace_id, [fact(fork, 3), fact(fork, 4)], epoch=1)
        await store.add_step(fact(fork, 5))
        assert sequences(await store.read_steps(fork.trace_id)) == list(range(6))
        assert len(await store.read_steps(parent.trace_id)) == 5

    async def test_the_chain_goes_over_the_seam(self, store: TraceLog) -> None:
        """`verify` covers inherited steps too; what its parent does later is no concern of the fork."""
        parent = await opened(store, [fact("", n) for n in range(5)])
        fork = await forked(store, parent, 2)
        assert (await store.verify(fork.trace_id)).entries == 3
        await store.add_step(fact(fork, 3))
        await store.update_trace(fork.trace_id, status="completed")
        await store.add_steps(parent.trace_id, [fact(parent, 5)], epoch=1)

        assert (await store.verify(fork.trace_id)).entries == 4
        assert (await store.verify(parent.trace_id)).entries == 6

    async def test_a_fork_of_what_is_not_there_is_refused(self, store: TraceLog) -> None:
        """TraceNotFound, StepNotFound, BadInput: then there is no trace."""
        parent = await opened(store, [fact("", 0)], uid="mine")
        wrong: dict[type[Exception], list[dict[str, Any]]] = {
            TraceNotFound: [{"parent_trace_id": "nobody", "fork_at": 0}, {"parent_trace_id": parent.trace_id, "fork_at": 0, "uid": "other"}],
            StepNotFound: [{"parent_trace_id": parent.trace_id, "fork_at": n, "uid": "mine"} for n in (1, 10**12)],
            BadInput: [{"fork_at": 0}, {"parent_trace_id": parent.trace_id, "fork_at": -1, "uid": "mine"}],
        }

        for error, kinds in wrong.items():
            for fields in kinds:
                trace = Trace.create(**fields)
                for make in (store.create_trace(trace), store.open_trace(trace, [])):
                    with pytest.raises(error):
                        await make
                assert await store.get_trace(trace.trace_id) is None

    async def test_forks_of_forks_are_read_to_the_first(self, store: TraceLog) -> None:
        """All reading shows the steps of its parent, and so on."""
        last = await opened(store, [fact("", 0, text="first")])
        for _ in range(50):
            last = await recorded(store, parent_trace_id=last.trace_id, fork_at=0)

        assert [step.data for step in await store.read_steps(last.trace_id)] == [{"text": "first"}]

    async def test_prune_keeps_what_a_fork_rests_on(self, store: TraceLog) -> None:
        """A fork's parent, and that one's, stay as long as it does."""
        parent = await opened(store, [fact("", 0, text="x" * 100_000)], created_at=MOMENT)
        child = await forked(store, parent, 0, fact("", 1))
        fork = await opened(store, [fact("", 1)], parent_trace_id=child.trace_id, fork_at=0)
        for trace in (parent, child):
            await store.update_trace(trace.trace_id, status="completed")

        assert await store.prune(before=MOMENT + timedelta(hours=1)) == []
        assert (await store.read_steps(fork.trace_id))[0].data["text"] == "x" * 100_000
        await store.update_trace(fork.trace_id, status="completed")
        assert len(await store.prune(before=fork.created_at + timedelta(hours=1))) == 3
