"""Approval rules from the shell: suggestions with their back-test, and the rules in force, in words."""

import shlex
from collections.abc import Iterator

import msgspec

from agent.cli.deciding import user_name
from agent.cli.outlet import say, say_json, tell
from agent.cli.place import Place, opened, place_options
from agent.cli.visible import call_text, json_text, one_line
from agent.clock import now
from agent.core.learning import MIN_SUPPORT
from agent.engine.approval_rules import RULE_LIFETIME_S
from agent.models.rule import ApprovalRule, BackTest, Begins, Between, Condition, Each, Equals, Fields, Mailbox, NoRule, OneOf, Suggestion
from agent.runner import AgentRunner

VALUE_CHARS = 200  # of a value that a rule names; --json shows all of it
DAY_S = 86_400.0
SHOWN_AGAINST = 5  # decisions that stand against a rule
VERDICTS = {"edit": "changed", "reject": "rejected", "respond": "answered in the tool's place"}
WHY_NONE = {
    "nothing_in_common": "their arguments have nothing in common that a rule could name",
    "others_were_refused": "a rule that covers them would also approve what a person did not",
    "wrong_later": "what the older decisions taught was wrong on the newest ones",
}
RESTS = {"digits": "digits", "word": "letters, digits, _ or -", "path": "a path"}


async def show_suggestions(place: Place, *, support: int | None, is_json: bool) -> None:
    """Print the rules that past decisions suggest, each with its back-test and the command that accepts it."""
    found: list[Suggestion] = []
    none: list[NoRule] = []
    if place.file is None or place.file.exists():
        async with opened(place) as store, AgentRunner(store.traces, state_store=store.states) as runner:
            found = await runner.approval_rules.suggest(uid=place.uid, min_support=support or MIN_SUPPORT)
            none = await runner.approval_rules.without_rule(uid=place.uid, min_support=support or MIN_SUPPORT) if not is_json else []
    if is_json:
        for suggestion in found:
            say_json(msgspec.to_builtins(suggestion))
        return
    if not found:
        tell(f"past decisions suggest no rule: one needs {support or MIN_SUPPORT} equal approvals of {place.uid!r} that no rejection or edit speaks against")
    options = (f" --support {support}" if support is not None else "") + (place_options(place) or "")
    for suggestion in found:
        for line in rule_lines(suggestion.suggestion_id, suggestion):
            say(line)
        say("  approved by " + ", ".join(f"{one_line(by) or 'somebody'} ({count})" for by, count in suggestion.approved_by.items()))
        say(f"  seasoned approvals suggest --accept {suggestion.suggestion_id}{options}")
    for one in none:
        for line in _none_lines(one):
            tell(line)


def _none_lines(none: NoRule) -> Iterator[str]:
    """Yield why there is no rule for a tool, and which decisions stand against one."""
    yield f"no rule for {one_line(none.tool_name)}, though {none.approved} calls of it were approved: {WHY_NONE[none.why]}"
    for one in none.against[:SHOWN_AGAINST]:
        verdict, at = VERDICTS.get(one.verdict, one.verdict), one.at.astimezone().isoformat(" ", "minutes")
        yield f"  {verdict} by {one_line(one.by) or 'somebody'} on {at}: {call_text(none.tool_name, one.arguments)} · run {one.trace_id}, call {one.call_id}"
    if len(none.against) > SHOWN_AGAINST:
        yield f"  and {len(none.against) - SHOWN_AGAINST} more"


async def accept_rule(place: Place, suggestion_id: str, *, days: float | None, support: int | None, by: str | None, is_json: bool) -> None:
    """Put a suggestion in force.

    Raises:
        RuleNotFound, BadInput: nothing was accepted.
    """
    lifetime_s = days * DAY_S if days is not None else RULE_LIFETIME_S
    async with opened(place) as store, AgentRunner(store.traces, state_store=store.states) as runner:
        rule = await runner.approval_rules.accept(suggestion_id, by=by or user_name(), uid=place.uid, lifetime_s=lifetime_s, min_support=support or MIN_SUPPORT)
    if is_json:
        say_json(rule.to_data())
        return
    tell(f"in force until {_day(rule)}, accepted by {one_line(rule.accepted_by)}:")
    for line in rule_lines(rule.rule_id, rule):
        tell(line)
    tell(f"end it with:\n  seasoned approvals rules revoke {shlex.quote(rule.rule_id)}{place_options(place) or ''}")


async def list_rules(place: Place, *, is_active: bool, is_json: bool) -> None:
    """Print the rules of a uid, oldest first."""
    found: list[ApprovalRule] = []
    if place.file is None or place.file.exists():
        async with opened(place) as store, AgentRunner(store.traces, state_store=store.states) as runner:
            found = await runner.approval_rules.list(uid=place.uid, is_active=is_active)
    if is_json:
        for rule in found:
            say_json(rule.to_data())
    elif not found:
        tell(f"{place.uid!r} has no approval rule{' in force' if is_active else ''}: `seasoned approvals suggest` shows what could be one")
    else:
        for rule in found:
            for line in rule_lines(rule.rule_id, rule):
                say(line)
            say(f"  {_standing(rule)}")


async def revoke_rule(place: Place, rule_id: str, *, by: str | None, is_json: bool) -> None:
    """End a rule.

    Raises:
        RuleNotFound: there is none of this id.
    """
    async with opened(place) as store, AgentRunner(store.traces, state_store=store.states) as runner:
        rule = await runner.approval_rules.revoke(rule_id, by=by or user_name(), uid=place.uid)
    if is_json:
        say_json(rule.to_data())
    else:
        tell(f"rule {one_line(rule.rule_id)} on {one_line(rule.tool_name)}: {_standing(rule)}")


def rule_lines(name: str, rule: Suggestion | ApprovalRule) -> Iterator[str]:
    """Yield what a rule says and how it did, in lines."""
    yield f"{one_line(name)}: approve {one_line(rule.tool_name)} where"
    for argument, condition in rule.where.fields.items():
        may_lack = ", or it is left out" if argument in rule.where.optional else ""
        yield f"  {one_line(argument)} {condition_text(condition)}{may_lack}"
    yield f"  at most {rule.max_per_run} of them in one run, and no other argument"
    yield f"  {tested_text(rule.tested)}"


def tested_text(tested: BackTest) -> str:
    """Return a back-test in words."""
    text = f"of {tested.decisions} past decisions it would have approved {tested.approved}, would have wrongly approved {tested.wrongly_approved}"
    if tested.missed:
        text += f", would have asked about {tested.missed} that were approved"
    if tested.later:
        asked = tested.later - tested.later_approved - tested.later_wrongly_approved
        text += f". As a check, a rule made from the oldest {tested.decisions - tested.later} alone met the newest {tested.later}: "
        text += f"it would have approved {tested.later_approved}, wrongly approved {tested.later_wrongly_approved}, and asked about {asked}"
    return text


def condition_text(condition: Condition) -> str:
    """Return a condition in words."""
    match condition:
        case Equals(value=value):
            return f"is {_value(value)}"
        case OneOf(values=values):
            return "is one of " + ", ".join(_value(value) for value in values)
        case Between(low=low, high=high, is_whole=is_whole):
            return f"is a {'whole ' if is_whole else ''}number from {_number(low)} to {_number(high)}"
        case Begins(prefix=prefix, rest=rest, max_chars=max_chars):
            return f"begins with {_value(prefix)}, then at most {max_chars} characters: {RESTS[rest]}"
        case Mailbox(domain=domain):
            return f"is a mail address at {_value(domain)}"
        case Fields(fields=fields, optional=optional):
            inside = "; ".join(f"{one_line(name)} {condition_text(item)}{' or is left out' if name in optional else ''}" for name, item in fields.items())
            return f"is an object: {inside}"
        case Each(items=items, max_items=max_items):
            return f"is a list of at most {max_items}, where each {condition_text(items)}"


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _value(value: object) -> str:
    return one_line(json_text(value), VALUE_CHARS)


def _day(rule: ApprovalRule) -> str:
    return rule.expires_at.astimezone().isoformat(" ", "minutes")


def _standing(rule: ApprovalRule) -> str:
    if rule.revoked_at is not None:
        return f"revoked by {one_line(rule.revoked_by or 'somebody')} on {rule.revoked_at.astimezone().isoformat(' ', 'minutes')}"
    state = "in force until" if rule.is_active(now()) else "it was in force until"
    return f"{state} {_day(rule)}, accepted by {one_line(rule.accepted_by)}"
