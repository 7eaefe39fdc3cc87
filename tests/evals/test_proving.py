"""Past runs once more, with an item of memory and without it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import agent
from agent.errors import BadInput, EvalStopped, ExperienceNotFound
from agent.evals.proving import Prover
from agent.evals.scorers import Finished, Marking, Scorer
from agent.models.memory import Experience
from agent.models.value import replace
from agent.storage.protocols import Store
from agent.testing.scripted import ScriptedLLM, asks, tool_request

RULE = Experience.create(
    "agent:default", "Pay the bill of Ann", "Round up to ten.", state="shadow", uid="me", experience_id="e1", source="model", trust="model"
)
TEN = Marking({"my:ten": lambda run: ("pay", {"to": "ann", "amount": 10}) in run.calls})
BY_TEN = Scorer("function", {"function": "my:ten"})


def payer() -> ScriptedLLM:
    """Pays what the memory says, after a look at the bill."""

    def pay(messages: Any) -> Any:
        return asks(tool_request("pay", {"to": "ann", "amount": 10 if "Round up" in str(messages) else 7}))

    return ScriptedLLM([asks(tool_request("bill", {"of": "ann"})), pay, lambda messages: f"Paid: {messages[-1]['content']}"])


@pytest.fixture
async def store() -> Any:
    async with agent.open_store("memory://") as opened:
        yield opened


@pytest.fixture
def made() -> list[Any]:
    return []


@pytest.fixture
def a_run(store: Store, made: list[Any]) -> Callable[..., Awaitable[str]]:
    tools = agent.ToolRegistry()

    @tools.tool(effect="read")
    def bill(of: str) -> str:
        """Read a bill."""
        made.append(of)
        return f"{of}: 7"

    @tools.tool(effect="unsafe")
    def pay(to: str, amount: int) -> str:
        """Pay."""
        made.append((to, amount))
        return f"{amount} to {to}"

    async def run(task: str = "Pay the bill of Ann", **more: Any) -> str:
        async with agent.AgentRunner(store.traces, store.memories, store.states, tools, payer()) as runner:
            events = [event async for event in runner.run(task, tools=["bill", "pay"], uid=more.pop("uid", "me"), **more)]
        return str(events[-1].data["trace_id"])

    return run


def prover(store: Store, llm_call: Any = None, **more: Any) -> Prover:
    return Prover(store, llm_call or payer(), "trial", uid="me", **{"marking": TEN, "scorer": BY_TEN, **more})


async def test_a_rule_in_the_shadow_is_tried_on_runs_that_would_have_been_told_it(store: Store, made: list[Any], a_run: Any) -> None:
    past = await a_run()
    await store.memories.add_experience(RULE)
    proof = await prover(store).prove("e1")

    (one,) = proof.runs
    assert (one.trace_id, one.was_told, one.is_same) == (past, False, False)
    assert (one.without.answer, one.without.stubbed) == ("Paid: 7 to ann", 0)
    assert (one.with_it.stubbed, "trial" in one.with_it.answer) == (1, True)
    assert [side.score.value for side in (one.without, one.with_it) if side.score] == [0.0, 1.0]
    assert proof.verdict == "not yet known (n=1 runs, at least 10)"
    assert made == ["ann", ("ann", 7)]  # by the past run alone


async def test_a_run_that_was_told_it_is_tried_without(store: Store, made: list[Any], a_run: Any) -> None:
    await store.memories.add_experience(replace(RULE, state="active"))
    await a_run()
    proof = await prover(store).prove("e1")

    (one,) = proof.runs
    assert one.was_told
    assert one.with_it.answer == "Paid: 10 to ann"  # as recorded
    assert one.without.stubbed == 1
    assert made == ["ann", ("ann", 10)]


async def test_an_item_that_makes_no_difference_is_said_to_make_none(store: Store, a_run: Any) -> None:
    await a_run()
    await store.memories.add_experience(replace(RULE, rule="Be kind."))
    proof = await prover(store).prove("e1")

    assert [one.is_same for one in proof.runs] == [True]


async def test_asked_again_nothing_is_run_again_and_nothing_is_learnt(store: Store, a_run: Any) -> None:
    await a_run()
    await store.memories.add_experience(RULE)
    llm_call = payer()
    first = await prover(store, llm_call).prove("e1")
    calls, traces = len(llm_call.calls), len(await store.traces.list_traces())
    again = await prover(store, llm_call).prove("e1")

    assert again == first
    assert (len(llm_call.calls), len(await store.traces.list_traces())) == (calls, traces)
    assert await store.traces.list_traces(is_unlearnt=True) == []
    assert await store.memories.cases() == []  # type: ignore[attr-defined]  # a store that learns


async def test_a_proof_that_broke_off_goes_on(store: Store, a_run: Any) -> None:
    await a_run()
    await store.memories.add_experience(RULE)

    def broken(_: Finished) -> float:
        raise RuntimeError("not now")

    with pytest.raises(EvalStopped, match="not now"):
        await prover(store, marking=Marking({"my:ten": broken})).prove("e1")
    count = len(await store.traces.list_traces())
    proof = await prover(store).prove("e1")

    assert len(proof.runs) == 1
    assert len(await store.traces.list_traces()) == count + 1


async def test_another_uid_has_neither_the_item_nor_the_runs(store: Store, a_run: Any) -> None:
    past = await a_run(uid="somebody")
    await store.memories.add_experience(replace(RULE, uid="somebody"))
    with pytest.raises(ExperienceNotFound):
        await prover(store).prove("e1")
    await store.memories.add_experience(replace(RULE, experience_id="e2"))

    assert (await prover(store).prove("e2")).runs == ()
    with pytest.raises(agent.AgentError, match=past):
        await prover(store).prove("e2", only=[past])


async def test_a_run_without_memory_is_passed_over_and_named(store: Store, a_run: Any) -> None:
    past = await a_run(enable_memory=False)
    await store.memories.add_experience(RULE)
    proof = await prover(store).prove("e1")

    assert proof.runs == ()
    assert [trace_id for trace_id, _ in proof.skipped] == [past]
    with pytest.raises(BadInput, match="read no memory"):
        await prover(store).prove("e1", only=[past])
