"""What waits for a person, in words: the call, why it waits, and the commands that decide it."""

import shlex
from collections.abc import Iterator, Sequence

from agent.cli.drawing import REASONS
from agent.cli.visible import call_text, one_line
from agent.clock import now
from agent.models.approval import Approval
from agent.models.trace import root_id_of

SHOWN_CALLS = 5  # of a run, each with its commands


def why_text(item: Approval) -> str:
    """Return why a call waits, as one line."""
    if is_over(item):
        return "it expired, and will not run"
    if is_repeat(item):
        return "the run that this one was forked from made this call already"
    return REASONS.get(item.reason, one_line(item.reason))


def is_over(item: Approval) -> bool:
    """Return whether the time to decide a call has passed."""
    return item.expires_at is not None and item.expires_at <= now()


def is_repeat(item: Approval) -> bool:
    """Return whether a call of a fork waits since it was made before, and not by a policy's word, which begins with the policy's name."""
    return item.reason == "policy" and (item.detail or "").startswith("run ")


def waiting_lines(items: Sequence[Approval], options: str | None) -> Iterator[str]:
    """Yield each call that waits, with the commands that decide it; without them where nothing is kept (`options` is None)."""
    for item in items[:SHOWN_CALLS]:
        yield f"waits: {call_text(item.tool_name, item.arguments)}: {why_text(item)}"
        if options is not None:
            yield f"  seasoned approvals show {_call(item)}{options}"
            yield from command_lines(item, options)
    if len(items) > SHOWN_CALLS:
        yield f"and {len(items) - SHOWN_CALLS} more" + (f": seasoned approvals ls{options}" if options is not None else "")


def _call(item: Approval) -> str:
    return shlex.join((item.trace_id, item.call_id))


def command_lines(item: Approval, options: str) -> Iterator[str]:
    """Yield the commands among which a person chooses."""
    call = _call(item)
    if is_over(item):
        yield f"  seasoned resume {root_id_of(item.trace_id)}{options}"
        return
    if item.reason == "in_doubt":
        yield f'  seasoned approvals resolve {call} done{options} --result "…"'
        yield f"  seasoned approvals resolve {call} not_done{options}"
        yield f"  seasoned approvals resolve {call} retry{options}"
        return
    yield f"  seasoned approvals approve {call}{options}"
    if item.editable_params:
        changes = " ".join(f"--set {shlex.quote(name)}=…" for name in item.editable_params)
        yield f"  seasoned approvals edit {call}{options} {changes}"
    yield f'  seasoned approvals reject {call}{options} --reason "…"'
    yield f'  seasoned approvals respond {call}{options} --text "…"'
