"""Runs that grow beyond what their model takes: the oldest turns are folded, on the record."""

from typing import Any

import pytest
from tests.runner.readers import WINDOW, Worker, config, reading_tools

from agent.core.wording import wording
from agent.errors import ContextTooLong, ModelRejected
from agent.events import AgentEvent
from agent.models.digest import fingerprint
from agent.models.trace import Step
from agent.storage.protocols import Store
from agent.testing.listening import collect, types_of
from agent.testing.scripted import asks, says, tool_request
from agent.tools.registry import ToolRegistry


@pytest.fixture
def tools() -> ToolRegistry:
    return reading_tools()


async def steps_of(store: Store, events: list[AgentEvent]) -> list[Step]:
    return await store.traces.get_trace_steps(events[0].data["trace_id"])


@pytest.mark.parametrize("counted", [False, True])
async def test_a_run_longer_than_its_models_window_goes_on_to_its_end(make: Any, store: Store, counted: bool) -> None:
    worker = Worker(30, counted=counted, most=WINDOW)
    events = await collect(make(llm=worker, config=config()).run("read all", system_prompt="Be brief.", tools=["read"]))
    steps = await steps_of(store, events)
    folds = [step for step in steps if step.step_type == "compaction"]

    assert events[-1].type == "trace_completed"
    assert len(folds) >= 3
    assert len(worker.summed) == len(folds)
    for messages in worker.seen:
        assert messages[0] == {"role": "system", "content": "Be brief."}
        assert messages[1] == {"role": "user", "content": "read all"}
    assert "the first looks found nothing" in worker.seen[-1][2]["content"]
    assert [step.data["messages"] for step in steps if step.step_type == "llm_call"] == worker.seen
    assert len([step for step in steps if step.step_type == "tool_call"]) == 30  # the full log stays
    assert (await store.traces.verify(events[0].data["trace_id"])).entries == len(steps)


async def test_a_reader_is_told_of_it_and_the_summary_is_counted_once(make: Any, store: Store) -> None:
    worker = Worker(12)
    events = await collect(make(llm=worker, config=config()).run("read all", tools=["read"]))
    told = [event.data for event in events if event.type == "compacted"]
    trace = await store.traces.get_trace(events[0].data["trace_id"])

    assert told
    assert all(one["error"] is None and one["tokens_after"] < one["tokens_before"] and one["messages_folded"] > 1 for one in told)
    assert [event.data["step_type"] for event in events if event.type == "step_started"].count("compaction") == len(told)
    assert events[-1].data["total_tokens"] == 13 * 3 + len(told) * 107
    assert events[-1].data["total_cost"] == pytest.approx(13 * 0.1 + len(told) * 0.5)
    assert trace is not None
    assert trace.total_cost == pytest.approx(events[-1].data["total_cost"])


async def test_a_run_that_is_resumed_sees_the_folded_history(make: Any, store: Store) -> None:
    worker = Worker(30)
    whole = await collect(make(llm=worker, config=config()).run("read all", tools=["read"]))
    steps = await store.traces.read_steps(whole[0].data["trace_id"])
    cut = next(step.sequence for step in steps if step.step_type == "compaction") + 1

    class Once(Worker):
        async def __call__(self, messages: Any, model: str, tools: Any = None, **settings: Any) -> dict[str, Any]:
            """Fail after the first folding."""
            if self.summed and len(self.seen) == stop:
                raise RuntimeError("gone")
            return await super().__call__(messages, model, tools, **settings)

    stop = [step.step_type for step in steps[:cut]].count("llm_call")
    events: list[AgentEvent] = []
    with pytest.raises(RuntimeError, match="gone"):
        await collect(make(llm=Once(30), config=config()).run("read all", tools=["read"]), into=events)
    later = Worker(30)
    later.seen = [None] * stop
    rest = await collect(make(llm=later, config=config()).resume(events[0].data["trace_id"]))

    assert rest[-1].type == "trace_completed"
    assert later.seen[stop] == worker.seen[stop]  # the prompt after the fold is the same as in the run that was not cut off
    assert len(later.seen) == len(worker.seen)


async def test_fingerprints_of_prompts_begin_anew_with_the_folded_history(make: Any, store: Store) -> None:
    worker = Worker(12)
    events = await collect(make(llm=worker, config=config()).run("read all", tools=["read"]))
    hashes = []
    before, count = b"", 0
    for step in await steps_of(store, events):
        if step.step_type == "compaction":
            before, count = b"", 0
        if step.step_type == "llm_call":
            messages = step.data["messages"]
            before, count = fingerprint(before, *messages[count:]), len(messages)
            hashes.append((step.data["prompt_hash"], before))

    assert len(hashes) == 13
    assert all(recorded == computed for recorded, computed in hashes)


async def test_a_conversation_goes_on_from_the_folded_history(make: Any) -> None:
    worker = Worker(12)
    runner = make(llm=worker, config=config())
    await collect(runner.run("read all", tools=["read"], conversation_id="talk"))
    folds, count = len(worker.summed), len(worker.seen)
    await collect(make(llm=worker, config=config()).run("and now?", conversation_id="talk"))  # another runner, which reads it all anew

    assert folds > 0
    assert worker.seen[count][: len(worker.seen[count - 1])] == worker.seen[count - 1]
    assert worker.seen[count][-1] == {"role": "user", "content": "and now?"}


async def test_a_later_task_of_a_conversation_stays_and_the_earlier_ones_are_summed_up(make: Any) -> None:
    worker = Worker(4)
    runner = make(llm=worker, config=config(context_window=100_000))
    await collect(runner.run("the first task", tools=["read"], conversation_id="talk"))
    worker.turns, worker.seen = 14, worker.seen[:4]
    await collect(make(llm=worker, config=config()).run("the second task", tools=["read"], conversation_id="talk"))

    assert worker.summed
    texts = [message["content"] for message in worker.seen[-1]]
    assert "the second task" in texts
    assert "the first task" not in texts
    assert "the first task" in worker.summed[0][0][1]["content"]


async def test_a_folded_run_replays_and_forks_from_what_the_model_saw(make: Any, store: Store) -> None:
    worker = Worker(12)
    runner = make(llm=worker, config=config())
    events = await collect(runner.run("read all", system_prompt="Be brief.", tools=["read"]))
    trace_id = events[0].data["trace_id"]
    steps = await store.traces.get_trace_steps(trace_id)
    fold = next(step.sequence for step in steps if step.step_type == "compaction")
    asked = [step for step in steps[: fold + 1] if step.step_type == "llm_call"]

    assert (await runner.replay(trace_id)).identical
    for at in (fold - 1, fold, fold + 1):
        again = Worker(12)
        again.seen = [None] * len([step for step in steps[: at + 1] if step.step_type == "llm_call"])
        count = len(again.seen)
        forker = make(llm=again, config=config())
        fork_id = await forker.fork(trace_id, at)
        await collect(forker.resume(fork_id))
        assert again.seen[count] == worker.seen[count]  # at fold - 1 the fork folds anew, the same way
        assert (await forker.replay(fork_id)).identical
    changed = make(llm=Worker(0), config=config())
    fork_id = await changed.fork(trace_id, fold, task="read some", system_prompt="Be long.")
    await collect(changed.resume(fork_id))
    shown = next(step.data["messages"] for step in reversed(await store.traces.get_trace_steps(fork_id)) if step.step_type == "llm_call")
    assert [message["content"] for message in shown[:2]] == ["Be long.", "read some"]
    assert "the first looks found nothing" in shown[2]["content"]
    assert len(asked) > 1


async def test_settings_that_would_spoil_a_summary_are_left_out_of_its_call(make: Any) -> None:
    worker = Worker(12)
    await collect(make(llm=worker, config=config()).run("go", tools=["read"], temperature=0.2, response_format={"type": "json_object"}, stop=["x"]))
    messages, offered, settings = worker.summed[0]

    assert offered is None
    assert settings == {"temperature": 0.2}
    assert "page 1: words" in messages[1]["content"]


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_the_summary_is_asked_for_in_the_language_of_the_run(make: Any, language: str) -> None:
    worker = Worker(12)
    await collect(make(llm=worker, config=config(language=language)).run("go", tools=["read"]))

    assert worker.summed[0][0][0]["content"] == wording("compact_system", language)


@pytest.mark.parametrize("summary", [RuntimeError("overloaded"), "", "far too long " * 5_000])
async def test_a_summary_that_fails_is_told_and_not_tried_at_every_step(make: Any, summary: Any) -> None:
    worker = Worker(20, summary=summary)
    events = await collect(make(llm=worker, config=config(compact_retry_after=4)).run("read all", tools=["read"]))
    told = [event.data for event in events if event.type == "compacted"]

    assert events[-1].type == "trace_completed"
    if summary == "far too long " * 5_000:  # it is cut to its share instead
        assert all(one["error"] is None for one in told)
    else:
        assert 2 <= len(told) <= 6
        assert all(one["error"] and one["messages_folded"] == 0 for one in told)
        assert len(worker.seen[-1]) == 1 + 2 * 20


async def test_secrets_leave_a_summary_and_the_words_of_a_failure(make: Any, store: Store) -> None:
    for summary in ("the key is sesame-open-42", RuntimeError("refused sesame-open-42")):
        worker = Worker(12, summary=summary)
        events = await collect(make(llm=worker, config=config(secrets={"door": "sesame-open-42"})).run("go", tools=["read"]))
        folds = [step.data for step in await steps_of(store, events) if step.step_type == "compaction"]

        assert folds
        assert "sesame-open-42" not in str(folds)
        assert "[secret:door]" in str(folds)


async def test_without_a_known_window_nothing_is_folded(make: Any) -> None:
    worker = Worker(20)
    events = await collect(make(llm=worker, config={"max_iterations": 100}).run("read all", tools=["read"]))

    assert "compacted" not in types_of(events)
    assert len(worker.seen[-1]) == 1 + 2 * 20


async def test_a_model_that_knows_its_window_is_asked_once(make: Any) -> None:
    asked: list[str] = []

    class Knowing(Worker):
        async def context_window(self, model: str = "") -> int | None:
            """Return what is known."""
            asked.append(model)
            return 8_000

    worker = Knowing(40, counted=True, most=8_000)
    events = await collect(make(llm=worker, config={"max_iterations": 100}).run("read all", tools=["read"], model="m"))

    assert events[-1].type == "trace_completed"
    assert worker.summed
    assert asked == ["m"]


async def test_windows_are_named_by_model_and_compaction_can_be_off(make: Any) -> None:
    for more, is_folded in (({"context_window": {"m": WINDOW}}, True), ({"context_window": {"other": WINDOW}}, False), ({"compaction": "off"}, False)):
        worker = Worker(12)
        await collect(make(llm=worker, config=config(**more)).run("read all", tools=["read"], model="m"))

        assert bool(worker.summed) is is_folded


async def test_a_prompt_that_the_provider_refuses_as_too_long_is_folded_and_asked_again(make: Any) -> None:
    worker = Worker(20, most=WINDOW)
    events = await collect(make(llm=worker, config={"max_iterations": 100}).run("read all", tools=["read"]))

    assert events[-1].type == "trace_completed"
    assert worker.summed
    assert types_of(events).count("llm_call_completed") == 21


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 128 tokens",
        "prompt is too long: 9 tokens > 8 maximum",
        "Your input exceeds the context window",
        "输入长度超过限制",
    ],
)
async def test_a_plain_function_says_too_long_in_its_own_words(make: Any, words: str) -> None:
    class Plain(Worker):
        async def __call__(self, messages: Any, model: str, tools: Any = None, **settings: Any) -> dict[str, Any]:
            """Raise what a client raises."""
            try:
                return await super().__call__(messages, model, tools, **settings)
            except ContextTooLong:
                raise ValueError(words) from None

    events = await collect(make(llm=Plain(12, most=WINDOW), config={"max_iterations": 100}).run("read all", tools=["read"]))

    assert events[-1].type == "trace_completed"


async def test_after_one_folding_the_refusal_is_the_error(make: Any) -> None:
    class Stubborn(Worker):
        async def __call__(self, messages: Any, model: str, tools: Any = None, **settings: Any) -> dict[str, Any]:
            """Refuse from the eighth prompt on, however short it is."""
            self.most = 0 if len(self.seen) == 8 else None
            return await super().__call__(messages, model, tools, **settings)

    worker, events = Stubborn(20), list[AgentEvent]()
    with pytest.raises(ContextTooLong):
        await collect(make(llm=worker, config={"max_iterations": 100}).run("read all", tools=["read"]), into=events)

    assert len(worker.summed) == 1
    assert types_of(events)[-2:] == ["compacted", "trace_failed"]


async def test_what_cannot_be_shortened_fails_with_the_refusal(make: Any) -> None:
    events: list[AgentEvent] = []
    with pytest.raises(ContextTooLong):
        await collect(make(llm=Worker(1, most=10)).run("a task " * 100), into=events)
    with pytest.raises(ModelRejected):
        await collect(make(llm=Worker(20, most=WINDOW, summary=RuntimeError("down")), config={"max_iterations": 100}).run("go", tools=["read"]), into=events)

    assert [event.data["error"] for event in events if event.type == "compacted"] == ["RuntimeError: down"]


async def test_a_run_stays_tainted_when_its_untrusted_words_are_summed_up(make: Any, tools: ToolRegistry) -> None:
    tools.register(tools.get("read").function, name="fetch", effect="read", untrusted=True)

    @tools.tool(effect="unsafe")
    async def send() -> str:
        "Send."
        return "sent"

    class Sender(Worker):
        async def __call__(self, messages: Any, model: str, tools: Any = None, **settings: Any) -> dict[str, Any]:
            """Fetch first, and send last."""
            reply = await super().__call__(messages, model, tools, **settings)
            if messages in self.seen[:1]:
                return asks(tool_request("fetch", {"page": 1}, call_id="f"))
            return asks(tool_request("send", {}, call_id="s")) if reply["content"] == "done" else reply

    worker = Sender(12)
    events = await collect(make(llm=worker, config=config(taint="ask")).run("read all", tools=["read", "fetch", "send"]))

    assert worker.summed
    assert not any(message.get("name") == "fetch" for message in worker.seen[-1])
    assert events[-1].type == "trace_waiting"
    assert events[-2].data["reasons"] == ["taint"]


async def test_the_form_of_the_answer_stays_when_older_turns_are_summed_up(make: Any) -> None:
    class Formed(Worker):
        async def __call__(self, messages: Any, model: str, tools: Any = None, **settings: Any) -> dict[str, Any]:
            """Answer in JSON."""
            reply = await super().__call__(messages, model, tools, **settings)
            return says('{"pages": 12}') if reply["content"] == "done" else reply

    schema = {"type": "object", "properties": {"pages": {"type": "integer"}}, "required": ["pages"]}
    worker = Formed(12)
    events = await collect(make(llm=worker, config=config()).run("read all", tools=["read"], output_type=schema))

    assert worker.summed
    assert '"pages"' in str(worker.seen[-1][0]["content"])
    assert worker.seen[-1][1]["content"] == "read all"
    assert next(event.data["output"] for event in events if event.type == "conclusion") == {"pages": 12}
