"""What stands between a call and its tool: policies, taint, the tool's own rule, the caller's wish. Each can only add to the others."""

import copy
import inspect
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

import agent.models.payloads as said
from agent.config import AgentConfig
from agent.core.state import CallState, RunState, Source
from agent.engine.shop import Shop
from agent.errors import ConfigInvalid
from agent.models.policy import Policy, PolicyCall, Ruling, policy_name
from agent.models.value import Value, replace
from agent.tools.arguments import Parsed, needs_confirmation
from agent.tools.context import ToolContext
from agent.tools.tool import Tool

logger = logging.getLogger("agent")
TAINT_MODES = ("off", "warn", "ask")  # each is stricter than the one before it
MAX_REASON_CHARS = 2_000  # of what a policy says


class Gate(Value, frozen=True, gc=False):
    """What a call meets on its way: nothing, a question to a person, or a refusal. `detail` says which gate and why."""

    answer: Literal["open", "ask", "deny"] = "open"
    reason: str = ""  # of a question: what stands in the request
    detail: str | None = None


OPEN = Gate()


def gate_of(shop: Shop, state: RunState, call: CallState, tool: Tool, parsed: Parsed, context_of: Callable[[CallState], ToolContext]) -> Gate:
    """Return what stands in the way of a call whose arguments fit. Where several ask, the sternest is the reason; each one's words are in the detail."""
    asked = state.input
    assert asked is not None
    questions: list[tuple[str, str | None]] = []
    config = shop.config
    if config.policies or asked.policies:
        ruling = _ruling(config.policies, asked.policies, _policy_call(state, call, tool, parsed, context_of(call)))
        if ruling.answer == "deny":
            return Gate("deny", "policy", shop.redactor.text(ruling.reason))
        if ruling.answer == "ask":
            questions.append(("policy", shop.redactor.text(ruling.reason)))
    sources = seen_sources(state) if state.untrusted and tool.effect == "unsafe" else ()
    mode = taint_mode(asked, config) if sources else "off"
    if mode == "ask":
        questions.append(("taint", told_sources(sources)))
    questions += _usual_questions(asked, tool, parsed, call, context_of)
    warning = told_sources(sources) if mode == "warn" else None
    if not questions:
        return OPEN if warning is None else Gate("open", "", warning)
    details = [detail for _, detail in questions if detail] + ([warning] if warning else [])
    return Gate("ask", questions[0][0], "; ".join(details) or None)


def _usual_questions(
    asked: said.Input, tool: Tool, parsed: Parsed, call: CallState, context_of: Callable[[CallState], ToolContext]
) -> list[tuple[str, str | None]]:
    """Return the one question that the tool's own rule, the caller or odd arguments ask for."""
    rule = tool.requires_confirmation
    if rule is not False and needs_confirmation(tool, parsed.arguments, None if isinstance(rule, bool) else context_of(call)):
        return [("confirmation", None)]
    if not asked.auto_execute_tools:
        return [("manual", None)]
    if parsed.was_repaired and tool.effect == "unsafe":
        return [("repaired_arguments", None)]
    return []


# ---- policies


def policy_names(config: AgentConfig) -> list[str]:
    """Return the names under which the hooks go on the record.

    Raises:
        ConfigInvalid: one of them cannot be a hook.
    """
    for policy in config.policies:
        if not callable(policy):
            raise ConfigInvalid(f"policies: {policy!r:.100} is no function: give functions of one PolicyCall that return allow(), deny(…) or ask(…)")
        if inspect.iscoroutinefunction(policy):
            raise ConfigInvalid(f"policies: {policy_name(policy)} is an async function; a hook must answer at once: use a plain one")
    if config.taint not in TAINT_MODES:
        raise ConfigInvalid(f"taint is {config.taint!r:.100}: it is to be one of {', '.join(TAINT_MODES)}")
    return [policy_name(policy) for policy in config.policies]


def _policy_call(state: RunState, call: CallState, tool: Tool, parsed: Parsed, context: ToolContext) -> PolicyCall:
    asked = state.input
    assert asked is not None
    return PolicyCall(
        tool_name=tool.name,
        effect=tool.effect,
        arguments=parsed.arguments,
        uid=context.uid,
        agent_type=asked.agent_type,
        trace_id=context.trace_id,
        call_id=call.call.call_id,
        task=asked.task,
        untrusted=tuple(source.tool_name for source in seen_sources(state)),
        deps=context.deps,
    )


def _ruling(policies: Sequence[Policy], recorded: Sequence[str], call: PolicyCall) -> Ruling:
    """Return the word of all hooks together: the first refusal, else all questions, else consent."""
    questions: list[str] = []
    for policy in policies:
        name = policy_name(policy)
        ruling = _answer(policy, name, call)
        said_by = f"policy {name}: {ruling.reason}" if ruling.reason else f"policy {name}"
        if ruling.answer == "deny":
            return Ruling("deny", said_by)
        if ruling.answer == "ask":
            questions.append(said_by)
    here = {policy_name(policy) for policy in policies}
    questions += [f"policy {name}: the run began under it, and this process does not have it" for name in recorded if name not in here]
    return Ruling("ask", "; ".join(questions)) if questions else Ruling("allow")


def _answer(policy: Policy, name: str, call: PolicyCall) -> Ruling:
    """Return what one hook says. A hook that fails, or says something else, has a person asked."""
    try:
        return _understood(policy(replace(call, arguments=copy.deepcopy(call.arguments), task=copy.deepcopy(call.task))))
    except (Exception, SystemExit) as error:  # the hook's author's code: one that cannot be asked protects by asking
        logger.warning("policy %s failed on call %s of trace %s", name, call.call_id, call.trace_id, exc_info=True)
        return Ruling("ask", f"it failed with {type(error).__name__}: {error}"[:MAX_REASON_CHARS])


def _understood(answer: Any) -> Ruling:
    if inspect.iscoroutine(answer):
        answer.close()
    if not isinstance(answer, Ruling) or answer.answer not in ("allow", "deny", "ask"):
        return Ruling("ask", f"it answered {answer!r:.100}, which is neither allow(), deny(…) nor ask(…)")
    return Ruling(answer.answer, str(answer.reason)[:MAX_REASON_CHARS])


# ---- taint


def seen_sources(state: RunState) -> tuple[Source, ...]:
    """Return the untrusted results that the model had seen when it made the calls of the open turn."""
    return tuple(source for source in state.untrusted if source.sequence < state.turn_sequence)


def told_sources(sources: Sequence[Source]) -> str:
    """Return what a person is told of where untrusted words came from."""
    return "after untrusted content from " + ", ".join(f"{source.tool_name} (step {source.step_id})" for source in sources)


def taint_mode(asked: said.Input, config: AgentConfig) -> str:
    """Return the stricter of what the run began with and what holds in this process."""
    return max(asked.taint, config.taint, key=lambda mode: TAINT_MODES.index(mode) if mode in TAINT_MODES else len(TAINT_MODES))
