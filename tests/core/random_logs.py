"""Logs of runs that never ran: what a driver could have written, with models and people who do anything."""

from collections.abc import Callable
from random import Random
from typing import Any

import agent.models.payloads as said
from agent.clock import now
from agent.core.compact import Window, folding_of
from agent.core.decide import Action, Attend, Begin, CallModel, Conclude, CutOff, MarkInDoubt, Open, ReachLimit, ReadMemory, Rest, Settle, Wait, decide
from agent.core.fold import advance, start
from agent.core.limits import Outside, calls_beyond
from agent.core.messages import Messages
from agent.core.state import CallState, RunState
from agent.models.payloads import PAYLOADS, Payload
from agent.models.trace import Step, step_id_of

EFFECTS = {"look": "read", "put": "idempotent", "pay": "unsafe"}
SLOTS = 3
IDS = ("a", "b", "call_1_0", "call_1_1", "call_2_0", "call_3_0", "call_3_1", "", None, 7, "x" * 300)
NAMES = ("look", "put", "pay", "nobody", "", "two words", "名", "n" * 90, None, 5)
ARGUMENTS = ("{}", '{"x": 1}', "", "{", "[1]", "null", '{"x": NaN}', ' {"x": 1}', '{"x": 1e999}', ' {"x": "\\ud800"}', None, {"x": [1, {"y": None}]}, 3, ["{}"])
FIELDS = (
    "call_id",
    "result",
    "response",
    "tool_calls",
    "task",
    "messages",
    "system",
    "block",
    "outcome",
    "verdict",
    "content",
    "is_resume",
    "continues",
    "limits",
    "limit",
    "x",
)


def any_json(rng: Random, depth: int = 0) -> Any:
    """Return some JSON value."""
    leaves: list[Any] = [None, True, False, 0, -1, 2**40, 0.5, float("nan"), "", "text", "文", "0.0", "call_1_0", "1.0"]
    kind = rng.randrange(10)
    if depth > 2 or kind < 6:
        return rng.choice(leaves)
    if kind < 8:
        return [any_json(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(("id", "function", "name", "arguments", "role", "tool_calls", "k")): any_json(rng, depth + 1) for _ in range(rng.randrange(4))}


def any_tool_calls(rng: Random) -> Any:
    """Return what a model may give as `tool_calls`: mostly lists of calls, with ids, names and arguments of all kinds."""
    if rng.random() < 0.15:
        return any_json(rng)
    return [_any_call(rng) for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 3, 5)))]


def _any_call(rng: Random) -> Any:
    if rng.random() < 0.1:
        return any_json(rng)
    function: dict[str, Any] = {"name": rng.choice(NAMES[:3] if rng.random() < 0.6 else NAMES), "arguments": rng.choice(ARGUMENTS)}
    call: dict[str, Any] = {"id": rng.choice(IDS), "type": "function", "function": function} if rng.random() < 0.8 else dict(function)
    for field in ("id", "type"):
        if rng.random() < 0.1:
            call.pop(field, None)
    return call


class RandomRun:
    """One run, made up step by step; `steps` are its log, `states` the state after each step, `asked` what the model would be asked at each call."""

    def __init__(self, rng: Random, inherited: Messages | None = None, trace_id: str = "t") -> None:
        self.rng, self.trace_id, self.epoch = rng, trace_id, 1
        self.state: RunState = start(inherited)
        self.steps: list[Step] = []
        self.states: list[RunState] = []
        self.is_over = False
        self._add(self._input())

    def _add(self, *payloads: Payload) -> None:
        for payload in payloads:
            self._add_raw(payload.step_type, payload.to_data())

    def _add_raw(self, step_type: str, data: dict[str, Any]) -> None:
        sequence = self.state.next_sequence
        step = Step(step_id_of(self.trace_id, sequence), self.trace_id, step_type, sequence, self.state.tip, data, now(), self.epoch)
        self.state = advance(self.state, step)
        self.steps.append(step)
        self.states.append(self.state)

    def _input(self) -> said.Input:
        rng = self.rng
        return said.Input(
            task=rng.choice(("the task", [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:,"}}])),
            messages=rng.choice(([], [{"role": "user", "content": "before"}, {"role": "assistant", "content": "yes"}])),
            system=rng.choice((None, "Be brief.")),
            tools=list(EFFECTS),
            model="m",
            max_iterations=rng.choice((0, 1, 3, 5, None)),
            limits=rng.choice(
                ({}, {}, {"max_tool_calls": 4, "max_cost": 2.0}, {"max_total_tokens": 20, "max_wall_s": 1}, {"max_cost": "x", "max_tool_calls": []})
            ),
            enable_memory=rng.random() < 0.5,
            memory_placement=rng.choice(("user", "system")),
            language=rng.choice(("en", "zh")),
        )

    def go_on(self, turns: int) -> "RandomRun":
        """Do up to so many more things; return itself."""
        for _ in range(turns):
            if self.is_over:
                break
            self._meet_the_world()
            time_is_up = Outside("max_wall_s", 1, ends_calls=True, is_final_over=self.rng.random() < 0.3)
            self._act(decide(self.state, self.epoch, EFFECTS, SLOTS, None, time_is_up if self.rng.random() < 0.05 else None))
        return self

    def _meet_the_world(self) -> None:
        """What comes from outside: pauses, cancels, words of people, kinds of step of later versions, crashes."""
        chance = self.rng.random()
        if chance < 0.03:
            self._add(said.Paused(by="p"))
        elif chance < 0.04:
            self._add(said.Cancelled(by="p"))
        elif chance < 0.07:
            self._add(said.Feedback(target_step_id=step_id_of(self.trace_id, 0), feedback_type="positive", content="good"))
        elif chance < 0.09:
            self._add_raw(self.rng.choice(("later_kind", "subrun", "tool_call")), {"call_id": [], "x": any_json(self.rng)})
        elif chance < 0.15:
            self.epoch += 1
        elif chance < 0.25:
            self._add(self._compaction())

    def _compaction(self) -> said.Compaction:
        """A folding as it would be planned, one of places that fit nothing, or an attempt that failed."""
        rng, through = self.rng, self.state.next_sequence - 1
        if rng.random() < 0.2:
            return said.Compaction(through=through, summary="", error="no", is_model_call=True, prompt_tokens=3)
        window = Window(tokens=rng.choice((1, 20, 100)), keep=rng.choice((0.0, 0.5)), keep_turns=rng.choice((0, 1, 2)))
        folding = folding_of(self.state, window)
        if folding is None or rng.random() < 0.3:
            some = [rng.randrange(-2, 12) for _ in range(4)]
            return said.Compaction(through=through, summary="torn", first=some[0], until=some[1], pinned=some[2:])
        return said.Compaction(
            through=through, summary="so far", first=folding.first, until=folding.until, pinned=list(folding.pinned), scale=rng.choice((0.5, 1.0, 3.0))
        )

    def _act(self, action: Action) -> None:
        match action:
            case CallModel(is_final, limit):
                self._call_model(limit if is_final else None)
            case ReadMemory():
                self._add(self.rng.choice((said.MemoryRead(skills_count=1, block="known: x"), said.MemoryRead(error="gone"))))
            case Conclude():
                self._add(said.Conclusion(reply=self.state.turn_sequence))
            case ReachLimit(limit, value):
                self._add(said.LimitReached(limit=limit, value=value))
            case Rest(status):
                self._go_on_after(status)
            case _:
                self._act_on_calls(action)

    def _act_on_calls(self, action: Action) -> None:
        rng = self.rng
        match action:
            case Open(calls):
                beyond = calls_beyond(self.state, calls)
                self._add(*[self._kept_back(call, "max_tool_calls") for call in beyond])
                calls = tuple(call for call in calls if call not in beyond)
                self._add(*[self._opened(call) for call in rng.sample(calls, rng.randint(min(1, len(calls)), len(calls)))])
            case CutOff(calls, limit):
                self._add(*[self._kept_back(call, limit) for call in calls])
            case Begin(calls):
                self._add(*[said.ToolStarted(call_id=c.call.call_id, attempt=c.attempt + 1) for c in calls])
            case Attend(calls):
                self._add(*[self._ended(call) for call in rng.sample(calls, rng.randint(1, len(calls)))])
            case MarkInDoubt(calls):
                self._add(*[said.InDoubtStep(call_id=c.call.call_id, cause="crash") for c in calls])
            case Settle(calls):
                self._add(*[self._settled(call, "settled") for call in calls])
            case Wait(call_ids):
                self._decide_on(rng.choice(call_ids))
            case _:
                raise AssertionError(action)

    def _kept_back(self, call: CallState, limit: str) -> said.ToolCall:
        return said.ToolCall(call_id=call.call.call_id, tool_name=call.call.name, result="a limit", is_executed=False, limit=limit)

    def _call_model(self, limit: str | None) -> None:
        rng = self.rng
        if rng.random() < 0.05:
            self._add(said.Failure(error="no", action="CallModel"))
            return
        calls = any_tool_calls(rng) if rng.random() < 0.8 else None
        text = rng.choice(("", "I see.", "文"))
        self._add(
            said.LlmCall(
                response=text,
                tool_calls=calls or None,
                prompt_tokens=3,
                completion_tokens=1,
                cost=rng.choice((None, 0.5)),
                is_final_call=limit is not None,
                limit=limit,
            )
        )

    def _opened(self, call: CallState) -> Payload:
        call_id, name = call.call.call_id, call.call.name
        makes: list[Callable[[], Payload]] = [
            lambda: said.ToolStarted(call_id=call_id, attempt=1),
            lambda: said.ToolStarted(call_id=call_id, attempt=1),
            lambda: said.ApprovalRequested(call_id=call_id, tool_name=name),
            lambda: self._settled(call, "refused"),
        ]
        return self.rng.choice(makes)()

    def _ended(self, call: CallState) -> Payload:
        if self.rng.random() < 0.1:
            return said.InDoubtStep(call_id=call.call.call_id, cause="timeout")
        return self._settled(call, self.rng.choice(("ok", "", None, {"a": 1}, 5)))

    def _settled(self, call: CallState, result: Any) -> said.ToolCall:
        result_id = "ab" if self.rng.random() < 0.1 else None
        return said.ToolCall(call_id=call.call.call_id, tool_name=call.call.name, result=result, result_id=result_id)

    def _decide_on(self, call_id: str) -> None:
        call = self.state.call(call_id)
        assert call is not None
        if call.is_in_doubt:
            self._add(said.InDoubtResolved(call_id=call_id, outcome=self.rng.choice(("done", "not_done", "retry")), result="r"))
            return
        verdict = self.rng.choice(("approve", "edit", "reject", "respond", "expired"))
        self._add(said.ApprovalDecided(call_id=call_id, verdict=verdict, arguments={"x": 2} if verdict == "edit" else None))

    def _go_on_after(self, status: str) -> None:
        if status in ("paused", "failed"):
            self.epoch += 1
        elif status == "limit_reached" and self.rng.random() < 0.7:
            self.epoch += 1
            more = self.state.iterations + 2
            raised = {"max_iterations": more, "max_tool_calls": self.state.used.tool_calls + 2, "max_total_tokens": 10**6, "max_cost": 1e6}
            self._add(said.Input(max_iterations=more, limits=raised, is_resume=True))
        else:
            self.is_over = True


def any_steps(rng: Random, count: int, trace_id: str = "t", *, with_messages: bool = True) -> list[Step]:
    """Return steps of all kinds in any order, with data that fits their kind, nearly fits, or does not fit at all.

    Without `with_messages` the log begins with an input, and no task or message that is none is among them.
    """
    run = RandomRun(rng, trace_id=trace_id).go_on(count)
    pool = run.steps[1:]
    steps: list[Step] = [] if with_messages else [run.steps[0]]
    for sequence in range(len(steps), count):
        if pool and rng.random() < 0.6:
            taken = rng.choice(pool)
            step_type, data = taken.step_type, taken.data
        else:
            step_type = rng.choice((*PAYLOADS, "later_kind"))
            data = {rng.choice(FIELDS): any_json(rng) for _ in range(rng.randrange(5))}
        if not with_messages:
            data = {k: v for k, v in data.items() if k not in ("messages", "task", "system")}
        steps.append(Step(step_id_of(trace_id, sequence), trace_id, step_type, sequence + rng.choice((0, 0, 0, 5)), (), data, now(), rng.randrange(3)))
    return steps
