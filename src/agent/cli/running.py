"""Drives a run from the command line: opens what it needs, shows its events, obeys Ctrl-C."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from agent.cli.casting import Cast, Given, cast_of, folders_of
from agent.cli.endings import RESTS, close_run, code_of, say_rest, sentence_of, status_of
from agent.cli.faces import Face, face_of, say_error
from agent.cli.grants import Grants, keep_grants, kept_grants
from agent.cli.interrupts import Interrupts
from agent.cli.limiting import raise_option
from agent.cli.loading import Loading
from agent.cli.model_choice import Choice, choose_model
from agent.cli.outlet import tell
from agent.cli.place import Place, find_trace, opened, place_of, place_options
from agent.cli.policing import guarded_config, policy_specs
from agent.cli.project_file import Project, load_project
from agent.cli.skill_folders import bring_skills
from agent.cli.sub_agents import open_with_agents
from agent.cli.toolbox import Toolbox, Wanted, split_names
from agent.config import AgentConfig
from agent.core.fold import fold
from agent.core.limits import DAILY, driven_s, used_of
from agent.errors import ConfigInvalid, LimitNotRaised, RunError
from agent.events import AgentEvent
from agent.models.payloads import Input, LimitReached, payload_of
from agent.models.trace import Trace, root_id_of
from agent.models.value import Value, replace
from agent.runner import AgentRunner
from agent.storage.protocols import Store


class Job(Value, frozen=True, kw_only=True):
    """What `run` and `chat` were asked."""

    place: Place
    project: Project
    given: Given
    conversation: str | None = None
    is_json: bool = False


def job_of(given: Given, *, config: Path | None, db: str | None, uid: str | None, conversation: str | None = None, is_json: bool = False) -> Job:
    """Return what a run was asked, with the settings of its folder."""
    project = load_project(config)
    return Job(place=place_of(project, db, uid), project=project, given=given, conversation=conversation, is_json=is_json)


class Shown(Value, frozen=True, kw_only=True):
    """How a run is shown: by which face, and what Ctrl-C does."""

    face: Face
    uid: str
    grants: Grants | None = None  # kept as soon as the run is on the record
    options: str | None = ""  # that a next command needs; None: the store keeps nothing
    may_pause: bool = True  # False: the run is only watched


async def start_run(job: Job, task: str) -> int:
    """Run an agent on a task and return the exit code."""
    cast = cast_of(job.given, job.project)
    toolbox = open_with_agents(cast.wanted, job.project, folders_of(job.project), progress=Loading() if not job.is_json else None)
    choice = choose_model(cast.model, job.project, progress=Loading() if not job.is_json else None)
    async with opened(job.place, may_make=True) as store:
        await bring_skills(store.memories, job.project, is_wanted=cast.memory)
        return await run_once(job, store, cast, toolbox, choice, task)


async def run_once(job: Job, store: Store, cast: Cast, toolbox: Toolbox, choice: Choice, task: str, *, is_quiet: bool = False) -> int:
    """Run one task in an open store; show it; return the exit code."""
    config = guarded_config(job.project, job.given)
    async with runner_of(store, toolbox, choice, config) as runner:
        events = runner.run(
            task,
            system_prompt=cast.system,
            model=choice.name,
            tools=list(toolbox.offered) or None,
            agent_type=cast.agent_type,
            uid=job.place.uid,
            max_iterations=cast.max_iterations,
            limits=cast.limits,
            output_type=cast.output_schema,
            enable_memory=cast.memory,
            memory=cast.wishes,
            conversation_id=job.conversation,
            **{**choice.settings, **cast.settings},
        )
        if not job.is_json and not is_quiet:
            _tell_header(choice, toolbox.offered)
        face = face_of(is_json=job.is_json)
        grants = Grants(
            tools=list(cast.wanted.names),
            modules=list(cast.wanted.modules),
            folders=[str(folder) for folder in folders_of(job.project)],
            root=cast.wanted.root,
            hosts=list(cast.wanted.hosts),
            model=choice.name,
            policies=policy_specs(job.project, job.given),
        )
        return await follow(runner, events, Shown(face=face, uid=job.place.uid, grants=grants, options=place_options(job.place)))


def _tell_header(choice: Choice, offered: tuple[str, ...]) -> None:
    tools = ", ".join(offered) if offered else "none (offer some with --tool)"
    tell(f"model {choice.name} · tools: {tools}")
    if choice.note:
        tell(choice.note)


@contextlib.asynccontextmanager
async def runner_of(store: Store, toolbox: Toolbox, choice: Choice, config: Any) -> AsyncIterator[AgentRunner]:
    """Open a runner; afterwards let go of its runs, then of the model."""
    runner = AgentRunner(store.traces, store.memories, store.states, toolbox.registry, choice.llm_call, config)
    try:
        async with runner:
            yield runner
    finally:
        for model in (choice.llm_call, *toolbox.models):
            close = getattr(model, "aclose", None)
            if close is not None:
                await close()


async def follow(runner: AgentRunner, events: AsyncIterator[AgentEvent], shown: Shown) -> int:
    """Show a run's events until it rests, or a second Ctrl-C; return the exit code."""
    face, error = shown.face, None
    with Interrupts(face.note) as interrupts:
        try:
            await _show(runner, events, shown, interrupts)
        except asyncio.CancelledError:
            if not interrupts.was_stopped:
                raise
        except Exception as raised:
            error = raised
        finally:
            face.close()
    if interrupts.was_stopped:
        return _stopped(shown)
    if error is not None:
        say_error(sentence_of(error))
        if status_of(face.board) is None:
            return code_of(error)
    elif face.board.ending is not None and face.board.ending.type == "trace_failed":  # watched only: nobody raises it here
        say_error(str(face.board.ending.data["error"]))
    waiting = await runner.pending(shown.uid, face.board.trace_id) if status_of(face.board) == "waiting" else ()
    return close_run(face, waiting, options=shown.options)


async def _show(runner: AgentRunner, events: AsyncIterator[AgentEvent], shown: Shown, interrupts: Interrupts) -> None:
    """Show events; from the first one on, what the run was allowed is kept and Ctrl-C pauses it."""
    async for event in events:
        shown.face.show(event)
        trace_id = event.data.get("trace_id")
        if trace_id is None or interrupts.pause is not None or not shown.may_pause:
            continue
        interrupts.pause = functools.partial(_pause, runner, trace_id, shown.uid)
        if shown.grants is not None:
            keep_grants(trace_id, shown.grants)


async def _pause(runner: AgentRunner, trace_id: str, uid: str) -> None:
    with contextlib.suppress(Exception):  # it ended meanwhile, which its last event says
        await runner.pause(trace_id, by="command line", uid=uid)


def _stopped(shown: Shown) -> int:
    trace_id = shown.face.board.trace_id
    if not shown.may_pause:
        tell("no longer watching; that does not stop the run")
    elif trace_id is None:
        tell("stopped before anything was recorded")
    elif shown.options is None:
        tell("stopped; it was kept in memory alone, and is gone now")
    else:
        tell(f"stopped; the run is on the record and can go on:\n  seasoned resume {trace_id}{shown.options}")
    return RESTS


# ---- resume


async def resume_run(job: Job, wanted: str, *, take_over: bool = False) -> int:
    """Go on with a run and return the exit code."""
    async with opened(job.place) as store:
        trace = await find_trace(store.traces, wanted, job.place.uid)
        if trace.status in ("completed", "cancelled"):
            return say_rest(trace.status, await answer_of(store, trace), trace.trace_id, is_json=job.is_json)
        raised = dict(job.given.limits)
        if job.given.max_iterations is not None:
            raised["max_iterations"] = job.given.max_iterations
        if trace.status == "limit_reached":
            await _check_raised(store, trace, raised)
        asked = await input_of(store, trace)
        head = await store.traces.head(trace.trace_id)
        is_watching = trace.status == "running" and head.owner_is_alive and not take_over
        toolbox, choice = _cast_again(job, trace, asked) if not is_watching else (Toolbox.empty(), Choice(name=asked.model, llm_call=_never))
        async with runner_of(store, toolbox, choice, _guards_again(job, trace)) as runner:
            if is_watching and not job.is_json:
                tell(f"another process drives run {trace.trace_id}: watching it (Ctrl-C stops watching; --take-over takes it over)")
            elif not job.is_json:
                _tell_header(choice, toolbox.offered)
            events = runner.resume(trace.trace_id, limits=raised or None, take_over=take_over, uid=job.place.uid)
            shown = Shown(face=face_of(is_json=job.is_json), uid=job.place.uid, options=place_options(job.place), may_pause=not is_watching)
            return await follow(runner, events, shown)


async def _check_raised(store: Store, trace: Trace, raised: dict[str, Any]) -> None:
    """Say early, and in the words of the command line, that a limit has to be raised first."""
    steps = await store.traces.read_steps(trace.trace_id)
    reached = next((payload_of(step) for step in reversed(steps) if step.step_type == "limit_reached"), None)
    if not isinstance(reached, LimitReached) or (reached.limit in DAILY and reached.value != 0):
        return
    used = used_of(fold(steps), reached.limit, driven_s(steps))
    if raised.get(reached.limit, 0) <= max(used or 0, reached.value or 0):
        of_it = f" and has used {used:.6g} of it" if used is not None else ""
        option = raise_option(reached.limit, reached.value, used)
        raise LimitNotRaised(f"run {trace.trace_id} reached its limit {reached.limit} = {reached.value}{of_it}: raise it above that, such as with {option}")


def _cast_again(job: Job, trace: Trace, asked: Input) -> tuple[Toolbox, Choice]:
    """Return the tools and the model of a run that is taken up again."""
    toolbox, kept = tools_again(job, trace, asked), kept_grants(root_id_of(trace.trace_id)) or Grants()
    choice = choose_model(job.given.model or kept.model or asked.model or None, job.project, progress=Loading() if not job.is_json else None)
    return toolbox, choice


def _guards_again(job: Job, trace: Trace) -> AgentConfig:
    kept = kept_grants(root_id_of(trace.trace_id)) or Grants()
    return guarded_config(job.project, job.given, kept.policies, [Path(folder) for folder in kept.folders])


def tools_again(job: Job, trace: Trace, asked: Input) -> Toolbox:
    """Return the tools of a run that is taken up again.

    Raises:
        ConfigInvalid: a tool that the run uses is not among those found.
    """
    kept = kept_grants(root_id_of(trace.trace_id)) or Grants()
    given, project = job.given, job.project
    names = split_names(given.tools) or tuple(kept.tools) or tuple(asked.tools or ())
    wanted = Wanted(
        names=names,
        modules=tuple(dict.fromkeys((*kept.modules, *project.tools.modules))) if asked.tools or asked.asked_by else (),
        root=str(given.root.absolute()) if given.root is not None else kept.root,
        hosts=split_names(given.hosts) or tuple(kept.hosts),
    )
    folders = [*folders_of(project), *(Path(folder) for folder in kept.folders)]
    toolbox = open_with_agents(wanted, project, folders) if asked.tools or asked.asked_by else Toolbox.empty()
    missing = [name for name in asked.tools or () if name not in toolbox.registry]
    if missing:
        raise ConfigInvalid(f"run {trace.trace_id} uses the tools {', '.join(missing)}: name them with --tool (your own as module:registry) to go on")
    return replace(toolbox, offered=tuple(asked.tools or ()))


async def _never(**_: Any) -> dict[str, Any]:
    """Stand where a model is wanted by a process that only watches."""
    raise RunError("this process only watches the run: it asks no model")


async def input_of(store: Store, trace: Trace) -> Input:
    """Return what a run began with, of a fork with its changes; an empty one where that cannot be read."""
    if trace.fork_at is not None:
        return fold(await store.traces.read_steps(trace.trace_id)).input or Input()
    steps = await store.traces.read_steps(trace.trace_id, limit=1)
    payload = payload_of(steps[0]) if steps else None
    return payload if isinstance(payload, Input) else Input()


async def answer_of(store: Store, trace: Trace) -> str | None:
    """Return the answer of a run that has ended."""
    after = (await store.traces.head(trace.trace_id)).next_sequence
    while after > 0:
        after = max(0, after - 20)
        for step in reversed(await store.traces.get_steps(trace.trace_id, after=after - 1, limit=20)):
            if step.step_type == "conclusion":
                return str(step.data.get("content") or "")
    return None
