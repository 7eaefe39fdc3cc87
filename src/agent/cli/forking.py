"""`fork` and `replay` from the shell."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.cli.casting import Given, folders_of
from agent.cli.grants import Grants, keep_grants, kept_grants
from agent.cli.outlet import say, say_json, tell
from agent.cli.place import Place, find_trace, opened, place_options
from agent.cli.policing import guarded_config
from agent.cli.running import Job
from agent.cli.toolbox import Toolbox, Wanted, open_toolbox, split_names
from agent.cli.visible import one_line
from agent.errors import BadInput
from agent.llm.script import SCRIPTED
from agent.models.trace import step_id_of
from agent.models.value import Value, replace
from agent.runner import AgentRunner
from agent.storage.protocols import TraceLog


class Changes(Value, frozen=True, kw_only=True):
    """What a fork is to have otherwise, as it was typed; None: as it is."""

    task: str | None = None
    is_without_memory: bool = False
    without: Sequence[str] | None = None
    results: Sequence[str] | None = None


async def fork_run(job: Job, wanted: str, at: int, typed: Changes) -> None:
    """Record a fork and print its id; it may use what the run that it comes from was allowed.

    Raises:
        BadInput, TraceNotFound, ToolNotFound, ConfigInvalid: it cannot be; says why.
    """
    given, project, place = job.given, job.project, job.place
    results = [result_of(text) for text in typed.results or ()]
    async with opened(place) as store:
        trace = await find_trace(store.traces, wanted, place.uid)
        grants = _granted(job, kept_grants(trace.trace_id) or Grants())
        toolbox = _toolbox(job, grants) if given.tools is not None else Toolbox.empty()
        changes = _changes(given, typed, grants, toolbox)
        if results:
            changes["result"] = {await _step_id(store.traces, trace.trace_id, step, place.uid): value for step, value in results}
        async with AgentRunner(
            store.traces, store.memories, store.states, tool_registry=toolbox.registry, config=guarded_config(project, given, grants.policies)
        ) as runner:
            fork_id = await runner.fork(trace.trace_id, at, uid=place.uid, **changes)
        keep_grants(fork_id, grants)
        made = await store.traces.get_trace(fork_id, uid=place.uid)
    status = made.status if made is not None else None
    if job.is_json:
        say_json({"trace_id": fork_id, "parent_trace_id": trace.trace_id, "fork_at": at, "status": status})
        return
    say(fork_id)
    options = place_options(place) or ""
    advice = {"waiting": f"a call of it waits for a person:\n  seasoned approvals show {fork_id}{options}", "completed": "it has its answer already"}
    tell(f"run {trace.trace_id} was forked at step {at}; {advice.get(status or '', f'it rests, go on with:{chr(10)}  seasoned resume {fork_id}{options}')}")


def _granted(job: Job, kept: Grants) -> Grants:
    given, names = job.given, split_names(job.given.tools)
    model = given.model if given.model is not None else kept.model
    if given.model is not None and given.model.startswith(SCRIPTED):
        model = f"{SCRIPTED}{Path(given.model.removeprefix(SCRIPTED)).expanduser().absolute()}"
    return replace(
        kept,
        model=model,
        tools=list(names) if given.tools is not None else kept.tools,
        root=str(given.root.absolute()) if given.root is not None else kept.root,
        hosts=list(split_names(given.hosts)) or kept.hosts,
    )


def _toolbox(job: Job, grants: Grants) -> Toolbox:
    modules = tuple(dict.fromkeys((*grants.modules, *job.project.tools.modules)))
    wanted = Wanted(names=tuple(grants.tools), modules=modules, root=grants.root, hosts=tuple(grants.hosts))
    return open_toolbox(wanted, [*folders_of(job.project), *(Path(folder) for folder in grants.folders)])


def _changes(given: Given, typed: Changes, grants: Grants, toolbox: Toolbox) -> dict[str, Any]:
    texts = {"task": typed.task, "system_prompt": given.system, "model": grants.model if given.model is not None else None}
    changes: dict[str, Any] = {name: value for name, value in texts.items() if value is not None}
    if typed.is_without_memory:
        changes["memory"] = None
    if typed.without:
        changes["exclude_memory"] = list(typed.without)
    if given.tools is not None:
        changes["tools"] = list(toolbox.offered)
    return changes


async def _step_id(log: TraceLog, trace_id: str, step: int | str, uid: str) -> str:
    """Return the id of a step that was named by its number, or by its id."""
    wanted = step_id_of(trace_id, step) if isinstance(step, int) else step
    return (await log.get_step(trace_id, wanted, uid=uid)).step_id


def result_of(text: str) -> tuple[int | str, Any]:
    """Return the step (its number or its id) and the result in `STEP=VALUE`; the value is JSON where it can be read so, else text.

    Raises:
        BadInput: it has another form.
    """
    step, sign, value = text.partition("=")
    if not sign or not step.strip():
        raise BadInput(f"{text!r:.100} is no edited result: write STEP=VALUE, such as 3='nothing found'")
    step = step.strip()
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        read = value
    return int(step) if step.isascii() and step.isdecimal() and len(step) < 10 else step, read  # noqa: PLR2004  # no sequence is longer


async def replay_run(place: Place, wanted: str, *, is_json: bool) -> int:
    """Replay a run and print what came of it; return 1 where it is not identical."""
    async with opened(place) as store, AgentRunner(store.traces) as runner:
        trace_id = (await find_trace(store.traces, wanted, place.uid)).trace_id
        found = await runner.replay(trace_id, uid=place.uid)
    if is_json:
        say_json({name: getattr(found, name) for name in found.__struct_fields__})
    elif found.identical:
        say(f"run {trace_id}: all {found.steps} steps follow from its log")
    else:
        where = f"step {found.sequence}" if found.sequence is not None else "its log"
        say(f"run {trace_id} is not identical: {where} does not follow from what stands before it ({one_line(found.reason or '', 300)})")
        if found.expected is not None:
            say(f"  expected {one_line(found.expected, 200)}, found {one_line(found.found or 'nothing', 200)}")
    return 0 if found.identical else 1
