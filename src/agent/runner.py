"""The facade: one object to run agents with, watch them, stop them and teach them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

import agent.models.payloads as said
from agent.config import ANONYMOUS, AgentConfig, CallResult
from agent.core.fold import RULE
from agent.core.replay import Replay
from agent.core.state import PROBE
from agent.engine.approval_rules import ApprovalRules
from agent.engine.approvals import decide_call, pending, resolve_call
from agent.engine.beginning import Request, tenant
from agent.engine.calling import call_once
from agent.engine.engine import Engine
from agent.engine.forking import fork
from agent.engine.limits import checked_limits
from agent.engine.log import as_run_log
from agent.engine.opinions import Feedbacks
from agent.engine.replaying import replay_run
from agent.engine.shop import Shop
from agent.engine.stopping import cancel, pause
from agent.engine.subruns import Subruns
from agent.errors import BadInput
from agent.events import AgentEvent
from agent.llm.contract import LLMCall
from agent.memory.memory import Memory
from agent.memory.wishes import check_withholding, checked_wishes
from agent.models.approval import Approval
from agent.storage.protocols import MemoryStore, StateStore, TraceStore
from agent.storage.unicode import is_unicode
from agent.tools.output import OutputChecker, checker_of
from agent.tools.registry import ToolRegistry, get_tool_registry

__all__ = ["ANONYMOUS", "AgentConfig", "AgentRunner", "CallResult"]
DEFAULT_MODEL = "gpt-4o"  # the seed's
MAX_NAME_CHARS = 500  # of who did something


class AgentRunner:
    """Runs agents. `call()` is one model call; `run()` a loop with tools, memory and a record.

    The engine owns the runs: a reader of `run()` that goes away neither stops nor breaks its run. Close with `aclose()` or
    use `async with`; runs that are still going are then let go and can be resumed.
    """

    def __init__(
        self,
        trace_store: TraceStore | None = None,
        memory_store: MemoryStore | None = None,
        state_store: StateStore | None = None,
        tool_registry: ToolRegistry | None = None,
        llm_call: LLMCall | None = None,
        config: AgentConfig | None = None,
    ) -> None:
        self.trace_store = trace_store
        self.memory_store = memory_store
        self.state_store = state_store
        self.tools = tool_registry if tool_registry is not None else get_tool_registry()
        self.llm_call = llm_call
        self.config = config if config is not None else AgentConfig()
        self.memory = Memory(memory_store, trace_store, self.config, lambda: self.llm_call) if memory_store is not None else None
        self._shop = Shop(as_run_log(trace_store), llm_call, self.tools, memory_store, state_store, self.config, self.memory, self.memory)
        self._engine = Engine(self._shop, trace_store)
        self._engine.delegate = Subruns(self._engine)
        self.approval_rules = ApprovalRules(trace_store, state_store)
        self.feedback = Feedbacks(trace_store, self._shop)

    def _model(self) -> LLMCall:
        if self.llm_call is None:
            raise BadInput(
                "no llm_call was given to AgentRunner: pass llm_call=agent.open_model('provider:model'), or any async (messages, model, tools, **kw) -> dict"
            )
        self._shop.llm_call = self.llm_call
        return self.llm_call

    def _bounds(self, limits: Mapping[str, Any] | None, output_type: Any) -> tuple[dict[str, Any], OutputChecker | None]:
        """Return the limits of a run, and what checks its answer."""
        self._model()
        bounds = {**checked_limits(self.config.limits), **checked_limits(limits)}
        if output_type is None:
            return bounds, None
        return {"max_output_repairs": self.config.max_output_repairs, **bounds}, checker_of(output_type)

    async def _asked_of_memory(self, enable_memory: bool | None, memory: Any, uid: str | None) -> dict[str, Any]:
        """Return whether a run reads memory, and what it asks of it."""
        is_on = bool(self.config.enable_memory if enable_memory is None else enable_memory) and self.memory_store is not None
        check_withholding(self.config)
        wishes = {} if memory is None else await checked_wishes(memory, self.memory_store, uid=tenant(uid), is_on=is_on)
        return {"enable_memory": is_on, "memory": wishes}

    async def call(
        self,
        messages: Sequence[Mapping[str, Any]],
        model: str = DEFAULT_MODEL,
        tools: Sequence[str] | None = None,
        uid: str | None = None,
        trace: bool = True,
        *,
        output_type: Any = None,
        **kwargs: Any,
    ) -> CallResult:
        """Return the result of one model call; recorded where there is a trace store and `trace` is true.

        With `output_type` the answer is checked and stands in `output`, as plain data; a model whose answer does not fit is told
        why and called again, `max_output_repairs` times at most. Tokens and cost are those of all calls.

        Raises:
            OutputInvalid: no answer fitted; all are on the record.
            Exception: whatever the model raised; the trace then ends `failed`.
        """
        self._model()
        limits = checked_limits(self.config.limits)
        await self._engine.days.check(limits, tenant(uid))
        output = checker_of(output_type) if output_type is not None else None
        store = self.trace_store if trace else None
        return await call_once(self._shop, store, messages=messages, model=model, tools=tools, uid=tenant(uid), keywords=kwargs, output=output, limits=limits)

    async def run(
        self,
        task: Any,
        messages: Sequence[Mapping[str, Any]] | None = None,
        system_prompt: str | None = None,
        model: str = DEFAULT_MODEL,
        tools: Sequence[str] | None = None,
        agent_type: str | None = None,
        uid: str | None = None,
        max_iterations: int | None = None,
        enable_memory: bool | None = None,
        auto_execute_tools: bool | None = None,
        *,
        conversation_id: str | None = None,
        output_type: Any = None,
        deps: Any = None,
        limits: Mapping[str, Any] | None = None,
        memory: Mapping[str, Sequence[str]] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AgentEvent]:
        """Run an agent on a task and yield its events, the last one an ending.

        `task` is text, or content parts with images. Keywords beyond these go to the model; those in `agent.config.STORED_SETTINGS` are stored
        with the run, others (keys, clients) never. `output_type` (a pydantic model, a dataclass, a TypedDict, a JSON schema) is the form of the
        answer: as plain data it is `output` of the `conclusion`. `memory` names ids: `pinned` are told in any case, `excluded` are not.

        Raises:
            BadInput, ExperienceNotFound, DailyLimitReached: an argument cannot be used, or not today; nothing was recorded.
            Exception: what failed the run, after its `trace_failed` event.
        """
        config, (bounds, output) = self.config, self._bounds(limits, output_type)
        request = Request(
            task=task,
            messages=messages,
            system_prompt=system_prompt,
            model=model,
            tools=tools,
            agent_type=agent_type or config.agent_type,
            uid=tenant(uid),
            max_iterations=_bound(max_iterations if max_iterations is not None else bounds.get("max_iterations", config.max_iterations)),
            **await self._asked_of_memory(enable_memory, memory, uid),
            auto_execute_tools=bool(config.auto_execute_tools if auto_execute_tools is None else auto_execute_tools),
            conversation_id=conversation_id,
            limits=bounds,
            keywords=kwargs,
            output=output,
        )
        with await self._engine.start(request, deps) as reading:
            while reading.events or await reading.more():
                yield reading.take()

    async def resume(
        self, trace_id: str, *, limits: Mapping[str, Any] | None = None, take_over: bool = False, deps: Any = None, uid: str | None = None, **kwargs: Any
    ) -> AsyncIterator[AgentEvent]:
        """Go on with a run from its log and yield its events from here on.

        A run with a living owner is only watched, unless `take_over`. `limits` raise those the run had. With `uid`, another
        uid's run is as if it were not there.

        Raises:
            TraceNotFound: there is none.
            LimitNotRaised: it reached a limit that `limits` do not raise.
            SettingMissing: it began with a keyword that is never stored; give it again.
            Exception: what failed the run, after its `trace_failed` event.
        """
        self._model()
        async for event in self._engine.resume(trace_id, limits=checked_limits(limits) or None, take_over=take_over, keywords=kwargs, deps=deps, uid=uid):
            yield event

    async def watch(self, trace_id: str, after: int = -1, *, uid: str | None = None) -> AsyncIterator[AgentEvent]:
        """Yield a run's durable events past sequence `after`, then live ones until it rests.

        A run whose owner died is told as far as it went; the stream then ends without an ending.

        Raises:
            TraceNotFound: there is none.
        """
        async for event in self._engine.watch(trace_id, after=after, uid=uid):
            yield event

    async def pause(self, trace_id: str, by: str | None = None, *, uid: str | None = None) -> None:
        """Have a run rest at its next safe point; returns when the request is on the record.

        Raises:
            TraceNotFound: there is none.
            RunError: it has ended.
        """
        await pause(self._engine, trace_id, by=_person(by), uid=uid)

    async def cancel(self, trace_id: str, by: str | None = None, *, uid: str | None = None) -> None:
        """End a run for good; returns when that is on the record and what it ran here has stopped.

        Raises:
            TraceNotFound: there is none.
            RunError: it has an answer already.
        """
        await cancel(self._engine, trace_id, by=_person(by), uid=uid)

    async def pending(self, uid: str | None = None, trace_id: str | None = None) -> list[Approval]:
        """Return what waits for a person, oldest run first: requests for approval, and calls whose outcome is in doubt.

        Raises:
            TraceNotFound: `trace_id` names none.
        """
        return await pending(self._engine, uid=uid, trace_id=trace_id)

    async def decide(
        self,
        trace_id: str,
        call_id: str,
        verdict: Literal["approve", "edit", "reject", "respond"],
        *,
        arguments: dict[str, Any] | None = None,
        reason: str | None = None,
        text: str | None = None,
        by: str | None = None,
        args_hash: str | None = None,
        uid: str | None = None,
    ) -> Approval:
        """Record a person's decision on a waiting call and return it; the run goes on by `resume`.

        `edit` merges `arguments` into those asked for: only editable ones, checked against the schema. `reject` may say a
        `reason`, `respond` says the `text` that the model is told instead. With `args_hash` the decision stands only for
        exactly those arguments.

        Raises:
            AlreadyDecided: another decision was first; it is in `decision`.
            NotPending, InDoubt, ApprovalExpired, HashMismatch, NotEditable, BadInput, TraceNotFound: nothing was decided.
        """
        decision = said.ApprovalDecided(call_id=call_id, verdict=verdict, arguments=arguments, reason=reason, text=text, by=_person(by))
        return await decide_call(self._engine, trace_id, decision, args_hash=args_hash, uid=uid)

    async def resolve(
        self, trace_id: str, call_id: str, outcome: Literal["done", "not_done", "retry"], *, result: Any = None, by: str | None = None, uid: str | None = None
    ) -> Approval:
        """Record what became of a call in doubt; the run goes on by `resume`, and the model is told `result`.

        Raises:
            NotInDoubt, NotPending, AlreadyDecided, BadInput, RunError, TraceNotFound: nothing was recorded.
        """
        resolution = said.InDoubtResolved(call_id=call_id, outcome=outcome, result=result, by=_person(by))
        return await resolve_call(self._engine, trace_id, resolution, uid=uid)

    async def fork(self, trace_id: str, at: int, *, uid: str | None = None, **changes: Any) -> str:
        """Record a run that inherits the steps of another up to sequence `at`, and return its id; it rests until `resume`.

        Nothing is copied. `changes` are any of `task`, `messages`, `system_prompt`, `model`, `tools`, `memory` (a list, or None),
        `exclude_memory` (ids), `include_memory` (ids, besides what memory gave) and `result` (step id → what the model is told
        instead). An `unsafe` call that the other run made after `at` is asked about before it is made again.

        Raises:
            TraceNotFound, ToolNotFound, ExperienceNotFound: there is none.
            BadInput: no such step or change, or what it changes is not among what is inherited.
        """
        return await fork(self._engine, trace_id, at, changes, uid=uid)

    async def replay(self, trace_id: str, *, uid: str | None = None) -> Replay:
        """Drive a recorded run once more from its log, without model and tools, and return whether its decisions are identical.

        Each step must be one that follows from those before it, and each prompt the one that the model saw; else the first
        that does not is told. Nothing is written.

        Raises:
            TraceNotFound: there is none.
        """
        return await replay_run(self._engine, trace_id, uid=uid)

    async def add_feedback(
        self,
        trace_id: str,
        target_step_id: str,
        feedback_type: Literal["positive", "negative", "correction"],
        content: str,
        extract_experience: bool = True,
        *,
        by: str | None = None,
        corrected: Any = None,
        uid: str | None = None,
    ) -> str | None:
        """Record feedback on a step; return the id of the experience made of it, or None. `feedback` lists, changes and takes back what was said.

        `corrected` is what would have been right: of a tool call {"tool_name": …, "arguments": …} or one of the two, else the output.
        Without `extract_experience` it is only recorded; `memory.learn(trace_id, even_unasked=True)` learns from it later.

        Raises:
            TraceNotFound, StepNotFound: there is none; nothing was recorded.
            FeedbackInvalid: no such kind of feedback, or no words.
        """
        given = said.Feedback(
            target_step_id=target_step_id,
            feedback_type=feedback_type,
            content=content,
            by=_person(by),
            corrected=corrected,
            is_learning=bool(extract_experience),
        )
        return await self.feedback.add(trace_id, given, uid=uid)

    async def outcome(self, trace_id: str, value: float, *, by: str | None = None, uid: str | None = None) -> None:
        """Record how a run really went, from 0 (it failed) to 1 (it went well); the last word of each person counts.

        Raises:
            TraceNotFound: there is none; nothing was recorded.
            BadInput: the value is no number from 0 to 1.
        """
        await self.feedback.outcome(trace_id, said.OutcomeGiven(value=value, by=_person(by)), uid=uid)

    async def aclose(self) -> None:
        """Let go of all runs that are driven here: each can be resumed from its log."""
        await self._engine.aclose()
        if self.memory is not None:
            await self.memory.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()


def _bound(given: Any) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise BadInput(f"max_iterations must be a whole number from 0 on, not {given!r}")
    return given


def _person(by: Any) -> str | None:
    """Return who did it; a step that says it in another form than text could not be read again, and would count for nothing."""
    if by is None:
        return None
    if not isinstance(by, str) or len(by) > MAX_NAME_CHARS or not is_unicode(by):
        raise BadInput(f"by must say who did it in text of at most {MAX_NAME_CHARS} characters, or be left out, not {by!r:.100}")
    if by == PROBE or by.startswith(RULE):
        raise BadInput(f"by is {by!r:.100}, as which no person signs: name who did it")
    return by
