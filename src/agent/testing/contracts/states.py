"""The contract of `StateStore`, one test for each sentence.

To check a store of your own, inherit the class and give it the fixtures `store` and `clock` (pytest with pytest-asyncio in auto mode):

    class TestMyStore(StateStoreContract):
        @pytest.fixture
        def clock(self):
            return FakeClock()  # of agent.testing.clock, or anything with `pass_s`: one that sleeps will do

        @pytest.fixture
        def store(self, clock):
            return MyStore(now=clock.now)  # empty
"""
# ruff: noqa: PLR2004  # an expected number is a literal

import asyncio
import math
from typing import Any, Protocol

from agent.errors import BadInput, VersionConflict
from agent.storage.protocols import StateStore

MEANT_AS_IT_STANDS = ("%", "_", "a%b", "a_b", "[a]", "*", "'", '"', "\\", "\x00", "ключ", "键", "👍", " ", "a\nb")


class Clock(Protocol):
    """What the store's clock must do for these tests."""

    def pass_s(self, seconds: float) -> None:
        """Let time go by."""
        ...


class StateStoreContract:
    """Inherit it, and add the fixtures `store` and `clock`."""

    async def test_a_key_that_was_never_set_has_no_value(self, store: StateStore) -> None:
        """None where there is none."""
        assert await store.get("k") is None
        assert await store.list() == []
        assert await store.delete("k") is False

    async def test_what_json_holds_comes_back_equal(self, store: StateStore) -> None:
        """`set` takes a JSON value."""
        values: list[Any] = [None, True, 0, -1, 2**80, 1.5, 1e300, "", "é 你好 👍 \x00", [], {}, [1, [2, {"a": None}]], {"": {"b": [False]}, "键": "值"}]
        for value in values:
            await store.set("k", value)

            assert await store.get("k") == value
            assert [entry.value for entry in await store.list()] == [value]

    async def test_values_are_copied_on_the_way_in_and_out(self, store: StateStore) -> None:
        """`get` returns a copy."""
        given = {"items": [1]}
        await store.set("k", given)
        given["items"].append(2)
        (await store.get("k"))["items"].append(3)
        (await store.list())[0].value["items"].append(4)

        assert await store.get("k") == {"items": [1]}

    async def test_what_json_cannot_hold_is_refused_and_the_old_value_stays(self, store: StateStore) -> None:
        """BadInput: the value is no JSON."""
        await store.set("k", "old")
        circle: list[Any] = []
        circle.append(circle)
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        bad = [math.nan, math.inf, [-math.inf], {1: "a"}, {"a": {None: 1}}, {1, 2}, b"bytes", object(), "\ud800", circle, deep]

        assert [type(await _outcome(store.set("k", value))) for value in bad] == [BadInput] * len(bad)
        assert await store.get("k") == "old"

    async def test_keys_that_cannot_be_are_refused(self, store: StateStore) -> None:
        """BadInput: the key is empty, too long, or no unicode; to read one finds nothing."""
        assert isinstance(await _outcome(store.set(7, 1)), BadInput)  # type: ignore[arg-type]  # what is refused
        bad = ["", "k" * 100_000, "\ud800"]

        assert [type(await _outcome(store.set(key, 1))) for key in bad] == [BadInput] * len(bad)
        assert [await store.get(key) for key in bad] == [None] * len(bad)
        assert [await store.delete(key) for key in bad] == [False] * len(bad)
        assert await store.list("\ud800") == []

    async def test_versions_count_from_one(self, store: StateStore) -> None:
        """`version` counts from 1."""
        assert [await store.set("k", n) for n in range(3)] == [1, 2, 3]
        assert [entry.version for entry in await store.list()] == [3]

    async def test_versions_of_a_key_never_repeat(self, store: StateStore, clock: Clock) -> None:
        """Also not after it was deleted, or has expired."""
        given = [await store.set("k", 1), await store.set("k", 2)]
        await store.delete("k")
        given.append(await store.set("k", 3, ttl_s=5))
        clock.pass_s(10)
        given.append(await store.set("other", 1))
        given.append(await store.set("k", 4))
        await store.delete("k")
        await store.list()
        given.append(await store.set("k", 5))

        mine = [version for at, version in enumerate(given) if at != 3]
        assert mine == sorted(set(mine))

    async def test_a_value_is_set_only_at_the_version_that_was_read(self, store: StateStore) -> None:
        """VersionConflict: it has another version; nothing was set."""
        version = await store.set("k", "a")
        later = await store.set("k", "b", if_version=version)
        refused = await _outcome(store.set("k", "c", if_version=version))

        assert isinstance(refused, VersionConflict)
        assert (refused.key, refused.expected, refused.found) == ("k", version, later)
        assert await store.get("k") == "b"

    async def test_version_0_means_that_there_is_none(self, store: StateStore, clock: Clock) -> None:
        """`if_version=0` means: only if there is none."""
        first = await store.set("k", "a", if_version=0)

        assert first == 1
        assert isinstance(await _outcome(store.set("k", "b", if_version=0)), VersionConflict)
        assert isinstance(await _outcome(store.set("new", "b", if_version=1)), VersionConflict)
        assert await store.get("new") is None

        await store.delete("k")
        assert await store.set("k", "c", if_version=0, ttl_s=1) > first
        clock.pass_s(1)
        assert await store.set("k", "d", if_version=0) > first

    async def test_of_a_hundred_who_set_at_once_one_wins_each_version(self, store: StateStore) -> None:
        """Compare and set are one step."""
        await store.set("k", -1)
        for expected in range(1, 4):
            outcomes = await asyncio.gather(*(store.set("k", n, if_version=expected) for n in range(100)), return_exceptions=True)

            winners = [n for n, outcome in enumerate(outcomes) if outcome == expected + 1]
            assert len(winners) == 1
            assert sum(isinstance(outcome, VersionConflict) for outcome in outcomes) == 99
            assert await store.get("k") == winners[0]

    async def test_no_increment_is_lost(self, store: StateStore) -> None:
        """Read, compute, set at that version, or begin again."""
        await store.set("n", 0)

        async def increment() -> None:
            """Read and set until nobody was in between."""
            while True:
                (entry,) = await store.list("n")
                try:
                    await store.set("n", entry.value + 1, if_version=entry.version)
                except VersionConflict:
                    continue
                return

        async with asyncio.timeout(30):
            await asyncio.gather(*(increment() for _ in range(20)))

        assert await store.get("n") == 20

    async def test_a_value_is_gone_the_moment_it_expires(self, store: StateStore, clock: Clock) -> None:
        """None where it has expired, and no entry in the list."""
        await store.set("short", 1, ttl_s=10)
        await store.set("long", 2, ttl_s=100)
        await store.set("ever", 3)
        clock.pass_s(9)
        assert await store.get("short") == 1

        clock.pass_s(1)
        assert await store.get("short") is None
        assert await store.delete("short") is False
        assert [entry.key for entry in await store.list()] == ["ever", "long"]

    async def test_setting_again_sets_the_time_to_live_again(self, store: StateStore, clock: Clock) -> None:
        """Without `ttl_s` it stays until deleted."""
        await store.set("a", 1, ttl_s=10)
        await store.set("a", 2)
        await store.set("b", 1, ttl_s=10)
        await store.set("b", 2, ttl_s=20)
        clock.pass_s(15)

        assert await store.get("a") == 2
        assert await store.get("b") == 2
        assert [entry.expires_at is None for entry in await store.list()] == [True, False]

    async def test_a_time_to_live_is_a_number_above_zero(self, store: StateStore) -> None:
        """BadInput, and nothing is set."""
        bad = [0, -1, math.nan, math.inf, 1e30]

        assert [type(await _outcome(store.set("k", 1, ttl_s=ttl_s))) for ttl_s in bad] == [BadInput] * len(bad)
        assert await store.get("k") is None

    async def test_a_deleted_value_is_gone_once(self, store: StateStore) -> None:
        """`delete` returns whether there was one."""
        await store.set("k", 1)

        assert await store.delete("k") is True
        assert await store.delete("k") is False
        assert await store.get("k") is None

    async def test_a_list_has_the_keys_with_a_prefix_in_order(self, store: StateStore) -> None:
        """Entries whose key begins with `prefix`, by key."""
        for key in ("b", "a/2", "a/1", "a", "A", "ab", "a/1/x"):
            await store.set(key, key)

        assert [entry.key for entry in await store.list("a/")] == ["a/1", "a/1/x", "a/2"]
        assert [entry.key for entry in await store.list()] == ["A", "a", "a/1", "a/1/x", "a/2", "ab", "b"]
        assert [(entry.value, entry.version, entry.expires_at) for entry in await store.list("b")] == [("b", 1, None)]

    async def test_signs_of_patterns_in_keys_mean_themselves(self, store: StateStore) -> None:
        """A key and a prefix are only text."""
        for key in MEANT_AS_IT_STANDS:
            await store.set(key, key)
        await store.set("axb", 0)

        for key in MEANT_AS_IT_STANDS:
            assert await store.get(key) == key
            assert [entry.key for entry in await store.list(key)] == sorted(other for other in MEANT_AS_IT_STANDS if other.startswith(key))

    async def test_each_uid_and_nobody_have_keys_of_their_own(self, store: StateStore) -> None:
        """`uid=None` is a tenant of its own: keys of nobody."""
        owners = [None, "", "a", "b", "=a", "None"]
        for owner in owners:
            assert await store.set("k", [owner], uid=owner) == 1
        await store.delete("k", uid="a")

        assert [await store.get("k", uid=owner) for owner in owners] == [[None], [""], None, ["b"], ["=a"], ["None"]]
        assert [len(await store.list(uid=owner)) for owner in owners] == [1, 1, 0, 1, 1, 1]
        assert await store.delete("k", uid="a") is False


async def _outcome(operation: Any) -> Any:
    try:
        return await operation
    except (BadInput, VersionConflict) as error:
        return error
