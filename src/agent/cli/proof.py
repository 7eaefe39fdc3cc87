"""Proofs from the shell: opens the models, shows both sides of each past run and what is otherwise between them."""

from agent.cli.casting import config_of, folders_of
from agent.cli.comparing import diff_lines
from agent.cli.evaluating import closing, scoring_function
from agent.cli.item_finding import find_experience
from agent.cli.loading import Loading
from agent.cli.model_choice import choose_model
from agent.cli.outlet import console, say, say_json, tell
from agent.cli.place import Place, find_trace, opened, place_options
from agent.cli.project_file import Project
from agent.cli.toolbox import Toolbox
from agent.cli.visible import one_line
from agent.errors import BadInput
from agent.evals.judging import judge_of
from agent.evals.proving import Proof, Proved, Prover, Side
from agent.evals.report import difference_text
from agent.evals.scorers import Marking, Scorer
from agent.models.trace import Trace
from agent.models.value import Value
from agent.runner import AgentRunner
from agent.storage.protocols import Store

ANSWER_CHARS = 160
"""Of an answer that is shown."""


class ProofAsked(Value, frozen=True, kw_only=True):
    """What `memory prove` was asked."""

    item_id: str
    runs: int
    only: tuple[str, ...]
    model: str | None
    judge: str | None
    scorer: str | None
    rubric: str
    has_judge: bool
    activates: bool
    by: str | None
    is_json: bool


async def prove_item(place: Place, project: Project, asked: ProofAsked) -> None:
    """Print what past runs do with an item and without it.

    Raises:
        ExperienceNotFound, TraceNotFound: there is none.
        BadInput: a run that was named read no memory.
    """
    if asked.scorer is not None and asked.judge is not None:
        raise BadInput("give --judge or --scorer: one of them grades")
    functions = {asked.scorer: scoring_function(asked.scorer, folders_of(project))} if asked.scorer is not None else {}
    loading = None if asked.is_json else Loading()
    choice = choose_model(asked.model or project.agent(None).model or project.top.model, project, progress=loading)
    judging = choose_model(asked.judge, project, progress=loading) if asked.judge is not None else choice
    config = config_of(project)
    async with opened(place) as store, closing(choice, judging, Toolbox.empty()):
        judge = judge_of(AgentRunner(store.traces, llm_call=judging.llm_call), judging.name, uid=f"{place.uid}/eval/judge", language=config.language)
        prover = Prover(store, choice.llm_call, choice.name, uid=place.uid, config=config, marking=Marking(functions, judge), scorer=_scorer(asked))
        item_id = (await find_experience(prover.memories, asked.item_id, place.uid)).experience_id
        only = [(await find_trace(store.traces, one, place.uid)).trace_id for one in asked.only]
        if not asked.is_json:
            tell(f"past runs once more with {choice.name}, with and without {item_id}; no tool does anything")
        proof = await prover.prove(item_id, runs=asked.runs, only=only)
        is_activated = asked.activates and proof.state in ("shadow", "candidate")
        if is_activated:
            reason = f"looked into {len(proof.runs)} past runs with and without it"
            await prover.memories.set_state(item_id, "active", by=asked.by, reason=reason, uid=place.uid)
        if asked.is_json:
            say_json({**_as_json(proof), "is_activated": is_activated})
            return
        await _say(store, proof, place, is_activated=is_activated)


def _scorer(asked: ProofAsked) -> Scorer | None:
    if asked.scorer is not None:
        return Scorer("function", {"function": asked.scorer})
    return Scorer("judge", {"rubric": asked.rubric}) if asked.has_judge else None


async def _say(store: Store, proof: Proof, place: Place, *, is_activated: bool) -> None:
    say(f"{proof.item_id} ({proof.state}): {one_line(proof.text, ANSWER_CHARS)}")
    for one in proof.runs:
        say("")
        say(f"run {one.trace_id}: {one_line(one.task, ANSWER_CHARS)}")
        say(f"  {'was told it' if one.was_told else 'was not told it'}; {'it made no difference' if one.is_same else 'it went otherwise'}")
        for name, side in (("without", one.without), ("with", one.with_it)):
            say(f"  {name:8}{_side_text(side)}")
        if not one.is_same:
            await _say_difference(store, one, place)
    for trace_id, why in proof.skipped:
        tell(f"run {trace_id} could not be looked into: {why}")
    _say_verdict(proof)
    if is_activated:
        tell("it is active now: later runs are told it where it fits")
    elif proof.state == "shadow":
        options = place_options(place) or ""
        tell(f"it is in the shadow: retrieved, and not told to any run. To have it told:\n  seasoned memory prove {proof.item_id} --activate{options}")


def _side_text(side: Side) -> str:
    grade = "" if side.score is None else " · graded –" if side.score.value is None else f" · graded {side.score.value:.2f}"
    why = f" ({one_line(side.score.why, ANSWER_CHARS)})" if side.score is not None and side.score.why else ""
    calls = f" · {side.stubbed} call{'s' if side.stubbed > 1 else ''} not made" if side.stubbed else ""
    ended = f" · {side.status}" if side.status != "completed" else ""
    return f"{one_line(side.answer, ANSWER_CHARS) or '–'}{grade}{why}{calls}{ended}"


async def _say_difference(store: Store, one: Proved, place: Place) -> None:
    traces: list[Trace] = []
    for side in (one.without, one.with_it):
        trace = await store.traces.get_trace(side.trace_id, uid=place.uid)
        assert trace is not None
        traces.append(trace)
    out = console(is_stderr=False)
    for line in diff_lines(traces[0], traces[1], one.difference):
        line.pad_left(2)
        out.print(line, soft_wrap=True)


def _say_verdict(proof: Proof) -> None:
    say("")
    if not proof.runs:
        say("no past run used it or would have been told it: name one with --run ID")
        return
    same = sum(one.is_same for one in proof.runs)
    say(f"{len(proof.runs)} past runs: {len(proof.runs) - same} went otherwise with it, {same} the same")
    if proof.score is not None:
        say(f"grades with it less those without: {difference_text(proof.score)} points: {proof.verdict}")


def _as_json(proof: Proof) -> dict[str, object]:
    def side(one: Side) -> dict[str, object]:
        """Return a side as plain data."""
        score = {"value": one.score.value, "why": one.score.why} if one.score is not None else None
        return {"trace_id": one.trace_id, "status": one.status, "answer": one.answer, "score": score, "stubbed": one.stubbed}

    runs = [
        {
            "trace_id": one.trace_id,
            "task": one.task,
            "was_told": one.was_told,
            "is_same": one.is_same,
            "without": side(one.without),
            "with": side(one.with_it),
            "diff": one.difference.to_dict(),
        }
        for one in proof.runs
    ]
    found = proof.score.interval if proof.score is not None else None
    difference = {"estimate": found.estimate, "low": found.low, "high": found.high} if found is not None else None
    return {
        "item_id": proof.item_id,
        "state": proof.state,
        "text": proof.text,
        "runs": runs,
        "skipped": [{"trace_id": trace_id, "why": why} for trace_id, why in proof.skipped],
        "difference": difference,
        "verdict": proof.verdict if found is not None else None,
    }
