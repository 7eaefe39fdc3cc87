"""What one run does next, and the steps of it that need no effect: refusals, requests, announcements, endings."""

from collections import Counter
from collections.abc import Sequence

import agent.models.payloads as said
from agent.core.calls import loose_arguments
from agent.core.decide import Action, Begin, Conclude, CutOff, Open, ReachLimit, Settle, decide
from agent.core.limits import calls_beyond
from agent.core.repeats import repeats_of
from agent.core.state import PROBE, CallState, RunState
from agent.core.wording import wording
from agent.engine.bounds import Bounds
from agent.engine.compacting import Compactor
from agent.engine.draft import Draft
from agent.engine.executing import context_of
from agent.engine.offering import OWN_TOOLS
from agent.engine.parted import Parted
from agent.engine.planning import (
    Plan,
    asked_again,
    asked_anew,
    plan_call,
    refusal,
    refusal_by_limit,
    refusal_of_repeat,
    settlement,
    stale_calls,
    started,
)  # fmt: skip
from agent.engine.rulebook import active_rules, may_ask, word_of_rules
from agent.engine.shop import RunNeeds, Shop
from agent.models.payloads import Payload
from agent.models.rule import ApprovalRule
from agent.models.trace import Trace, subrun_id_of
from agent.models.value import replace
from agent.tools.context import ToolContext
from agent.tools.output import OutputChecker

TOLD_OF_REPEATS = 2  # how often a model is told not to repeat a call before that ends the run


class Decider:
    """Decides for one owner of one run. It remembers only plans of calls, which can be made anew."""

    def __init__(self, shop: Shop, trace: Trace, asked: said.Input | None, *, epoch: int, needs: RunNeeds, is_worker_alive: bool = False) -> None:
        self.shop, self.trace, self.epoch, self.needs = shop, trace, epoch, needs
        self.is_worker_alive = is_worker_alive  # who drove the run before was there still when it was taken over
        self.language = asked.language if asked else "en"
        offered = [shop.tools.get(name) for name in (asked.tools or ()) if name in shop.tools] if asked else []
        self._effects: dict[str, str] = {tool.name: tool.effect if tool.agent is None else "idempotent" for tool in offered}
        self._effects = {**dict.fromkeys(OWN_TOOLS, "read"), **self._effects}
        self._plans: dict[str, Plan] = {}
        self.compactor = Compactor(shop, asked, needs)
        self.parted: Parted | None = None  # of a fork: what was done where it comes from
        self.bounds: Bounds | None = None
        schema = asked.output_schema if asked is not None else None
        self.output = None if schema is None else needs.output or OutputChecker(schema)
        self.may_use_rules = asked is not None and shop.states is not None and may_ask(asked, shop.tools)
        self._rules: tuple[ApprovalRule, ...] = ()

    async def load_rules(self) -> None:
        """Read the approval rules that are in force now; a revoked one decides nothing any more."""
        if self.shop.states is not None:
            self._rules = await active_rules(self.shop.states, self.trace.uid)

    def next(self, state: RunState) -> Action:
        """Return what follows from a state."""
        outside = None if self.bounds is None else self.bounds.outside
        return decide(state, self.epoch, self._effects, self.shop.config.parallel_tools, self.compactor.window, outside)

    def is_unsafe(self, tool: str) -> bool:
        """Whether a call of the tool may not be repeated by itself."""
        return self._effects.get(tool, "unsafe") == "unsafe"

    def plan_of(self, state: RunState, call: CallState) -> Plan:
        """Return the plan of a call that was announced."""
        plan = self._plans.get(call.call.call_id)
        if plan is None:
            plan = self._plans[call.call.call_id] = self._plan_decided(state, call)
        return plan

    def forget_settled(self, state: RunState) -> None:
        """Drop the plans of calls that are not open any more."""
        if len(self._plans) > len(state.turn):
            self._plans = {call_id: plan for call_id, plan in self._plans.items() if state.call(call_id)}

    def context_of(self, call: CallState) -> ToolContext:
        """Return what the tool may know of its call."""
        context = context_of(self.shop, self.trace, call, self.needs)
        return context if self.parted is None else self.parted.context(context)

    def draft(self, draft: Draft, action: Action | None = None) -> None:
        """Draft what follows from a state without any effect: refusals, requests, announcements, endings. `action`: what follows, where that is known."""
        state = draft.state
        if action is None:
            action = self.next(state)
        asked_by = (state.turn_id,) if state.turn_id else ()
        facts: list[Payload] = []
        match action:
            case Open(calls):
                facts = self._open(state, calls)
            case Begin(calls):
                facts = [fact for call in calls for fact in self._begin(state, call)]
            case Settle(calls):
                facts = [self._settle(call) for call in calls]
            case CutOff(calls, limit, value):
                facts = [refusal_by_limit(call, limit, value, self.language) for call in calls]
            case Conclude():
                self._conclude(draft)
            case ReachLimit(limit, value):
                if state.answer is not None:
                    output = self.output.read(state.answer)[0] if self.output is not None else None
                    draft.add(said.Conclusion(reply=state.turn_sequence, is_final=False, output=output), *state.tip)
                value = value if value is not None else getattr(self.shop.config, limit, None)
                draft.add(said.LimitReached(limit=limit, value=value), *state.tip)
                draft.status = "limit_reached"
            case _:
                pass
        for fact in facts:
            draft.add(fact, *((draft.steps[-1].step_id,) if type(fact) is said.ApprovalDecided else asked_by))  # a rule's word: by the request before it

    def _open(self, state: RunState, calls: Sequence[CallState]) -> list[Payload]:
        slots = self.shop.config.parallel_tools - sum(1 for c in state.turn if c.result is None and c.started_epoch == self.epoch)
        facts: list[Payload] = []
        used: Counter[str] = Counter()
        if beyond := calls_beyond(state, calls) if state.limits else ():
            facts = [refusal_by_limit(call, "max_tool_calls", state.limits["max_tool_calls"], self.language) for call in beyond]
            calls = [call for call in calls if call not in beyond]
        for call in calls:
            if (repeated := self._repeated(state, call)) is not None:
                facts.append(repeated)
                continue
            plan = self._plans.get(call.call.call_id)
            if plan is None:
                plan = self._plans[call.call.call_id] = self._plan_fresh(state, call)
            if plan.kind == "refuse":
                facts.append(refusal(call, plan))
            elif plan.request is not None:
                facts.append(plan.request)
                if self._rules and (word := word_of_rules(self._rules, state, plan, used)) is not None:
                    facts.append(word)
            elif slots > 0:
                slots -= 1
                facts += self._announce(call, plan)
        return facts

    def _plan_fresh(self, state: RunState, call: CallState) -> Plan:
        plan = plan_call(self.shop, state, call, self.context_of)
        return plan if self.parted is None else self.parted.checked(plan, state, call, self.language)

    def _announce(self, call: CallState, plan: Plan) -> list[Payload]:
        if plan.tool is None or plan.tool.agent is None or call.subrun is not None:
            return [started(call, plan)]
        return [said.Subrun(call_id=call.call.call_id, trace_id=subrun_id_of(self.trace.trace_id, call.call.call_id)), started(call, plan)]

    def draft_again(self, draft: Draft, calls: Sequence[CallState]) -> None:
        """Draft that suspended calls go on, since the runs that carry them out do."""
        for known in calls:
            call = draft.state.call(known.call.call_id)
            if call is not None and call.is_suspended and call.result is None:
                draft.add(said.ToolStarted(call_id=call.call.call_id, attempt=call.attempt + 1), *((draft.state.turn_id,) if draft.state.turn_id else ()))

    def _conclude(self, draft: Draft) -> None:
        state = draft.state
        output, problem = self.output.read(state.answer or "") if self.output is not None else (None, None)
        if problem is not None:
            draft.add(said.OutputRejected(problem=self.shop.redactor.text(problem)), *state.tip)
            return
        draft.add(said.Conclusion(reply=state.turn_sequence, output=output), *state.tip)
        draft.status = "completed"

    def _repeated(self, state: RunState, call: CallState) -> Payload | None:
        """Return the refusal of a call that was made too often with the same result; None where it was not."""
        most = state.limits.get("max_repeated_calls", self.shop.config.max_repeated_calls)
        if most is None:
            return None
        text = wording("repeated", self.language)
        same, told = repeats_of(state.messages, call.call.position, text, most)
        return refusal_of_repeat(call, text, ends_run=told >= TOLD_OF_REPEATS) if same >= most else None

    def _begin(self, state: RunState, call: CallState) -> list[Payload]:
        plan = self._plans[call.call.call_id] = self._plan_decided(state, call)
        if plan.kind == "refuse" or plan.tool is None:
            return [refusal(call, plan)]
        if call.subrun is None and (anew := asked_anew(call, plan, plan.tool)) is not None:
            return [anew]
        return self._announce(call, plan)

    def is_stale(self, state: RunState) -> bool:
        """Return whether a call waits for a decision about a tool which is another one by now."""
        return bool(stale_calls(state, self.shop.tools))

    def draft_stale(self, draft: Draft) -> None:
        """Draft the questions that take the place of those about tools which are others by now."""
        for call in stale_calls(draft.state, self.shop.tools):
            plan = self._plans[call.call.call_id] = self._plan_fresh(draft.state, call)
            draft.add(asked_again(call, plan), *((draft.state.turn_id,) if draft.state.turn_id else ()))

    def _settle(self, call: CallState) -> Payload:
        fact, name = settlement(call, self.language), call.call.name
        if call.resolution is not None and call.resolution.by == PROBE and name in self.shop.tools and self.shop.tools.get(name).is_untrusted:
            return replace(fact, is_untrusted=True)  # the probe told what the tool would have
        return fact

    def _plan_decided(self, state: RunState, call: CallState) -> Plan:
        """Return the plan of a call that a person let run: with the arguments as decided, checked once more."""
        if call.decision is None and (call.request is None or call.request.arguments is None):
            return plan_call(self.shop, state, call, self.context_of)
        asked = replace(call, call=replace(call.call, raw_arguments=call.arguments))
        plan = plan_call(self.shop, state, asked, self.context_of)
        return replace(plan, is_as_asked=plan.is_as_asked and call.arguments == loose_arguments(call.call.raw_arguments))
