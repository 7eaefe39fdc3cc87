"""Rules that people accept from what they decided before: suggested, accepted, listed, revoked."""

import asyncio
import math
from datetime import timedelta

from agent.clock import now
from agent.core.learning import MIN_SUPPORT, suggest, without_rule
from agent.engine.beginning import tenant
from agent.engine.evidence import MAX_RUNS, past_decisions
from agent.engine.log import as_trace_log
from agent.engine.rulebook import PREFIX, key_of, read_rules
from agent.errors import BadInput, RuleNotFound, Unsupported
from agent.models.rule import ApprovalRule, NoRule, Suggestion
from agent.models.value import replace
from agent.storage.protocols import StateStore, TraceStore

RULE_LIFETIME_S = 30 * 86_400.0
"""How long an accepted rule is in force where the person does not say: 30 days."""

MAX_LIFETIME_S = 366 * 86_400.0
"""The longest that a rule can be accepted for."""


class ApprovalRules:
    """The rules of each uid, and what its past decisions suggest. Without a uid it is the tenant `anonymous`."""

    def __init__(self, traces: TraceStore | None, states: StateStore | None) -> None:
        self._traces, self._states = traces, states

    async def suggest(self, *, uid: str | None = None, min_support: int = MIN_SUPPORT, max_runs: int = MAX_RUNS) -> list[Suggestion]:
        """Return the rules that people's equal decisions in the newest `max_runs` runs give rise to, each with its back-test.

        None of them covers a call that was rejected, edited or answered by a person, none a tool whatever its arguments are, and none
        that is in force already is among them. It changes nothing.

        Raises:
            BadInput: a number below 1.
            Unsupported: the store keeps no log that can be read back.
        """
        if min(min_support, max_runs) < 1:
            raise BadInput(f"min_support and max_runs are whole numbers from 1 on, not {min_support!r} and {max_runs!r}")
        owner = tenant(uid)
        decisions = await past_decisions(as_trace_log(self._traces, "learn from decisions"), owner, max_runs=max_runs)
        found = await asyncio.to_thread(suggest, decisions, min_support=min_support)
        known = {rule.rule_id for rule in await self.list(uid=owner)} if self._states is not None else set()
        return [suggestion for suggestion in found if suggestion.suggestion_id not in known]

    async def without_rule(self, *, uid: str | None = None, min_support: int = MIN_SUPPORT, max_runs: int = MAX_RUNS) -> list[NoRule]:
        """Return the tools of which people approved enough calls, and that `suggest` makes no rule for, with what stands against one.

        Raises:
            Unsupported: the store keeps no log that can be read back.
        """
        decisions = await past_decisions(as_trace_log(self._traces, "learn from decisions"), tenant(uid), max_runs=max_runs)
        return await asyncio.to_thread(without_rule, decisions, min_support=min_support)

    async def accept(
        self, suggestion_id: str, *, by: str, uid: str | None = None, lifetime_s: float = RULE_LIFETIME_S, min_support: int = MIN_SUPPORT
    ) -> ApprovalRule:
        """Put a suggestion in force and return the rule; from then on it approves the calls that it covers, and each is on the record.

        Raises:
            RuleNotFound: the decisions do not suggest it (any more), or it is in force already.
            BadInput: nobody is named in `by`, or the time cannot be used.
        """
        if not isinstance(by, str) or not by.strip():
            raise BadInput("by= must name the person who accepts the rule")
        if not isinstance(lifetime_s, int | float) or not 0 < lifetime_s <= MAX_LIFETIME_S or math.isnan(lifetime_s):
            raise BadInput(f"a rule is in force for more than 0 and at most {MAX_LIFETIME_S:.0f} seconds, not {lifetime_s!r}")
        states, owner = self._book(), tenant(uid)
        suggestion = next((s for s in await self.suggest(uid=owner, min_support=min_support) if s.suggestion_id == suggestion_id), None)
        if suggestion is None:
            raise RuleNotFound(suggestion_id, "past decisions do not suggest it now, or it is in force: look at the suggestions again")
        at = now()
        rule = ApprovalRule(
            rule_id=suggestion.suggestion_id,
            tool_name=suggestion.tool_name,
            schema_hash=suggestion.schema_hash,
            where=suggestion.where,
            max_per_run=suggestion.max_per_run,
            accepted_by=by,
            accepted_at=at,
            expires_at=at + timedelta(seconds=lifetime_s),
            tested=suggestion.tested,
        )
        await states.set(key_of(rule.rule_id), rule.to_data(), uid=owner)
        return rule

    async def list(self, *, uid: str | None = None, is_active: bool = True) -> "list[ApprovalRule]":
        """Return the rules in force, oldest first; with `is_active=False` also those that expired or were revoked."""
        at = now()
        found = read_rules(await self._book().list(PREFIX, uid=tenant(uid)))
        return sorted((rule for rule in found if not is_active or rule.is_active(at)), key=lambda rule: (rule.accepted_at, rule.rule_id))

    async def revoke(self, rule_id: str, *, by: str | None = None, uid: str | None = None) -> ApprovalRule:
        """End a rule at once, also for runs that are under way, and return it; it stays on the list of all. Revoking it again changes nothing.

        Raises:
            RuleNotFound: the uid has none of this id.
        """
        owner = tenant(uid)
        rule = next((rule for rule in await self.list(uid=owner, is_active=False) if rule.rule_id == rule_id), None)
        if rule is None:
            raise RuleNotFound(rule_id, "`seasoned approvals rules ls` lists them")
        if rule.revoked_at is None:
            rule = replace(rule, revoked_by=by, revoked_at=now())
            await self._book().set(key_of(rule_id), rule.to_data(), uid=owner)
        return rule

    def _book(self) -> StateStore:
        if self._states is None:
            raise Unsupported("approval rules are kept in the state store: give AgentRunner a state_store")
        return self._states
