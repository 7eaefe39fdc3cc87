"""A recorded run as a tree, built from its steps."""

from collections.abc import Iterator
from typing import Any

from rich.text import Text

import agent.models.payloads as said
from agent.cli.board import Call
from agent.cli.comparing import change_line
from agent.cli.drawing import REASONS, Signs, call_line, facts
from agent.cli.listing import status_text, when_text
from agent.cli.outlet import console, say_json
from agent.cli.place import Place, find_trace, opened, place_options
from agent.cli.visible import call_text, cost_text, count_text, one_line, result_text, tokens_text, took_text
from agent.core.fork_changes import Changes, Inherited
from agent.models.payloads import Payload, payload_of
from agent.models.trace import Step, Trace, root_id_of
from agent.runner import DEFAULT_MODEL
from agent.storage.protocols import TraceLog

PAGE = 500  # steps read at once
UNDER_A_CALL = frozenset({"tool_started", "tool_call", "approval_requested", "approval_decided", "in_doubt", "in_doubt_resolved", "subrun"})


async def show_run(place: Place, wanted: str, *, is_json: bool) -> None:
    """Print a run: what it is, its steps as a tree, its end."""
    async with opened(place) as store:
        trace = await find_trace(store.traces, wanted, place.uid)
        if is_json:
            say_json({"trace": trace.to_dict()})
            async for page in _pages(store.traces, trace, place.uid):
                for step in page:
                    say_json({"step": step.to_dict()})
            return
        out = console(is_stderr=False)
        model = await _model_of(store.traces, trace, place.uid)
        head = await store.traces.head(trace.trace_id)
        for line in head_lines(trace, model, is_dead=not head.owner_is_alive):
            out.print(line, soft_wrap=True)
        outline = Outline(Signs(has_unicode="utf" in (out.encoding or "").lower()), model, Inherited() if trace.fork_at is not None else None)
        async for page in _pages(store.traces, trace, place.uid):
            for step in page:
                for line in outline.lines(step):
                    out.print(line, soft_wrap=True)
        used = outline.used(trace)
        for line in (
            *outline.unfinished(),
            Text(used, style="dim"),
            *tail_lines(trace, owner_is_alive=head.owner_is_alive, options=place_options(place) or ""),
        ):
            out.print(line, soft_wrap=True)


async def _pages(log: TraceLog, trace: Trace, uid: str) -> Any:
    after = -1
    while page := await log.get_steps(trace.trace_id, after=after, limit=PAGE, uid=uid):
        yield page
        after = page[-1].sequence


async def _model_of(log: TraceLog, trace: Trace, uid: str) -> str:
    """Return the model that a run was begun with; where none was named, the one that answered first."""
    asked = str(trace.context.get("model", ""))
    if asked != DEFAULT_MODEL:
        return asked
    for step in await log.get_steps(trace.trace_id, limit=PAGE, uid=uid):
        payload = payload_of(step)
        if isinstance(payload, said.LlmCall):
            return payload.model or asked
    return asked


def head_lines(trace: Trace, model: str, *, is_dead: bool) -> Iterator[Text]:
    """Yield what a run is; `model` is what it was begun with."""
    yield Text().append("run ", style="dim").append(trace.trace_id, style="bold").append("  ").append_text(status_text(trace, is_dead=is_dead))
    took = f", took {took_text((trace.completed_at - trace.created_at).total_seconds())}" if trace.completed_at is not None else ""
    agent_type = f"{one_line(trace.agent_type, 40)}, " if trace.agent_type else ""
    yield Text(f"{agent_type}{one_line(model, 80)}, begun {when_text(trace.created_at)}{took}", style="dim")


def tail_lines(trace: Trace, *, owner_is_alive: bool, options: str) -> Iterator[Text]:
    """Yield how to go on; `options` find the store again."""
    if trace.status == "running" and owner_is_alive:
        yield Text(f"it is running: seasoned runs tail {trace.trace_id}{options}", style="dim")
    elif trace.status in ("running", "paused", "failed"):
        yield Text(f"go on with: seasoned resume {root_id_of(trace.trace_id)}{options}", style="dim")
    elif trace.status == "waiting" and not trace.waiting_calls:
        yield Text(f"all is decided, go on with: seasoned resume {root_id_of(trace.trace_id)}{options}", style="dim")
    elif trace.status == "waiting":
        yield Text(f"what waits: seasoned approvals show {root_id_of(trace.trace_id)}{options}", style="dim")
    yield Text(f"a step in full: seasoned step show {trace.trace_id}/SEQ{options}", style="dim")


class Outline:
    """Turns the steps of one run into lines; `model` is what the run was begun with. Of a fork `inherited` tells what was changed."""

    def __init__(self, signs: Signs, model: str, inherited: Inherited | None = None) -> None:
        self.signs, self.model = signs, model
        self._inherited = inherited
        self.tokens, self.cost, self.cost_is_partial = 0, 0.0, False
        self._begun: dict[str, int] = {}  # calls without a result, and the step that announced each

    def lines(self, step: Step) -> Iterator[Text]:
        """Yield the lines of one step."""
        changes = self._inherited.changes(step) if self._inherited is not None else {}
        number = Text().append(f"{step.sequence:>4} ", style="dim")
        if step.data.get("erased") is True:
            yield number.append(f"{step.step_type.replace('_', ' ')} (erased)", style="dim")
            return
        yield from self._told(step, number, changes)
        yield from (change_line(name, *values) for name, values in changes.items())

    def used(self, trace: Trace) -> str:
        """Return what a run used: with what the runs below it did, and what erased steps said; its steps say more only while it runs."""
        if self.tokens > trace.total_tokens:
            return f"{tokens_text(self.tokens)} in all · {cost_text(self.cost, is_partial=self.cost_is_partial)}"
        return f"{tokens_text(trace.total_tokens)} in all · {cost_text(trace.total_cost, is_partial=trace.cost_is_partial)}"

    def _told(self, step: Step, number: Text, changes: Changes) -> Iterator[Text]:
        payload = payload_of(step)
        match payload:
            case said.Compaction():
                if payload.is_model_call:
                    self._count(payload)
                yield number.append(_folded_words(payload))
            case said.LlmCall():
                self._count(payload)
                yield number.append_text(self._model_call(payload))
                if payload.response and payload.tool_calls:
                    yield Text("       " + one_line(payload.response, 100), style="dim")
            case said.ToolCall():
                self._begun.pop(payload.call_id, None)
                call = Call(call_text(payload.tool_name, payload.arguments), took_s=payload.took_s, result=payload.result, is_ok=payload.is_ok)
                yield number.append_text(call_line(call, self.signs, is_last=False))
            case said.ToolStarted():
                yield from self._started(payload, number, step.sequence)
            case said.Subrun():
                stands = f"is {one_line(payload.status, 20)}" if payload.status else "carries it out"
                yield number.append(f"   {self.signs.branch}run {one_line(payload.trace_id, 200)} {stands}")
            case said.Input() if payload.is_resume:
                yield number.append("resumed with other limits: " + one_line(payload.limits))
            case said.Input():
                yield number.append("task: " + one_line(payload.task, 200))
            case _:
                words = self._forked(payload, changes) if isinstance(payload, said.Forked) else words_of(step, payload)
                yield number.append("   " + self.signs.branch if step.step_type in UNDER_A_CALL else "").append(words)

    def _started(self, payload: said.ToolStarted, number: Text, sequence: int) -> Iterator[Text]:
        """Tell only what a person should know of a call that is begun; the rest is told with its result, or at the end."""
        self._begun[payload.call_id] = sequence
        if payload.detail:
            yield number.append(f"   {self.signs.branch}call {payload.call_id} was begun {one_line(payload.detail, 300)}", style="yellow")

    def _forked(self, payload: said.Forked, changes: Changes) -> str:
        """Begin to count anew: what was used, and what was begun, is the other run's."""
        self.tokens, self.cost, self.cost_is_partial = 0, 0.0, False
        self._begun.clear()
        return f"forked from run {one_line(payload.trace_id, 200)} after step {payload.at}{', with changes:' if changes else ''}"

    def unfinished(self) -> Iterator[Text]:
        """Yield the lines of calls that were begun and have no result."""
        for call_id, sequence in self._begun.items():
            yield Text().append(f"{sequence:>4} ", style="dim").append(f"   {self.signs.branch}call {call_id} was begun, and has no result", style="yellow")

    def _count(self, payload: said.LlmCall | said.Compaction) -> None:
        self.tokens += (payload.prompt_tokens or 0) + (payload.completion_tokens or 0)
        self.cost += payload.cost or 0.0
        self.cost_is_partial = self.cost_is_partial or payload.cost is None or (isinstance(payload, said.LlmCall) and payload.cost_is_partial)

    def _model_call(self, payload: said.LlmCall) -> Text:
        calls = len(payload.tool_calls) if isinstance(payload.tool_calls, list) else 0
        asked = f" asks for {calls} tool call{'' if calls == 1 else 's'}" if calls else " answers"
        used = (payload.prompt_tokens or 0) + (payload.completion_tokens or 0)
        model = f"model ({one_line(payload.model, 60)})" if payload.model and payload.model != self.model else "model"
        line = Text().append(f"{self.signs.model} ", style="cyan").append(model, style="bold").append(asked)
        return line.append_text(facts(self.signs, took_text(payload.took_s), tokens_text(used), cost_text(payload.cost)))


def _folded_words(payload: said.Compaction) -> str:
    if payload.error is not None:
        return f"the history was not made shorter: {one_line(payload.error, 300)}"
    count = payload.until - payload.first - len(payload.pinned)
    return f"{count} older messages summed up (about {payload.tokens_before:,} → {payload.tokens_after:,} tokens): {one_line(payload.summary, 200)}"


_VERDICTS = {"approve": "approved", "edit": "approved with changes", "reject": "rejected", "respond": "answered in the tool's place"}


def _people(payload: said.ApprovalRequested | said.ApprovalDecided | said.InDoubtStep | said.InDoubtResolved) -> str:
    """Return in words what a person was asked, or said."""
    match payload:
        case said.ApprovalRequested():
            return f"{payload.tool_name} {REASONS.get(payload.reason, payload.reason)}"
        case said.InDoubtStep():
            return f"{payload.tool_name}: {REASONS['in_doubt']} ({payload.cause})"
        case said.ApprovalDecided():
            verdict = _VERDICTS.get(payload.verdict, one_line(payload.verdict, 20))
            told = payload.reason or payload.text or (payload.arguments if payload.verdict == "edit" else None)
        case said.InDoubtResolved():
            verdict, told = f"resolved as {one_line(payload.outcome, 20).replace('_', ' ')}", payload.result
    by = f" by {one_line(payload.by, 60)}" if payload.by else ""
    return f"{verdict}{by}" + (f": {one_line(told, 200)}" if told is not None else "")


def words_of(step: Step, payload: Payload) -> str:
    """Return a step that is neither a model nor a tool call in words."""
    match payload:
        case said.MemoryRead():
            told = f"; advice {payload.arm}: {one_line(str(payload.advice.get('text')))}" if payload.advice else ""
            error = f"; {one_line(payload.error)}" if payload.error else ""
            return f"memory read: {count_text(payload.experiences_count, 'experience')}, {count_text(payload.skills_count, 'skill')}{told}{error}"
        case said.Conclusion():
            return ("answer: " if payload.is_final else "what it had: ") + one_line(payload.content or "", 200)
        case said.Failure():
            return f"failed: {one_line(payload.error, 300)}"
        case said.LimitReached():
            return f"limit reached: {payload.limit} = {payload.value}"
        case said.Paused() | said.Cancelled():
            return f"{step.step_type} by {one_line(payload.by or 'somebody', 60)}"
        case said.Feedback():
            kind = "feedback taken back" if payload.is_revoked else f"{payload.feedback_type} feedback"
            return f"{kind} on {payload.target_step_id}: {one_line(payload.content or payload.corrected or '')}"
        case said.OutcomeGiven():
            return f"it went {payload.value:g}, says {one_line(payload.by or 'somebody', 60)}"
        case said.MemoryWrite():
            return f"learnt {payload.experience_id}: {one_line(payload.rule)}"
        case said.ApprovalRequested() | said.ApprovalDecided() | said.InDoubtStep() | said.InDoubtResolved():
            return _people(payload)
        case _:
            return f"{step.step_type}: {result_text(step.data)}"
