"""Chains of models."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from agent.errors import BadInput, ModelNotConfigured, ModelRejected, ModelUnavailable
from agent.llm.contract import Reply, Token
from agent.llm.fallback import Fallback, NotReady
from agent.llm.retry import GaveUp, Patience, Retrying

USER = [{"role": "user", "content": "hello"}]


class Named:
    """A model with a name and one outcome for every call."""

    def __init__(self, name: str, outcome: Any, tokens: tuple[Token, ...] = ()) -> None:
        self.name, self.outcome, self.tokens = name, outcome, tokens
        self.asked: list[str] = []
        self.is_closed = False

    async def __call__(self, messages: Sequence[dict[str, Any]], model: str, tools: list[dict[str, Any]] | None = None, **settings: Any) -> Reply:
        self.asked.append(model)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return dict(self.outcome)

    async def stream(
        self, messages: Sequence[dict[str, Any]], model: str, tools: list[dict[str, Any]] | None = None, **settings: Any
    ) -> AsyncIterator[Token | Reply]:
        for token in self.tokens:
            yield token
        yield await self(messages, model, tools, **settings)

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(
    "error",
    [ModelUnavailable("down"), ModelNotConfigured("no key"), *(ModelRejected("no", status=status) for status in (401, 402, 403, 404, 429, None))],
)
async def test_the_next_model_answers_where_one_cannot(error: Exception) -> None:
    first, second, third = Named("a:1", error), Named("b:2", {"content": "hi"}), Named("c:3", {"content": "never"})

    reply = await Fallback([first, second, third])(messages=USER, model="a:1,b:2,c:3")

    assert (reply["content"], reply["model"]) == ("hi", "b:2")
    assert (first.asked, second.asked, third.asked) == (["a:1"], ["b:2"], [])


@pytest.mark.parametrize("error", [ModelRejected("bad request", status=400), ModelRejected("too large", status=413), ValueError("a bug")])
async def test_what_would_fail_everywhere_fails_at_once(error: Exception) -> None:
    second = Named("b:2", {"content": "hi"})

    with pytest.raises(type(error), match=str(error)):
        await Fallback([Named("a:1", error), second])(USER, "x")

    assert second.asked == []


async def test_when_all_fail_the_error_names_each_ones_reason() -> None:
    chain = Fallback([Named("a:1", ModelUnavailable("down", status=503, retry_after_s=9)), NotReady("b:2", ModelNotConfigured("no key"))])

    with pytest.raises(ModelUnavailable, match="a:1: down\n  b:2: no key") as failed:
        await chain(USER, "x")

    assert (failed.value.status, failed.value.retry_after_s) == (503, 9)


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ((ModelNotConfigured("x"), ModelNotConfigured("y")), ModelNotConfigured),
        ((ModelNotConfigured("x"), ModelRejected("y", status=401)), ModelRejected),
        ((ModelRejected("y", status=401), ModelUnavailable("x")), ModelUnavailable),
    ],
)
async def test_the_error_may_be_tried_again_if_one_of_them_may(errors: tuple[Exception, ...], kind: type[Exception]) -> None:
    with pytest.raises(kind) as failed:
        await Fallback([Named(f"m:{number}", error) for number, error in enumerate(errors)])(USER, "x")

    assert type(failed.value) is kind


async def test_attempts_of_all_models_are_counted() -> None:
    async def no_sleep(_: float) -> None:
        pass

    failing = Retrying(Named("a:1", ModelUnavailable("down")), Patience(retries=2), sleep=no_sleep)
    chain = Fallback([failing, NotReady("b:2", ModelNotConfigured("no key")), Retrying(Named("c:3", {"content": "hi"}))])

    reply = await chain(USER, "x")

    assert reply["attempts"] == 4
    assert chain.name == "a:1,b:2,c:3"


async def test_a_stream_begins_anew_at_the_next_model_and_says_so() -> None:
    first = Named("a:1", GaveUp("down", attempts=3), (Token("text", "Hel"),))
    second = Named("b:2", {"content": "Hello"}, (Token("text", "Hello"),))

    parts = [part async for part in Fallback([first, NotReady("c:3", ModelNotConfigured("no key")), second]).stream(USER, "x")]

    assert parts == [
        Token("text", "Hel"),
        Token("restart", ""),
        Token("text", "Hello"),
        {"model": "b:2", "content": "Hello", "attempts": 4, "cost_is_partial": True},
    ]


async def test_a_stream_of_failures_fails() -> None:
    with pytest.raises(ModelUnavailable, match="a:1: down"):
        [part async for part in Fallback([Named("a:1", ModelUnavailable("down"))]).stream(USER, "x")]


async def test_a_plain_function_may_stand_in_a_chain() -> None:
    async def seed_like(messages: Any, model: str, tools: Any = None) -> Reply:
        return {"content": model}

    plain: Any = seed_like
    chain = Fallback([Named("a:1", ModelUnavailable("down")), plain])

    assert (await chain(USER, "gpt-4o"))["content"] == "gpt-4o"
    assert [part async for part in chain.stream(USER, "gpt-4o")][-1]["content"] == "gpt-4o"  # type: ignore[index]


async def test_closing_closes_all() -> None:
    models = [Named("a:1", {}), Named("b:2", {})]

    await Fallback(models).aclose()

    assert all(model.is_closed for model in models)


def test_a_chain_of_none_is_refused() -> None:
    with pytest.raises(BadInput, match="at least one"):
        Fallback([])
