"""Approval rules in force: kept for each uid in the state store, and what they say of a call."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

import agent.models.payloads as said
from agent.clock import now
from agent.core.fold import RULE
from agent.core.patterns import meets
from agent.core.state import RunState
from agent.engine.planning import Plan
from agent.models.rule import ApprovalRule, rule_of
from agent.storage.protocols import StateEntry, StateStore
from agent.storage.state_values import RESERVED
from agent.tools.registry import ToolRegistry

logger = logging.getLogger("agent")
PREFIX = f"{RESERVED}approval-rule:"
"""Of the keys under which rules are kept; tools can neither read nor write them through `ctx.state`."""

RULED_REASONS = ("confirmation", "manual")
"""Why a call may wait that a rule decides; never a policy, taint, repaired arguments or doubt."""

LOAD_TIMEOUT_S = 2.0  # then a person is asked, as without rules


def is_signed_by_rule(by: str | None) -> bool:
    """Return whether a decision is a rule's."""
    return by is not None and by.startswith(RULE)


def may_ask(asked: said.Input, tools: ToolRegistry) -> bool:
    """Return whether a run may ask a person for something that a rule can decide."""
    return not asked.auto_execute_tools or any(name in tools and tools.get(name).requires_confirmation is not False for name in asked.tools or ())


def key_of(rule_id: str) -> str:
    """Return the key of a rule in the state store."""
    return PREFIX + rule_id


def read_rules(entries: Sequence[StateEntry]) -> list[ApprovalRule]:
    """Return the rules that these entries hold; what cannot be read as one is none."""
    found: list[ApprovalRule] = []
    for entry in entries:
        rule = rule_of(entry.value)
        if rule is None or key_of(rule.rule_id) != entry.key:
            logger.warning("approval rule %r cannot be read and is not used", entry.key)
        else:
            found.append(rule)
    return found


async def active_rules(states: StateStore, uid: str | None) -> tuple[ApprovalRule, ...]:
    """Return the rules of a uid that are in force; none where they cannot be read, so that a person is asked."""
    try:
        async with asyncio.timeout(LOAD_TIMEOUT_S):
            entries = await states.list(PREFIX, uid=uid)
    except Exception:  # whatever a store raises: without its rules everything is asked about
        logger.warning("the approval rules of %r could not be read: a person is asked", uid, exc_info=True)
        return ()
    at = now()
    return tuple(rule for rule in read_rules(entries) if rule.is_active(at))


def word_of_rules(rules: Sequence[ApprovalRule], state: RunState, plan: Plan, used: Counter[str]) -> said.ApprovalDecided | None:
    """Return the decision of the first rule that covers a call which is about to be asked about; None leaves it to a person.

    `used` counts what the rules decided in this draft already, and is counted on.
    """
    request, tool = plan.request, plan.tool
    if request is None or tool is None or request.reason not in RULED_REASONS or request.detail is not None or request.arguments is not None:
        return None
    at = now()
    for rule in rules:
        if rule.tool_name != tool.name or rule.schema_hash != tool.schema_hash or not rule.is_active(at) or not rule.where.fields:
            continue
        if state.ruled.count(rule.rule_id) + used[rule.rule_id] >= rule.max_per_run or not meets(rule.where, plan.arguments):
            continue
        used[rule.rule_id] += 1
        why = f"accepted by {rule.accepted_by} on {rule.accepted_at.date().isoformat()}, until {rule.expires_at.date().isoformat()}"
        return said.ApprovalDecided(call_id=request.call_id, verdict="approve", reason=why, by=f"{RULE}{rule.rule_id}", args_hash=request.args_hash)
    return None
