"""The contract of `MemoryStore`, one test for each sentence.

To check a store of your own, inherit the class and give it a fixture named `store` (pytest with pytest-asyncio in auto mode):

    class TestMyStore(MemoryStoreContract):
        @pytest.fixture
        def store(self):
            return MyStore()  # empty
"""
# ruff: noqa: PLR2004  # an expected number is a literal

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.clock import now
from agent.models.memory import Experience
from agent.storage.protocols import MemoryStore

HOSTILE = (
    '"',
    "*",
    "a*",
    "refund*",
    "NEAR",
    "NEAR(a b)",
    "a AND",
    "OR",
    "NOT",
    "(",
    ")",
    "a:b",
    "rule:",
    "-",
    "^",
    "'",
    "--",
    "; drop table",
    "%",
    "\x00",
    "\ud800",
    "{}",
    "[1]",
)


def lesson(condition: str, rule: str = "do it so", **fields: Any) -> Experience:
    """Return an experience of the scope that these tests search."""
    return Experience.create(fields.pop("scope", "agent:default"), condition, rule, **fields)


async def found(store: MemoryStore, query: str, **options: Any) -> list[str]:
    """Return the conditions of what a search finds."""
    return [item.condition for item in await store.search_experiences(options.pop("scope", "agent:default"), query, **options)]


class MemoryStoreContract:
    """Inherit it, and add the fixture `store`."""

    async def test_an_experience_is_found_by_its_words_and_comes_back_equal(self, store: MemoryStore) -> None:
        """`add_experience` records it and returns its id; a search returns it whole."""
        written = lesson(
            "a customer asks for a refund",
            "check the order number first",
            evidence=["t/3", "t/5"],
            source="feedback",
            confidence=0.75,
            kind="dont",
            author="Ann",
            uid="u",
            trust="model",
            valid_from=now() - timedelta(days=1),
            valid_to=now() + timedelta(days=1),
        )

        assert await store.add_experience(written) == written.experience_id
        assert await store.search_experiences("agent:default", "refund for a customer", uid="u") == [written]
        assert await store.search_experiences("agent:default", "what is the order number?", uid="u") == [written]

    async def test_english_is_found_in_other_forms_and_cases(self, store: MemoryStore) -> None:
        """What fits the query: also another form of the word."""
        await store.add_experience(lesson("customer asks for refunds"))

        for query in ("REFUND", "Refunded?", "the customers' refunding", "ｒｅｆｕｎｄ"):
            assert await found(store, query) == ["customer asks for refunds"]

    async def test_chinese_is_found_without_spaces(self, store: MemoryStore) -> None:
        """What fits the query: also in a language without spaces."""
        await store.add_experience(lesson("客户要求退款时", "先核对订单号"))
        await store.add_experience(lesson("用户要求总结文章时", "用三句话回答"))

        assert await found(store, "请问怎么办理退款？") == ["客户要求退款时"]
        assert await found(store, "帮我总结一下这篇关于GPT4的文章") == ["用户要求总结文章时"]
        assert await found(store, "今天天气") == []

    async def test_the_best_fit_comes_first(self, store: MemoryStore) -> None:
        """Best first."""
        for condition in ("reset a password", "reset a router after a storm", "bake bread", "change the password of a bank account"):
            await store.add_experience(lesson(condition))

        assert (await found(store, "reset my password"))[0] == "reset a password"
        assert (await found(store, "the router"))[0] == "reset a router after a storm"
        assert (await found(store, "reset the router's password", limit=1)) != ["bake bread"]

    async def test_of_equal_fits_the_newer_comes_first(self, store: MemoryStore) -> None:
        """Of equals the newer comes first."""
        begin = datetime(2026, 1, 1, tzinfo=UTC)
        for day in (2, 3, 1):
            await store.add_experience(lesson("reset a password", str(day), created_at=begin + timedelta(days=day)))

        assert [item.rule for item in await store.search_experiences("agent:default", "password reset")] == ["3", "2", "1"]

    async def test_at_most_as_many_as_wanted_are_returned(self, store: MemoryStore) -> None:
        """`limit` is the most that is returned; 5 where nobody says."""
        for number in range(8):
            await store.add_experience(lesson(f"refund case {number}"))

        assert [len(await found(store, "refund", limit=limit)) for limit in (-1, 0, 1, 3, 100)] == [0, 0, 1, 3, 8]
        assert len(await found(store, "refund")) == 5

    async def test_what_has_nothing_to_do_with_the_query_is_not_returned(self, store: MemoryStore) -> None:
        """A search returns what fits, not what there is."""
        for condition in ("a customer asks for a refund", "deploying a service at night", "writing SQL"):
            await store.add_experience(lesson(condition))

        assert await found(store, "What is the weather in Paris?") == []
        assert await found(store, "to be or not to be") == []

    async def test_an_empty_query_finds_nothing(self, store: MemoryStore) -> None:
        """Nothing fits a query without words."""
        await store.add_experience(lesson("a customer asks for a refund"))

        assert [await found(store, query) for query in ("", "  \n", "?!", "👍")] == [[]] * 4
        assert await store.search_skills("agent:default", "") == []

    async def test_a_query_is_only_text(self, store: MemoryStore) -> None:
        """No sign in a query or scope has a meaning of its own, and none is an error."""
        await store.add_experience(lesson("a customer asks for a refund"))

        for query in HOSTILE:
            assert await found(store, query) in ([], ["a customer asks for a refund"])
            assert await found(store, f"{query} refund {query}") == ["a customer asks for a refund"]
            assert await store.search_skills("agent:default", query) == []
            assert await found(store, "refund", scope=query) == []

    async def test_a_query_of_ten_megabytes_is_answered(self, store: MemoryStore) -> None:
        """What is read of a query is bounded."""
        await store.add_experience(lesson("a customer asks for a refund"))

        async with asyncio.timeout(20):
            assert await found(store, "refund " * 1_500_000) == ["a customer asks for a refund"]
            assert await found(store, "x" * 10_000_000) == []
            assert await found(store, "退" * 5_000_000) == []

    async def test_only_the_scope_is_searched(self, store: MemoryStore) -> None:
        """A scope is compared exactly."""
        for scope in ("agent:a", "agent:ab", "agent:A", "agent:%"):
            await store.add_experience(lesson(f"refund in {scope}", scope=scope))

        assert [await found(store, "refund", scope=scope) for scope in ("agent:a", "agent:%", "agent:", "")] == [
            ["refund in agent:a"],
            ["refund in agent:%"],
            [],
            [],
        ]

    async def test_a_uid_finds_its_own_and_what_is_nobodys(self, store: MemoryStore) -> None:
        """A uid sees its own items and those without an owner; None sees all."""
        for owner in (None, "", "a", "b"):
            await store.add_experience(lesson(f"refund of {owner!r}", uid=owner))

        seen = {uid: sorted(await found(store, "refund", uid=uid)) for uid in ("a", "b", "", "c", None)}
        assert seen == {
            "a": ["refund of 'a'", "refund of None"],
            "b": ["refund of 'b'", "refund of None"],
            "": ["refund of ''", "refund of None"],
            "c": ["refund of None"],
            None: ["refund of ''", "refund of 'a'", "refund of 'b'", "refund of None"],
        }

    async def test_what_others_own_does_not_change_what_a_uid_finds(self, store: MemoryStore) -> None:
        """Not even by their weight in the ranking."""
        for condition in ("refund by card", "refund in cash", "card lost"):
            await store.add_experience(lesson(condition, uid="a"))
        before = await found(store, "refund my card", uid="a")
        for number in range(50):
            await store.add_experience(lesson(f"card refund {number}", uid="b"))

        assert await found(store, "refund my card", uid="a") == before

    async def test_only_what_is_active_is_found(self, store: MemoryStore) -> None:
        """A search returns active items."""
        for state in ("candidate", "shadow", "active", "superseded", "retired"):
            await store.add_experience(lesson(f"refund {state}", state=state))

        assert await found(store, "refund") == ["refund active"]

    async def test_only_what_is_valid_now_is_found(self, store: MemoryStore) -> None:
        """From `valid_from` until before `valid_to`."""
        day, moment = timedelta(days=1), now()
        await store.add_experience(lesson("refund tomorrow", valid_from=moment + day))
        await store.add_experience(lesson("refund yesterday", valid_to=moment - day))
        await store.add_experience(lesson("refund today", valid_from=moment - day, valid_to=moment + day))

        assert await found(store, "refund") == ["refund today"]

    async def test_the_same_id_twice_is_one_and_the_first_stands(self, store: MemoryStore) -> None:
        """The same id twice is one (the first stands)."""
        ids = [await store.add_experience(lesson(f"refund {n}", experience_id="e1", uid="a")) for n in range(3)]

        assert ids == ["e1"] * 3
        assert await found(store, "refund") == ["refund 0"]
