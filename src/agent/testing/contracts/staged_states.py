"""The contract of `StagingStates` and `StateLog`: states that are committed with a step, one test for each sentence.

Inherit the class and give it the fixtures `log` and `states`, of one store, and `clock` as for `StateStoreContract`.
"""
# ruff: noqa: PLR2004  # an expected number is a literal

import asyncio
from typing import Any

import pytest

from agent.errors import BadInput, Fenced, SequenceTaken, VersionConflict
from agent.models.trace import Trace
from agent.storage.protocols import StateStore
from agent.storage.staging import StagedStates, StagingStates, StateLog
from agent.testing.contracts.states import Clock
from agent.testing.contracts.trace_samples import fact, opened, sequences


class StagedStatesContract:
    """Inherit it, and add the fixtures `log`, `states` and `clock`."""

    async def commit(self, log: StateLog, trace: Trace, staged: StagedStates, sequence: int = 0, epoch: int = 1, **changes: Any) -> None:
        """Append one step with what is staged."""
        await log.add_steps_and_states(trace.trace_id, [fact(trace, sequence)], staged, epoch=epoch, changes=changes)

    def test_the_log_knows_its_own_states(self, log: StateLog, states: StagingStates) -> None:
        """`keeps`: whether both are one commit; `stage` and `add_steps_and_states` are there."""
        assert isinstance(states, StagingStates)
        assert isinstance(log, StateLog)
        assert log.keeps(states)
        assert not log.keeps(object())

    async def test_what_is_staged_is_seen_by_its_own_call_and_by_nobody_else(self, log: StateLog, states: StagingStates) -> None:
        """Its own changes at once, nobody else's, and nothing written."""
        await states.set("a", 1, uid="u")
        staged = states.stage(uid="u")
        versions = [await staged.set("a", 2), await staged.set("a", 3), await staged.set("b", {"x": 1})]
        had = await staged.delete("b")

        assert (versions, had) == ([2, 3, 1], True)
        assert (await staged.get("a"), await staged.get("b")) == (3, None)
        assert [(e.key, e.value, e.version) for e in await staged.list()] == [("a", 3, 3)]
        assert [(e.key, e.value) for e in await states.list(uid="u")] == [("a", 1)]
        assert await states.list(uid="v") == []

    async def test_a_commit_makes_all_changes_with_the_versions_that_were_told(self, log: StateLog, states: StagingStates) -> None:
        """In the same commit."""
        await states.set("a", 1, uid="u")
        await states.set("gone", 1, uid="u")
        trace, staged = await opened(log), states.stage(uid="u")
        told = {"a": await staged.set("a", 5), "new": await staged.set("new", [1], if_version=0)}
        await staged.delete("gone")
        await self.commit(log, trace, staged, total_tokens=7)

        assert {e.key: e.version for e in await states.list(uid="u")} == told
        assert (await states.get("a", uid="u"), await states.get("new", uid="u")) == (5, [1])
        assert await states.get("a", uid="v") is None
        head = await log.head(trace.trace_id)
        assert (head.next_sequence, head.trace.total_tokens) == (1, 7)
        assert (await log.verify(trace.trace_id)).entries == 1

    async def test_an_append_that_is_refused_changes_no_state(self, log: StateLog, states: StagingStates) -> None:
        """SequenceTaken, Fenced: all of it or nothing."""
        trace = await opened(log)
        staged = states.stage(uid="u")
        await staged.set("a", 1)
        with pytest.raises(SequenceTaken):
            await self.commit(log, trace, staged, sequence=3)
        with pytest.raises(Fenced):
            await self.commit(log, trace, staged, epoch=9)

        assert await states.list(uid="u") == []
        await self.commit(log, trace, staged)
        assert await states.get("a", uid="u") == 1

    @pytest.mark.parametrize("how", ["set", "delete", "look"])
    async def test_a_state_that_is_another_one_by_now_refuses_the_step(self, how: str, log: StateLog, states: StagingStates) -> None:
        """VersionConflict: neither a step nor a state was written; also where the call only looked at it."""
        await states.set("a", 1, uid="u")
        trace, staged = await opened(log), states.stage(uid="u")
        await (staged.set("a", 2) if how == "set" else staged.delete("a") if how == "delete" else staged.get("a"))
        await staged.set("b", 1)
        await states.set("a", 9, uid="u")
        with pytest.raises(VersionConflict):
            await self.commit(log, trace, staged)

        assert sequences(await log.read_steps(trace.trace_id)) == []
        assert {e.key: e.value for e in await states.list(uid="u")} == {"a": 9}
        await log.add_steps(trace.trace_id, [fact(trace, 0)], epoch=1)

    async def test_a_state_that_came_or_went_meanwhile_is_another_one(self, log: StateLog, states: StagingStates) -> None:
        """VersionConflict."""
        await states.set("old", 1, uid="u")
        trace, first, second = await opened(log), states.stage(uid="u"), states.stage(uid="u")
        await first.set("new", 1)
        await second.set("old", 2)
        await states.set("new", 5, uid="u")
        await states.delete("old", uid="u")

        for staged in (first, second):
            with pytest.raises(VersionConflict):
                await self.commit(log, trace, staged)
        assert {e.key: e.value for e in await states.list(uid="u")} == {"new": 5}

    async def test_versions_of_a_key_never_repeat(self, log: StateLog, states: StagingStates) -> None:
        """Also not where a key is removed and set again in one call, or other keys are removed in the same commit."""
        trace = await opened(log)
        for n in range(5):
            await states.set("much", n, uid="u")
        staged = states.stage(uid="u")
        await staged.delete("much")
        again, other = await staged.set("much", "again"), await staged.set("other", 1)
        await self.commit(log, trace, staged)

        assert (again, other) == (6, 1)
        assert {e.key: e.version for e in await states.list(uid="u")} == {"much": 6, "other": 1}
        await states.delete("much", uid="u")
        assert await states.stage(uid="u").set("much", 1) == 7

    async def test_if_version_is_honoured_within_the_call(self, states: StagingStates) -> None:
        """`if_version` as in the store, against what the call sees."""
        staged = states.stage(uid="u")
        version = await staged.set("a", 1, if_version=0)

        with pytest.raises(VersionConflict):
            await staged.set("a", 2, if_version=0)
        assert await staged.set("a", 2, if_version=version) == version + 1

    async def test_time_to_live_begins_with_the_commit(self, log: StateLog, states: StagingStates, clock: Clock) -> None:
        """`ttl_s` as in the store."""
        trace, staged = await opened(log), states.stage(uid="u")
        await staged.set("a", 1, ttl_s=10)
        assert (await staged.list())[0].expires_at is not None
        clock.pass_s(8)
        await self.commit(log, trace, staged)
        clock.pass_s(8)
        assert await states.get("a", uid="u") == 1
        clock.pass_s(8)

        assert await states.get("a", uid="u") is None

    async def test_what_expired_since_it_was_seen_is_another_state(self, log: StateLog, states: StagingStates, clock: Clock) -> None:
        """VersionConflict; a new look then finds none, and goes on above its version."""
        await states.set("a", 1, uid="u", ttl_s=5)
        trace, staged = await opened(log), states.stage(uid="u")
        await staged.set("a", 2)
        clock.pass_s(6)
        with pytest.raises(VersionConflict):
            await self.commit(log, trace, staged)
        again = states.stage(uid="u")

        assert await again.set("a", 3, if_version=0) == 2
        await self.commit(log, trace, again)
        assert await states.get("a", uid="u") == 3

    async def test_of_many_that_count_none_is_lost(self, log: StateLog, states: StagingStates) -> None:
        """What a call looked at must still be what it was."""

        async def count() -> None:
            """Add one, as often as it takes."""
            trace = await opened(log)
            while True:
                staged = states.stage(uid="u")
                await staged.set("n", (await staged.get("n") or 0) + 1)
                try:
                    await self.commit(log, trace, staged)
                except VersionConflict:
                    continue
                return

        await asyncio.gather(*(count() for _ in range(12)))

        assert await states.get("n", uid="u") == 12

    async def test_a_call_that_is_over_stages_nothing_more(self, states: StagingStates) -> None:
        """`close`: what comes late is refused."""
        staged = states.stage(uid="u")
        staged.close()

        for late in (staged.get("a"), staged.set("a", 1), staged.delete("a"), staged.list()):
            with pytest.raises(BadInput):
                await late

    async def test_what_no_store_takes_is_refused_at_once(self, states: StagingStates) -> None:
        """BadInput, as `StateStore.set`."""
        staged = states.stage(uid="u")

        for key, value in (("", 1), ("a", object()), ("a", float("nan")), ("k" * 1000, 1)):
            with pytest.raises(BadInput):
                await staged.set(key, value)
        assert staged.changes == ()

    async def test_values_are_copied(self, log: StateLog, states: StateStore) -> None:
        """`get` returns a copy, `set` takes one."""
        assert isinstance(states, StagingStates)
        staged, given = states.stage(uid="u"), {"items": [1]}
        await staged.set("a", given)
        given["items"].append(2)
        (await staged.get("a"))["items"].append(3)

        assert await staged.get("a") == {"items": [1]}
