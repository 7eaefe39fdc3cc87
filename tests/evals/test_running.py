"""Evals as they run: what the arms are told, what is learnt, what a second run does."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest

import agent
from agent.core.estimate import text_tokens
from agent.errors import BadInput, EvalStopped
from agent.evals.cells import Cell, Cells, EvalNotFound
from agent.evals.reading import Document, Entry
from agent.evals.report import to_html, to_markdown
from agent.evals.results import results_of
from agent.evals.running import EvalOptions, Evaluation
from agent.evals.scorers import Finished, Marking
from agent.evals.tasks import TaskSet, task_set_of
from agent.models.value import replace
from agent.storage.protocols import Store
from agent.testing.scripted import ScriptedLLM, asks, says, tool_request

DAYS = ("3 May", "14 May", "21 June", "30 June", "2 July", "9 July")


def task_set(days: Any = DAYS, **head: Any) -> TaskSet:
    rows = [{"id": day, "task": f"Which date is {day} 2026?", "expected": f"ISO {day}"} for day in days]
    return task_set_of(
        Document(Entry({"scorer": "exact", "correction": "Write dates as ISO 8601.", **head}, "here"), tuple(Entry(row, "here") for row in rows)), "dates"
    )


def model() -> ScriptedLLM:
    """Writes a date rightly once it was told how."""

    def answer(messages: Any) -> str:
        day = str(messages[-1]["content"]).removeprefix("Which date is ").removesuffix(" 2026?")
        return f"ISO {day}" if "ISO 8601" in str(messages[:-1]) else day

    return ScriptedLLM([answer])


def evaluation(store: Store, llm_call: Any = None, tasks: TaskSet | None = None, marking: Marking | None = None, **options: Any) -> Evaluation:
    return Evaluation(tasks or task_set(), store, llm_call or model(), "m", owner="me", options=EvalOptions(**options), marking=marking)


@pytest.fixture
async def store() -> Any:
    async with agent.open_store("memory://") as opened:
        yield opened


def of(cells: list[Cell], arm: str, seed: int = 0) -> list[Cell]:
    return sorted((cell for cell in cells if cell.arm == arm and cell.seed == seed), key=lambda cell: cell.position)


async def test_memory_learns_from_the_first_mistake_and_the_other_arms_are_told_other_things(store: Store) -> None:
    cells = await evaluation(store, arms=("none", "memory", "placebo")).run()

    assert [cell.score for cell in of(cells, "none")] == [0.0] * 6
    assert [cell.score for cell in of(cells, "memory")] == [0.0, *[1.0] * 5]
    assert [cell.score for cell in of(cells, "placebo")] == [0.0] * 6
    assert [cell.is_corrected for cell in of(cells, "memory")] == [True, *[False] * 5]
    assert not await store.memories.list(uid=None, scope="agent:default", kind="experience", state="retired")


async def test_all_arms_of_a_seed_have_one_order_and_seeds_have_others(store: Store) -> None:
    cells = await evaluation(store, arms=("none", "memory"), seeds=4).run()

    orders = {(arm, seed): tuple(cell.task_id for cell in of(cells, arm, seed)) for arm in ("none", "memory") for seed in range(4)}
    assert all(orders["none", seed] == orders["memory", seed] for seed in range(4))
    assert len(set(orders.values())) > 1


async def test_each_arm_and_seed_has_a_memory_of_its_own(store: Store) -> None:
    cells = await evaluation(store, arms=("memory",), seeds=3).run()

    assert [of(cells, "memory", seed)[0].score for seed in range(3)] == [0.0] * 3
    assert len({item.uid for item in await store.memories.list()}) == 3


async def test_a_placebo_is_as_long_as_what_memory_told_and_says_nothing_of_it(store: Store) -> None:
    evaluated = evaluation(store, arms=("memory", "placebo"))
    cells = await evaluated.run()

    by_task = {cell.task_id: cell for cell in of(cells, "memory")}
    for cell in of(cells, "placebo"):
        told = by_task[cell.task_id].memory_tokens
        assert told * 0.9 - 2 <= cell.memory_tokens <= told
        (block,) = [step.data.get("block", "") for step in await store.traces.read_steps(cell.trace_id) if step.step_type == "memory_read"]
        assert "ISO" not in block
        assert text_tokens(block) == cell.memory_tokens
    assert any(cell.memory_tokens for cell in of(cells, "placebo"))


async def test_random_tells_what_memory_has_for_another_task(store: Store) -> None:
    tasks = task_set(("zebra",), correction="Say zebra stripes.").tasks + task_set(("violin",), correction="Say violin strings.").tasks
    both = TaskSet(name="two", tasks=tasks)

    cells = await evaluation(store, tasks=both, arms=("random",)).run()

    second = of(cells, "random")[1]
    (block,) = [step.data.get("block", "") for step in await store.traces.read_steps(second.trace_id) if step.step_type == "memory_read"]
    first = of(cells, "random")[0]
    assert first.task_id in block


async def test_held_out_tasks_come_last_and_nothing_is_learnt_from_them(store: Store) -> None:
    tasks = task_set()
    held = TaskSet(name="dates", tasks=tuple(replace(task, split="held_out") for task in tasks.tasks[:3]) + tasks.tasks[3:])

    cells = await evaluation(store, llm_call=ScriptedLLM(["wrong"]), tasks=held, arms=("memory",)).run()

    assert [cell.split for cell in of(cells, "memory")] == ["train"] * 3 + ["held_out"] * 3
    assert [cell.is_corrected for cell in of(cells, "memory")] == [True] * 3 + [False] * 3
    assert len(await store.memories.list()) == 3


async def test_scores_and_failures_of_tools_become_cases_of_tasks_that_are_not_held_out(store: Store) -> None:
    tools = agent.ToolRegistry()

    @tools.tool(effect="read")
    def look() -> str:
        """Look."""
        raise ValueError("nothing there")

    @tools.tool(effect="read")
    def find() -> str:
        """Find."""
        return "found"

    rows = [{"task": f"Find thing {n}", "expected": "find", "split": "held_out" if n > 2 else "train"} for n in range(1, 5)]
    tasks = task_set_of(Document(Entry({"scorer": "tool"}, "here"), tuple(Entry(row, "here") for row in rows)), "tools")
    llm_call = ScriptedLLM([asks(tool_request("find"), tool_request("look")), says("done")])
    options = EvalOptions(arms=("memory",), tools=["find", "look"])
    cells = await Evaluation(tasks, store, llm_call, "m", owner="me", options=options, tools=tools).run()

    assert [cell.score for cell in cells] == [1.0] * 4
    cases = await store.memories.cases()  # type: ignore[attr-defined]  # a store that learns
    assert {(case.tool, case.sign, case.signal) for case in cases} >= {("find", 1, "score"), ("look", -1, "tool_error")}
    assert {case.trace_id for case in cases} == {cell.trace_id for cell in cells if cell.split == "train"}
    uses = await store.memories.uses()  # type: ignore[attr-defined]  # the same
    assert sum(use.outcome is not None for use in uses) == 2


async def test_a_share_of_the_mistakes_is_corrected_the_same_in_every_arm(store: Store) -> None:
    tasks = task_set(tuple(f"{n} May" for n in range(1, 21)))
    cells = await evaluation(store, llm_call=ScriptedLLM(["wrong"]), tasks=tasks, arms=("memory", "random"), corrections=0.3).run()

    corrected = {arm: {cell.task_id for cell in of(cells, arm) if cell.is_corrected} for arm in ("memory", "random")}
    assert corrected["memory"] == corrected["random"]
    assert 1 <= len(corrected["memory"]) <= 14


async def test_a_second_run_runs_nothing_and_more_seeds_run_only_those(store: Store) -> None:
    asked = model()
    first = await evaluation(store, asked, arms=("none", "memory")).run()
    calls = len(asked.calls)
    again = await evaluation(store, asked, arms=("none", "memory")).run()

    assert again == first
    assert len(asked.calls) == calls
    await evaluation(store, asked, arms=("none", "memory"), seeds=2).run()
    assert len(asked.calls) == 2 * calls


async def test_an_eval_that_broke_off_between_a_run_and_its_score_goes_on_without_saying_anything_twice(store: Store) -> None:
    broken = True

    def right(run: Finished) -> bool:
        if broken and run.task_id == stop_at:
            raise RuntimeError("not now")
        return bool(run.answer == run.expected)

    tasks = task_set(scorer="my:right")
    stop_at = tasks.tasks[3].task_id
    asked = model()
    with pytest.raises(EvalStopped, match="not now"):
        await evaluation(store, asked, tasks, Marking({"my:right": right}), arms=("memory",)).run()
    broken = False
    cells = await evaluation(store, asked, tasks, Marking({"my:right": right}), arms=("memory",)).run()

    assert [cell.score for cell in of(cells, "memory")] == [0.0, *[1.0] * 5]
    assert len(asked.calls) == 6
    assert len({cell.trace_id for cell in cells}) == 6
    assert len(await store.memories.list()) == 1


async def test_a_crash_after_the_correction_and_before_the_cell_makes_no_second_correction(store: Store) -> None:
    asked = model()
    before = await evaluation(store, asked, arms=("memory",)).run()
    (first,) = [cell for cell in before if cell.is_corrected]
    (key,) = [entry.key for entry in await store.states.list("seasoned:eval-cell:", uid="me") if entry.value["trace_id"] == first.trace_id]
    await store.states.delete(key, uid="me")
    after = await evaluation(store, asked, arms=("memory",)).run()

    kinds = [step.step_type for step in await store.traces.read_steps(first.trace_id)]
    assert after == before
    assert len(asked.calls) == 6
    assert (kinds.count("feedback"), kinds.count("outcome")) == (1, 1)
    assert len(await store.memories.list()) == 1


async def test_runs_that_fail_one_after_the_other_stop_the_eval_and_are_tried_again(store: Store) -> None:
    is_down = True

    def answer(_: Any) -> Any:
        return ConnectionError("no network") if is_down else "ISO"

    with pytest.raises(EvalStopped, match="no network"):
        await evaluation(store, ScriptedLLM([answer]), arms=("none",)).run()
    is_down = False
    cells = await evaluation(store, ScriptedLLM([answer]), arms=("none",)).run()

    assert [cell.error for cell in cells] == [None] * 6


async def test_one_run_that_fails_is_wrong_and_the_rest_goes_on(store: Store) -> None:
    def answer(messages: Any) -> Any:
        return ValueError("odd") if "14 May" in str(messages) else "ISO"

    cells = await evaluation(store, ScriptedLLM([answer]), arms=("none",)).run()

    failed = [cell for cell in cells if cell.error]
    assert [(cell.task_id, cell.score, cell.status) for cell in failed] == [("14 May", 0.0, "failed")]
    assert "odd" in str(failed[0].error)


async def test_what_waits_for_a_person_is_cancelled_and_wrong(store: Store) -> None:
    tools = agent.ToolRegistry()

    @tools.tool(effect="read", requires_confirmation=True)
    def look() -> str:
        """Look."""
        return "seen"

    llm_call = ScriptedLLM([asks(tool_request("look")), says("ISO")])
    evaluated = Evaluation(task_set(DAYS[:2]), store, llm_call, "m", owner="me", options=EvalOptions(arms=("none",), tools=["look"]), tools=tools)
    cells = await evaluated.run()

    assert [(cell.status, cell.score) for cell in cells] == [("cancelled", 0.0)] * 2
    assert await agent.AgentRunner(store.traces, llm_call=llm_call).pending() == []


async def test_tools_that_change_things_are_refused_unless_allowed(store: Store) -> None:
    tools = agent.ToolRegistry()

    @tools.tool(effect="unsafe")
    def pay() -> str:
        """Pay."""
        return "paid"

    with pytest.raises(BadInput, match="pay.*change things"):
        Evaluation(task_set(), store, model(), "m", owner="me", options=EvalOptions(tools=["pay"]), tools=tools)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"arms": ("some",)}, "arms are none, memory"),
        ({"arms": ("none", "placebo")}, "add the arm memory"),
        ({"seeds": 0}, "seeds"),
        ({"corrections": 2}, "share"),
    ],
)
async def test_what_cannot_be_run_is_refused_before_anything_does(options: dict[str, Any], why: str, store: Store) -> None:
    with pytest.raises(BadInput, match=why):
        evaluation(store, **options)


async def test_an_eval_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    evaluated = evaluation(store, arms=("none",))
    await evaluated.run()
    cells = Cells(store.states, "me")

    assert (await cells.find("last")).eval_id == (await cells.find("dates-")).eval_id == evaluated.setting.eval_id
    with pytest.raises(EvalNotFound, match="no eval 'x': there are dates-"):
        await cells.find("x")
    with pytest.raises(EvalNotFound, match="seasoned eval run"):
        await Cells(store.states, "somebody else").find("last")


async def test_a_report_takes_words_of_tasks_and_models_for_text(store: Store) -> None:
    evil = "<script>alert(1)</script> | `x` [a](javascript:b)"
    tasks = task_set(name=evil, description=evil)
    marking = Marking({"my:f": lambda run: (run.status == "none", evil)})
    evaluated = evaluation(store, tasks=tasks, marking=marking, arms=("none", "memory"))
    cells = await evaluated.run()
    harmed = [replace(cell, score=float(cell.arm == "none"), why=evil, task_id=evil) for cell in cells[:1] + cells[6:7]]
    results = results_of(evaluated.setting, harmed)
    assert results.harmed

    page, words = to_html(results), to_markdown(results)
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    svg = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + len("</svg>")])
    assert [line.tag.rpartition("}")[2] for line in svg].count("polyline") == 2
    assert "<script" not in words
    assert "\\[a\\]" in words
    assert all(line.count(" | ") <= 8 for line in words.splitlines())
