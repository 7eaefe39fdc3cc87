"""Deciding what waits for a person: the list, one call in full, and a person's word on it."""

import getpass
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import msgspec
from rich.table import Table
from rich.text import Text

import agent.models.payloads as said
from agent.cli.asking import command_lines, is_over, why_text
from agent.cli.endings import DONE
from agent.cli.listing import when_text
from agent.cli.outlet import console, say, say_json, tell
from agent.cli.place import LAST, Place, find_trace, opened, place_options
from agent.cli.running import Job, input_of, resume_run, tools_again
from agent.cli.toolbox import Toolbox
from agent.cli.visible import call_text, one_line, visible
from agent.engine.approvals import MAX_TEXT_CHARS, OUTCOMES
from agent.errors import AgentError, ApprovalExpired, BadInput, InDoubt, NotInDoubt, NotPending
from agent.models.approval import Approval
from agent.models.payloads import payload_of
from agent.models.trace import Trace, root_id_of
from agent.models.value import Value
from agent.runner import AgentRunner
from agent.storage.protocols import Store

Verdict = Literal["approve", "edit", "reject", "respond"]
Record = Callable[[AgentRunner, Trace, str, str], Awaitable[Approval]]  # of the call with this id, as long as it asks with this hash
DETAIL_CHARS = 2000  # of why a call waits, in the words of who asked
WORDS = {
    "approve": "approved", "edit": "approved with changes", "reject": "rejected", "respond": "answered",
    "done": "recorded as done", "not_done": "recorded as not done", "retry": "to be tried again",
}  # fmt: skip


class Chosen(Value, frozen=True, kw_only=True):
    """Which call a person decides, who does, and whether the run then goes on at once."""

    job: Job
    trace: str
    call: str | None
    by: str | None
    may_resume: bool = False


async def list_waiting(place: Place, *, is_json: bool) -> None:
    """Print what waits for a person, oldest run first."""
    found: list[Approval] = []
    if place.file is None or place.file.exists():
        async with opened(place) as store, AgentRunner(store.traces) as runner:
            found = await runner.pending(place.uid)
    if is_json:
        for item in found:
            say_json(msgspec.to_builtins(item))
    elif not found:
        tell(f"nothing of {place.uid!r} waits for a person here")
    else:
        console(is_stderr=False).print(_table(found))
        tell(f"in full, with the commands to decide: seasoned approvals show RUN CALL{place_options(place) or ''}")


def _table(found: Sequence[Approval]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    expiring = any(item.expires_at is not None for item in found)
    for name in ("run", "call", "since", *(["expires"] if expiring else [])):
        table.add_column(name, no_wrap=True)
    for name in ("asks for", "why"):
        table.add_column(name, overflow="fold")  # these give way on a narrow terminal: an id that is cut off decides nothing
    for item in found:
        since = when_text(item.asked_at) if item.asked_at is not None else "-"
        expires = [when_text(item.expires_at) if item.expires_at is not None else "-"] if expiring else []
        table.add_row(item.trace_id, item.call_id, since, *expires, Text(call_text(item.tool_name, item.arguments)), Text(why_text(item)))
    return table


async def show_waiting(place: Place, wanted: str, call: str | None, *, is_json: bool) -> None:
    """Print a call that waits with everything in it, and the commands that decide it.

    Raises:
        TraceNotFound, NotPending, BadInput: there is none, or several and none is named.
    """
    async with opened(place) as store, AgentRunner(store.traces) as runner:
        trace = await find_trace(store.traces, wanted, place.uid)
        items = await runner.pending(place.uid, trace.trace_id)
        options = place_options(place) or ""
        standing = await _standing(store, trace, items, options)
    item = _meant(trace, items, call, standing)
    if item is None:
        raise NotPending(f"call {call} of run {trace.trace_id} does not wait for anyone; {standing}")
    if is_json:
        say_json(msgspec.to_builtins(item))
        return
    for name, text in _facts(item):
        say(visible(f"{name}: {text}"))
    say("it expired, and will not run; go on without it:" if is_over(item) else "decide with one of:")
    for line in command_lines(item, options):
        say(line)
    if not is_over(item) and trace.status != "cancelled":
        say(f"then go on with (or add --resume above):\n  seasoned resume {root_id_of(trace.trace_id)}{options}")


def _facts(item: Approval) -> list[tuple[str, str]]:
    """Return what is known of a call; each text is one line but for the arguments, whose line ends are those of JSON alone."""
    expires = item.expires_at.astimezone().isoformat(" ", "seconds") if item.expires_at is not None else "never"
    facts = [
        ("run", item.trace_id),
        ("call", item.call_id),
        ("tool", one_line(item.tool_name)),
        ("arguments", json.dumps(item.arguments, ensure_ascii=False, indent=2, default=str)),
        ("waits because", why_text(item) + (f": {one_line(item.detail, DETAIL_CHARS)}" if item.detail else "")),
        ("args hash", item.args_hash),
        ("editable", ", ".join(one_line(name) for name in item.editable_params) or "nothing"),
        ("asked at", item.asked_at.astimezone().isoformat(" ", "seconds") if item.asked_at is not None else "-"),
        ("expires", expires + (" (it is over)" if is_over(item) else "")),
        ("attempt", str(item.attempt)),
    ]
    chain = [("asked by", f"call {asker.call_id} of run {asker.trace_id}, for {one_line(asker.tool_name)}") for asker in item.asked_by]
    return facts + ([("worker", one_line(item.worker))] if item.worker else []) + chain


def _meant(trace: Trace, items: Sequence[Approval], call: str | None, standing: str) -> Approval | None:
    """Return the call that is named: of the run itself, or of one below it; without a name the one call that waits. None: it does not wait.

    `standing` says how the run stands.

    Raises:
        NotPending, BadInput: none is named, and there is none, or there are several; or several have this name.
    """
    if call is None and not items:
        raise NotPending(f"no call of run {trace.trace_id} waits for anyone; {standing}")
    named = [item for item in items if call in (None, item.call_id)]
    own = [item for item in named if item.trace_id == trace.trace_id] if call is not None else []
    found = own or named
    if len(found) > 1:
        raise BadInput(f"{len(found)} calls of run {trace.trace_id} wait: name one of {_names(trace, found)}")
    return found[0] if found else None


def _names(trace: Trace, items: Sequence[Approval]) -> str:
    return ", ".join(item.call_id if item.trace_id == trace.trace_id else f"{item.call_id} of run {item.trace_id}" for item in items)


async def _standing(store: Store, trace: Trace, items: Sequence[Approval], options: str) -> str:
    """Return how a run stands that is asked for a call that does not wait, and how it goes on."""
    if items:
        return f"these do: {_names(trace, items)}"
    on = f"go on with: seasoned resume {root_id_of(trace.trace_id)}{options}"
    if trace.status == "waiting":
        return f"{await _last_word(store, trace)}all is decided, {on}"
    if trace.status == "running" and not (await store.traces.head(trace.trace_id)).owner_is_alive:
        return f"the run was interrupted, its process is gone; {on}"
    return f"the run is {trace.status}"


async def _last_word(store: Store, trace: Trace) -> str:
    """Return what was said of a run's call last, and by whom; nothing where that was in a run below."""
    for step in reversed(await store.traces.read_steps(trace.trace_id)):
        word = payload_of(step)
        if isinstance(word, said.ApprovalDecided | said.InDoubtResolved):
            verdict = word.verdict if isinstance(word, said.ApprovalDecided) else word.outcome
            by = f" by {one_line(word.by)}" if word.by else ""
            return f"call {word.call_id} {'' if verdict == 'expired' else 'was '}{WORDS.get(verdict, verdict)}{by}; "
    return ""


# ---- a person's word


async def decide(chosen: Chosen, verdict: Verdict, *, changes: dict[str, Any] | None = None, reason: str | None = None, text: str | None = None) -> int:
    """Record a decision on a call, bound to the arguments it asks with now; return the exit code.

    Raises:
        AgentError: it does not stand, and nothing was recorded.
    """
    by = chosen.by or user_name()

    async def record(runner: AgentRunner, trace: Trace, call_id: str, args_hash: str) -> Approval:
        """Return the call as decided."""
        uid = chosen.job.place.uid
        return await runner.decide(trace.trace_id, call_id, verdict, arguments=changes, reason=reason, text=text, by=by, args_hash=args_hash, uid=uid)

    return await _record(chosen, record, changes)


async def resolve(chosen: Chosen, outcome: Literal["done", "not_done", "retry"], *, result: str | None) -> int:
    """Record what became of a call in doubt; return the exit code.

    Raises:
        AgentError: it does not stand, and nothing was recorded.
    """
    by = chosen.by or user_name()

    async def record(runner: AgentRunner, trace: Trace, call_id: str, _args_hash: str) -> Approval:
        """Return the call as resolved."""
        return await runner.resolve(trace.trace_id, call_id, outcome, result=result, by=by, uid=chosen.job.place.uid)

    return await _record(chosen, record)


async def _record(chosen: Chosen, record: Record, changes: dict[str, Any] | None = None) -> int:
    job, options = chosen.job, place_options(chosen.job.place) or ""
    async with opened(job.place) as store:
        trace = await find_trace(store.traces, chosen.trace, job.place.uid)
        async with AgentRunner(store.traces) as runner:
            items = await runner.pending(job.place.uid, trace.trace_id)
            item = _meant(trace, items, chosen.call, await _standing(store, trace, items, options))
        if item is not None and item.trace_id != trace.trace_id:
            trace = await find_trace(store.traces, item.trace_id, job.place.uid)  # a run below asks
        tools = await _tools(job, store, trace) if changes else Toolbox.empty()
        async with AgentRunner(store.traces, tool_registry=tools.registry) as runner:
            call_id = item.call_id if item is not None else str(chosen.call)
            try:
                decided = await record(runner, trace, call_id, item.args_hash if item is not None else "")  # what did not wait, nobody has looked at
            except (InDoubt, NotInDoubt) as error:
                what = str(error).partition(": ")[0]
                show = f"seasoned approvals show {trace.trace_id} {call_id}{options}"
                raise type(error)(f"{what}: `{show}` lists the commands that decide it") from None
            except ApprovalExpired as error:
                raise ApprovalExpired(f"{error}; go on without it: seasoned resume {root_id_of(trace.trace_id)}{options}") from None
    _tell_decided(chosen, trace, decided, changes or {})
    return await resume_run(job, root_id_of(trace.trace_id)) if chosen.may_resume else DONE


def _tell_decided(chosen: Chosen, trace: Trace, decided: Approval, changes: dict[str, Any]) -> None:
    if chosen.job.is_json:
        say_json(msgspec.to_builtins(decided))
        return
    verdict, call = str(decided.verdict), call_text(decided.tool_name, {**decided.arguments, **changes})
    where = f" · run {trace.trace_id}" if chosen.trace == LAST else ""  # which one that was is to be seen
    tell(f"{WORDS.get(verdict, verdict)} by {one_line(str(decided.decided_by))}: {call}{where}")
    if not chosen.may_resume and trace.status != "cancelled":
        tell(f"go on with:\n  seasoned resume {root_id_of(trace.trace_id)}{place_options(chosen.job.place) or ''}")


async def _tools(job: Job, store: Store, trace: Trace) -> Toolbox:
    """Return the run's own tools, whose schemas check an edit; none where they are not found here."""
    try:
        return tools_again(job, trace, await input_of(store, trace))
    except AgentError as error:
        tell(f"the changed arguments are checked when the run goes on, not now: {error}")
        return Toolbox.empty()


def user_name() -> str:
    """Return who sits here, for the record."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "command line"


def changes_of(pairs: Sequence[str] | None, whole: str | None) -> dict[str, Any]:
    """Return the parameters to change, from `NAME=VALUE` pairs (a value is JSON, else text) or from one JSON object.

    Raises:
        BadInput: neither, both, a name twice, or another form.
    """
    if bool(pairs) == (whole is not None):
        raise BadInput("say what changes: --set NAME=VALUE (repeat for more), or --arguments with a JSON object")
    if whole is not None:
        return _object(whole)
    changes: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise BadInput(f"--set {pair!r} has another form than NAME=VALUE, such as --set amount=7.0")
        if name in changes:
            raise BadInput(f"--set names {name!r} twice: give each parameter once")
        try:
            changes[name] = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeEncodeError):
            changes[name] = value
    return changes


def _object(text: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise BadInput(f"--arguments is no JSON ({error}): write an object, such as '{{\"amount\": 7.0}}'") from None
    if not isinstance(found, dict):
        raise BadInput("--arguments is no JSON object: write one, such as '{\"amount\": 7.0}'")
    return found


def response_of(text: str) -> str:
    """Return what the model is told instead of a result; '-' reads it from stdin.

    Raises:
        BadInput: it is empty.
    """
    said = sys.stdin.read(MAX_TEXT_CHARS + 2).removesuffix("\n") if text == "-" else text
    if not said.strip():
        raise BadInput("the text is empty: say what the model is told instead of the tool's result")
    return said


def outcome_of(words: Sequence[str]) -> tuple[str | None, Literal["done", "not_done", "retry"]]:
    """Return the call (None: not named) and what became of it, from `[CALL] OUTCOME`.

    Raises:
        BadInput: it has another form.
    """
    *calls, outcome = words
    if len(calls) > 1 or outcome not in OUTCOMES:
        raise BadInput(f"{' '.join(words)!r} does not say what became of the call: write [CALL] and one of {', '.join(OUTCOMES)}")
    return (calls[0] if calls else None), outcome  # type: ignore[return-value]  # one of OUTCOMES
