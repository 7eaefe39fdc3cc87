"""Feedback from the command line."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import agent.models.payloads as said
from agent.cli.casting import config_of
from agent.cli.model_choice import choose_model
from agent.cli.one_step import find_step
from agent.cli.outlet import say, say_json, tell
from agent.cli.place import Place, find_trace, opened, place_of, place_options
from agent.cli.project_file import Project
from agent.cli.visible import count_text, one_line
from agent.errors import BadInput
from agent.memory.keeping import closed_by
from agent.models.feedback import FeedbackGiven
from agent.models.memory import Experience
from agent.models.trace import Step, Trace, proof_of
from agent.models.value import Value
from agent.runner import AgentRunner
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import MemoryCurator, Store, TraceLog

Kind = Literal["positive", "negative", "correction"]
Where = tuple[str | None, str | None]
"""The store's URL and the uid, as they were given."""
NOT_LEARNT = "this run was made by `memory prove`: nothing is learnt from it; say it of the run that it was forked from"
PAGE = 50  # steps read at once while the last answer is looked for
LOOKED_THROUGH = 200  # runs, the newest, among which those are looked for of which anything was said


class Opinion(Value, frozen=True, kw_only=True):
    """What somebody says of a step."""

    kind: Kind | None
    text: str | None
    corrected: Any = None
    by: str | None = None


def right_of(tool: str | None, arguments: str | None, output: str | None) -> Any:
    """Return what would have been right, from the options of a command.

    Raises:
        BadInput: the arguments are no JSON object, or both a call and an output are named.
    """
    if output is not None and (tool is not None or arguments is not None):
        raise BadInput("--output is about an answer, --tool and --args about a call: give one of them")
    if output is not None:
        return output
    right: dict[str, Any] = {} if tool is None else {"tool_name": tool}
    if arguments is not None:
        try:
            right["arguments"] = json.loads(arguments)
        except (ValueError, RecursionError):
            right["arguments"] = None
        if not isinstance(right["arguments"], dict):
            raise BadInput(f'--args is no JSON object: {arguments!r:.200}; write it as \'{{"name": "value"}}\'')
    return right or None


def opinion_of(texts: Mapping[Kind, str | None], corrected: Any, by: str | None) -> Opinion:
    """Return the one opinion that was given; what would have been right makes it a correction.

    Raises:
        BadInput: none was given, or several.
    """
    given: list[tuple[Kind, str]] = [(kind, text) for kind, text in texts.items() if text is not None]
    if not given and corrected is not None:
        return Opinion(kind="correction", text=None, corrected=corrected, by=by)
    option = next((text for _, text in given if text.startswith("--")), None)
    if option is not None:
        raise BadInput(f'the words are {option!r:.100}, an option: each of --positive, --negative and --correction needs its own, as in --positive "quick"')
    if len(given) != 1:
        raise BadInput('say one of --positive "…", --negative "…" or --correction "…"')
    if not given[0][1].strip() and corrected is None:
        raise BadInput(f'--{given[0][0]} has no words: say what you mean, as in --{given[0][0]} "…"')
    return Opinion(kind=given[0][0], text=given[0][1], corrected=corrected, by=by)


@asynccontextmanager
async def _desk(project: Project, where: Where) -> AsyncIterator[tuple[Place, Store, AgentRunner]]:
    """Open the store and a runner that learns as the settings say."""
    place, config = place_of(project, *where), config_of(project)
    model = choose_model(config.extractor_model or project.top.model, project).llm_call if config.extractor == "llm" else None
    async with opened(place) as store, AgentRunner(store.traces, store.memories, llm_call=model, config=config) as runner:
        yield place, store, runner


async def add_feedback(project: Project, where: Where, target: str, opinion: Opinion, *, is_learning: bool, is_json: bool) -> None:
    """Record one opinion on a step, or on a run's answer.

    Raises:
        BadInput: the run has no answer yet, or the opinion no words.
        TraceNotFound, StepNotFound: there is nothing of this id.
    """
    async with _desk(project, where) as (place, store, runner):
        trace, step = await (find_step(store.traces, target, place.uid) if "/" in target else _answer(store.traces, target, place.uid))
        given_before = await _cases(store, trace.trace_id)
        given = (trace.trace_id, step.step_id, opinion.kind or "correction", opinion.text or "", is_learning)
        learnt = await runner.add_feedback(*given, by=opinion.by, corrected=opinion.corrected, uid=place.uid)
        item, replaced = await _item(store, learnt), await _replaced(store, learnt, place.uid)
        cases = await _cases(store, trace.trace_id, given_before)
    if is_json:
        say_json({"trace_id": trace.trace_id, "step_id": step.step_id, "experience_id": learnt, "cases": cases})
        return
    tell(f"recorded on step {step.sequence} of run {trace.trace_id}")
    if proof_of(trace) is not None:
        tell(NOT_LEARNT)
    _tell_learnt(learnt, item, replaced)
    if cases:
        tell(f"learnt {count_text(cases, 'case')} for or against its tools: seasoned memory ls --kind case{place_options(place) or ''}")


async def list_feedback(project: Project, where: Where, wanted: str | None, *, limit: int, is_json: bool) -> None:
    """Print what was said of a run, or of the newest runs of which anything was."""
    async with _desk(project, where) as (place, store, runner):
        traces = [await find_trace(store.traces, wanted, place.uid)] if wanted is not None else await _spoken_of(store.traces, place.uid, limit)
        found = [given for trace in traces for given in await runner.feedback.list(trace.trace_id, uid=place.uid)]
    if not found and not is_json:
        tell("nothing was said yet: `seasoned feedback add last --correction TEXT` says how it is done rightly")
    for given in found:
        if is_json:
            say_json(given.to_dict())
        else:
            say(_line(given))


def _line(given: FeedbackGiven) -> str:
    signs = [f"by {given.by}" if given.by else "", "taken back" if given.is_revoked else "", f"version {given.versions}" if given.versions > 1 else ""]
    said_so = one_line(given.content or given.corrected or "", 80)
    came = f" → {given.experience_id}" if given.experience_id and not given.is_revoked else ""
    told = ", ".join(sign for sign in signs if sign)
    return f"{given.trace_id}/{given.sequence}  {given.feedback_type}{f' ({one_line(told)})' if told else ''}: {said_so}{came}"


async def edit_feedback(project: Project, where: Where, target: str, opinion: Opinion, *, is_json: bool) -> None:
    """Say a feedback in another way; words that are left out stay."""
    async with _desk(project, where) as (place, store, runner):
        trace, step = await find_step(store.traces, target, place.uid)
        changes: dict[str, Any] = {} if opinion.corrected is None else {"corrected": opinion.corrected}
        learnt = await runner.feedback.edit(
            trace.trace_id, step.step_id, feedback_type=opinion.kind, content=opinion.text, by=opinion.by, uid=place.uid, **changes
        )
        item, replaced = await _item(store, learnt), await _replaced(store, learnt, place.uid)
    if is_json:
        say_json({"trace_id": trace.trace_id, "feedback_id": step.step_id, "experience_id": learnt})
        return
    tell(f"changed; what was said before stays on the record of run {trace.trace_id}")
    _tell_learnt(learnt, item, replaced)


async def undo_feedback(project: Project, where: Where, target: str, *, by: str | None, is_json: bool, is_redo: bool = False) -> None:
    """Take a feedback back, or with `is_redo` give one again that was."""
    async with _desk(project, where) as (place, store, runner):
        trace, step = await find_step(store.traces, target, place.uid)
        learnt = None
        if is_redo:
            learnt = await runner.feedback.restore(trace.trace_id, step.step_id, by=by, uid=place.uid)
        else:
            await runner.feedback.revoke(trace.trace_id, step.step_id, by=by, uid=place.uid)
        item, replaced = await _item(store, learnt), await _replaced(store, learnt, place.uid)
    if is_json:
        say_json({"trace_id": trace.trace_id, "feedback_id": step.step_id, "is_revoked": not is_redo, "experience_id": learnt})
        return
    if is_redo:
        tell("given again")
        _tell_learnt(learnt, item, replaced)
        return
    tell(f"taken back: what was learnt of it is told no more; `seasoned feedback redo {trace.trace_id}/{step.sequence}` gives it again")


async def give_outcome(project: Project, where: Where, wanted: str, value: float, *, by: str | None, is_json: bool) -> None:
    """Record how a run went.

    Raises:
        BadInput: the value is not from 0 to 1.
    """
    async with _desk(project, where) as (place, store, runner):
        trace = await find_trace(store.traces, wanted, place.uid)
        await runner.outcome(trace.trace_id, value, by=by, uid=place.uid)
    if is_json:
        say_json({"trace_id": trace.trace_id, "value": value})
        return
    tell(f"recorded: run {trace.trace_id} went {value:g}")


async def learn_from(project: Project, where: Where, wanted: str, *, is_json: bool) -> None:
    """Learn from a run, also from what was not to be learnt from so far."""
    async with _desk(project, where) as (place, store, runner):
        trace = await find_trace(store.traces, wanted, place.uid)
        assert runner.memory is not None
        learnt = await runner.memory.learn(trace.trace_id, even_unasked=True, uid=place.uid)
    if is_json:
        say_json({"trace_id": trace.trace_id, "experience_ids": learnt})
        return
    if proof_of(trace) is not None:
        tell(NOT_LEARNT)
        return
    tell(f"learnt from run {trace.trace_id}: {', '.join(learnt) or 'no words; how its tools did is counted, where somebody said so'}")


async def _cases(store: Store, trace_id: str, before: int = 0) -> int:
    """Return how many cases there are of a run, less those before."""
    return len(await store.memories.cases(trace_id=trace_id)) - before if isinstance(store.memories, LearningStore) else 0


async def _item(store: Store, experience_id: str | None) -> Experience | None:
    item = await store.memories.get(experience_id) if experience_id is not None and isinstance(store.memories, MemoryCurator) else None
    return item if isinstance(item, Experience) else None


async def _replaced(store: Store, experience_id: str | None, uid: str) -> list[str]:
    """Return the ids of what an experience took the place of."""
    if experience_id is None or not isinstance(store.memories, LearningStore):
        return []
    return [item.experience_id for item in await closed_by(store.memories, experience_id, uid=uid)]


def _tell_learnt(experience_id: str | None, item: Experience | None, replaced: Sequence[str]) -> None:
    if experience_id is None:
        return
    if item is not None and item.state == "shadow":
        tell(f"learnt as {experience_id}, worded by a model: {one_line(item.rule)}")
        tell(f"it waits in the shadow: looked up and logged, told to no run before more runs say the same, or `seasoned memory activate {experience_id}`")
        tell(f"what it would change in past runs: seasoned memory prove {experience_id}")
        return
    tell(f"learnt as {experience_id}: later runs of this agent are told where it fits")
    if replaced:
        tell(f"it takes the place of {', '.join(replaced)}; the other way round: seasoned memory conflicts")


async def _spoken_of(log: TraceLog, uid: str, limit: int) -> list[Trace]:
    """Return the newest runs of which anything was said, of so many as are looked through."""
    newest = await log.list_traces(uid=uid, limit=LOOKED_THROUGH)
    found: list[Trace] = []
    for trace in newest:
        if len(found) == limit:
            break
        if any(step.step_type == said.Feedback.step_type for step in await log.read_steps(trace.trace_id)):
            found += [trace]
    return found


async def _answer(log: TraceLog, wanted: str, uid: str) -> tuple[Trace, Step]:
    """Return a run with its last answer, or else its last model or tool call."""
    trace = await find_trace(log, wanted, uid)
    upto, fallback = (await log.head(trace.trace_id)).next_sequence, None
    while upto > 0:
        begin = max(0, upto - PAGE)
        for step in reversed(await log.get_steps(trace.trace_id, after=begin - 1, limit=upto - begin, uid=uid)):
            if step.step_type == "conclusion":
                return trace, step
            fallback = fallback or (step if step.step_type in ("llm_call", "tool_call") else None)
        upto = begin
    if fallback is None:
        raise BadInput(f"run {trace.trace_id} has no answer yet: name a step of it, as in {trace.trace_id}/0; `seasoned runs show` lists them")
    return trace, fallback
