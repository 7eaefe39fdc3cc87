"""Trying again: what, how often, how long."""

import asyncio
import pickle
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from agent.errors import BadInput, ModelRejected, ModelUnavailable
from agent.llm.contract import Reply, Token
from agent.llm.openai import OpenAICompatible
from agent.llm.retry import GaveUp, Patience, Retry, Retrying

USER = [{"role": "user", "content": "hello"}]


class Clockwork:
    """A clock that moves only by sleeping; chance is always at its most."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def around(self, model: Any, **limits: Any) -> Retrying:
        return Retrying(model, Patience(**limits), sleep=self.sleep, chance=lambda: 1.0, clock=lambda: self.now)


class Scripted:
    """Gives the next of its outcomes for each call; a list is a stream."""

    name = "test:model"

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.closed = 0

    async def __call__(self, messages: Sequence[dict[str, Any]], model: str, tools: list[dict[str, Any]] | None = None, **settings: Any) -> Reply:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return dict(outcome)

    async def stream(
        self, messages: Sequence[dict[str, Any]], model: str, tools: list[dict[str, Any]] | None = None, **settings: Any
    ) -> AsyncIterator[Token | Reply]:
        try:
            for part in self.outcomes.pop(0):
                if isinstance(part, BaseException):
                    raise part
                yield part
        finally:
            self.closed += 1

    async def aclose(self) -> None:
        self.closed += 100


def overload(**more: Any) -> ModelUnavailable:
    return ModelUnavailable("overloaded", **more)


async def test_what_may_pass_is_tried_again_with_growing_waits() -> None:
    clockwork = Clockwork()
    model = clockwork.around(Scripted(overload(), overload(), overload(), {"content": "hi"}), first_wait_s=1)

    reply = await model(messages=USER, model="m")

    assert reply == {"content": "hi", "attempts": 4, "cost_is_partial": True}
    assert clockwork.slept == [1, 2, 4]
    assert model.name == "test:model"


async def test_waits_are_spread_by_chance_but_never_below_half() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    for chance in (0.0, 0.5, 1.0):
        await Retrying(Scripted(overload(), {"content": "hi"}), Patience(first_wait_s=8), sleep=sleep, chance=lambda value=chance: value)(USER, "m")  # type: ignore[misc]

    assert waits == [4, 6, 8]


async def test_no_wait_is_longer_than_the_longest() -> None:
    clockwork = Clockwork()
    model = clockwork.around(Scripted(*[overload()] * 9, {"content": "hi"}), retries=9, first_wait_s=1, longest_wait_s=5, total_s=1000)

    await model(USER, "m")

    assert max(clockwork.slept) == 5


async def test_the_provider_says_how_long_to_wait() -> None:
    clockwork = Clockwork()

    await clockwork.around(Scripted(overload(retry_after_s=20), {"content": "hi"}))(USER, "m")

    assert len(clockwork.slept) == 1
    assert 20 <= clockwork.slept[0] <= 22


@pytest.mark.parametrize(
    ("limits", "errors", "why"),
    [
        ({"retries": 2}, [overload()] * 3, "gave up after 3 tries"),
        ({"longest_wait_s": 60}, [overload(retry_after_s=3600, status=429)], "asks to wait 3600 s.*longest_wait_s=60"),
        ({"total_s": 10, "first_wait_s": 4}, [overload()] * 2, "after total_s=10"),
        ({"retries": 0}, [overload()], "^overloaded$"),
    ],
)
async def test_it_gives_up_at_each_of_its_limits_and_says_which(limits: dict[str, Any], errors: list[Any], why: str) -> None:
    model = Clockwork().around(Scripted(*errors), **limits)

    with pytest.raises(GaveUp, match=why) as failed:
        await model(USER, "m")

    assert failed.value.attempts == len(errors)
    assert (failed.value.status, failed.value.retry_after_s) == (errors[-1].status, errors[-1].retry_after_s)
    assert pickle.loads(pickle.dumps(failed.value)).__dict__ == failed.value.__dict__


@pytest.mark.parametrize("error", [ModelRejected("no"), ValueError("no"), asyncio.CancelledError()])
async def test_anything_else_passes_at_once(error: BaseException) -> None:
    clockwork = Clockwork()

    with pytest.raises(type(error)):
        await clockwork.around(Scripted(error))(USER, "m")

    assert clockwork.slept == []


async def test_a_cancellation_ends_a_wait() -> None:
    waiting = asyncio.Event()

    async def sleep(_: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(Retrying(Scripted(overload()), sleep=sleep)(USER, "m"))
    await asyncio.wait_for(waiting.wait(), 5)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_cut_stream_begins_again_and_says_so() -> None:
    scripted = Scripted([Token("text", "Hel"), overload()], [overload()], [Token("text", "Hello"), {"content": "Hello"}])

    parts = [part async for part in Clockwork().around(scripted).stream(USER, "m")]

    assert parts == [Token("text", "Hel"), Token("restart", ""), Token("text", "Hello"), {"content": "Hello", "attempts": 3, "cost_is_partial": True}]
    assert scripted.closed == 3


async def test_a_stream_gives_up_too() -> None:
    with pytest.raises(GaveUp, match="2 tries"):
        [part async for part in Clockwork().around(Scripted([Token("text", "Hel"), overload()], [overload()]), retries=1).stream(USER, "m")]


async def test_a_model_without_streams_streams_its_reply() -> None:
    async def seed_like(messages: Any, model: str, tools: Any = None) -> Reply:
        return {"content": model}

    plain: Any = seed_like
    model = Retrying(plain)

    assert [part async for part in model.stream(USER, "m")] == [{"content": "m", "attempts": 1}]
    await model.aclose()


async def test_attempts_of_retries_within_retries_add_up() -> None:
    clockwork = Clockwork()
    inner = clockwork.around(Scripted(overload(), overload(), overload(), {"content": "hi"}), retries=1)

    assert (await clockwork.around(inner)(USER, "m"))["attempts"] == 3


async def test_closing_closes_the_model() -> None:
    scripted = Scripted()

    await Retrying(scripted).aclose()

    assert scripted.closed == 100


@pytest.mark.parametrize("limits", [{"retries": -1}, {"longest_wait_s": -0.1}, {"total_s": -1}])
def test_limits_below_zero_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=f"{next(iter(limits))} is -"):
        Retrying(Scripted(), Patience(**limits))


async def test_a_server_that_recovers_is_asked_until_it_does(chat_server: Any) -> None:
    chat_server.sends({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "3"})
    chat_server.sends("oops", status=500)
    chat_server.says({"content": None})
    chat_server.says({"content": "hi"})
    clockwork = Clockwork()
    model = clockwork.around(OpenAICompatible("m", base_url=chat_server.url, api_key="sk-test"))

    reply = await model(USER, "gpt-4o")

    assert (reply["content"], reply["attempts"]) == ("hi", 4)
    assert clockwork.slept[0] == pytest.approx(3.3)
    assert len(chat_server.requests) == 4


async def test_a_wrong_key_is_asked_once(chat_server: Any) -> None:
    chat_server.sends({"error": {"message": "wrong key"}}, status=401)

    with pytest.raises(ModelRejected, match="OPENAI_API_KEY"):
        await Clockwork().around(OpenAICompatible("m", base_url=chat_server.url, api_key="sk-test"))(USER, "gpt-4o")

    assert len(chat_server.requests) == 1


@pytest.mark.parametrize("ends", ["silent", "broken"])
async def test_a_stream_cut_by_the_server_is_asked_for_again(chat_server: Any, ends: str) -> None:
    chat_server.streams({"content": "Hel"}, ends=ends)
    chat_server.streams({"content": "Hello"})
    model = Clockwork().around(OpenAICompatible("m", base_url=chat_server.url, api_key="sk-test"))

    *tokens, reply = [part async for part in model.stream(USER, "gpt-4o")]

    assert [token.kind for token in tokens if isinstance(token, Token)][-2:] == ["restart", "text"]
    assert isinstance(reply, dict)
    assert (reply["content"], reply["attempts"]) == ("Hello", 2)


async def test_each_wait_is_told_beforehand() -> None:
    told: list[Retry] = []
    clock = Clockwork()
    model = Retrying(
        Scripted(ModelUnavailable("busy"), ModelUnavailable("still busy"), {"content": "ok"}),
        Patience(retries=3),
        on_retry=told.append,
        sleep=clock.sleep,
        chance=lambda: 1.0,
        clock=lambda: clock.now,
    )
    await model(USER)

    assert [(one.name, one.error.message, one.attempt, one.retries, one.wait_s) for one in told] == [
        ("test:model", "busy", 1, 3, 0.5),
        ("test:model", "still busy", 2, 3, 1.0),
    ]
    assert clock.slept == [0.5, 1.0]
