"""Evals from the shell: reads the tasks, opens what they need, shows how far they are, prints and writes reports."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from agent.cli.casting import Cast, Given, cast_of, folders_of
from agent.cli.loading import Loading
from agent.cli.model_choice import Choice, choose_model
from agent.cli.outlet import say, say_json, tell
from agent.cli.place import Place, opened, place_options
from agent.cli.policing import guarded_config
from agent.cli.project_file import Project
from agent.cli.sub_agents import open_with_agents
from agent.cli.toolbox import AGENT, Toolbox, import_named
from agent.errors import BadInput, ConfigInvalid, StoreUnusable
from agent.evals.cells import Cell, Cells
from agent.evals.judging import judge_of
from agent.evals.report import to_html, to_markdown
from agent.evals.results import Results, results_of
from agent.evals.running import EvalOptions, Evaluation
from agent.evals.scorers import Judge, Marking
from agent.evals.tasks import TaskSet, load_task_set, with_tools
from agent.models.value import Value, replace
from agent.runner import AgentRunner
from agent.storage.protocols import Store

EVERY_S = 2.0
"""Seconds between two lines on how far an eval is."""


MAX_HEAD_BYTES = 1_000  # of a file that may be an older report


class EvalAsked(Value, frozen=True, kw_only=True):
    """What `eval run` was asked."""

    file: Path
    arms: tuple[str, ...]
    seeds: int
    judge: str | None
    corrections: float
    parallel: int
    may_use_effects: bool
    gives_seed: bool
    outputs: tuple[Path, ...]
    is_json: bool


async def run_eval(place: Place, project: Project, given: Given, asked: EvalAsked) -> None:
    """Run an eval, or what is left of it, and print its report.

    Raises:
        BadInput, ConfigInvalid, ToolNotFound: something it is to use cannot be; nothing ran.
        EvalStopped: it cannot go on as it is.
    """
    cast = cast_of(given, project)
    tasks, folders = load_task_set(asked.file), [*folders_of(project), asked.file.absolute().parent]
    names = tuple(dict.fromkeys((*cast.wanted.names, *(name for task in tasks.tasks for name in task.tools))))
    toolbox = open_with_agents(replace(cast.wanted, names=names), project, folders)
    functions = {name: scoring_function(name, folders) for name in _functions(tasks)}
    loading = None if asked.is_json else Loading()
    choice = choose_model(cast.model, project, progress=loading)
    judging = choose_model(asked.judge, project, progress=loading) if asked.judge is not None else choice
    config = guarded_config(project, given)
    config.limits = {**config.limits, **cast.limits}
    _check_outputs(asked.outputs)
    async with opened(place, may_make=True) as store, closing(choice, judging, toolbox):
        judge = _judge(store, tasks, judging, f"{place.uid}/eval/judge", config.language)
        evaluation = Evaluation(
            with_tools(tasks, _groups(toolbox, names)),
            store,
            choice.llm_call,
            choice.name,
            owner=place.uid,
            options=_options(asked, cast, toolbox, choice),
            tools=toolbox.registry,
            marking=Marking(functions, judge),
            config=config,
            file=str(asked.file),
        )
        await _run(evaluation, asked, place)
        results = results_of(evaluation.setting, await evaluation.cells.of(evaluation.setting.eval_id))
    _print(results, asked.outputs, is_json=asked.is_json)


async def _run(evaluation: Evaluation, asked: EvalAsked, place: Place) -> None:
    done = await evaluation.cells.of(evaluation.setting.eval_id)
    board = Progress(evaluation, done, is_json=asked.is_json)
    evaluation.on_cell = board.take
    try:
        await evaluation.run()
    except asyncio.CancelledError:
        options = place_options(place)
        tell("stopped; the same command goes on where it was" if options is not None else "stopped; it was kept in memory alone, and is gone now")
        raise
    board.close()


class Progress:
    """Says now and then how far an eval is; with `--json` one line for each run."""

    def __init__(self, evaluation: Evaluation, done: list[Cell], *, is_json: bool) -> None:
        setting, self.is_json = evaluation.setting, is_json
        self.wanted = setting.wanted
        wanted = {(arm, seed) for arm in setting.arms for seed in range(setting.seeds)}
        self.cells = [cell for cell in done if (cell.arm, cell.seed) in wanted]
        self.before, self.began_at, self.told_at = len(self.cells), time.monotonic(), 0.0
        if not is_json:
            again = f", {self.before} of them done before" if self.before else ""
            tell(f"eval {setting.eval_id}: {setting.tasks} tasks, {', '.join(setting.arms)}, seeds {setting.seeds}: {self.wanted} runs{again}")

    def take(self, cell: Cell) -> None:
        """Tell of a run that is done."""
        self.cells.append(cell)
        if self.is_json:
            say_json({"type": "eval_cell", "data": {name: getattr(cell, name) for name in cell.__struct_fields__}})
        elif time.monotonic() - self.told_at >= EVERY_S:
            self.tell()

    def tell(self) -> None:
        """Say how far it is, how the arms did so far, and about how long it still takes."""
        self.told_at = time.monotonic()
        new = len(self.cells) - self.before
        left_s = (self.told_at - self.began_at) / new * (self.wanted - len(self.cells)) if new else 0.0
        left = f" · about {left_s / 60:.0f} min left" if left_s >= 60 else ""  # noqa: PLR2004  seconds in a minute
        scores = [(arm, [cell.score for cell in self.cells if cell.arm == arm and cell.score is not None]) for arm in dict.fromkeys(c.arm for c in self.cells)]
        told = " · ".join(f"{arm} {sum(found) / len(found):.2f}" for arm, found in scores if found)
        tell(f"  {len(self.cells)} of {self.wanted} · {told}{left}")

    def close(self) -> None:
        """Say the last of it."""
        if not self.is_json and len(self.cells) > self.before:
            self.tell()


async def report_eval(place: Place, wanted: str, *, outputs: tuple[Path, ...], is_json: bool) -> None:
    """Print the report of an eval.

    Raises:
        EvalNotFound: there is none.
    """
    _check_outputs(outputs)
    async with opened(place) as store:
        cells = Cells(store.states, place.uid)
        setting = await cells.find(wanted)
        results = results_of(setting, await cells.of(setting.eval_id))
    _print(results, outputs, is_json=is_json)


async def list_evals(place: Place, *, is_json: bool) -> None:
    """Print the evals of a uid, newest first."""
    async with opened(place) as store:
        cells = Cells(store.states, place.uid)
        found = await cells.evals()
        if not found and not is_json:
            tell(f"{place.uid!r} has no eval here: `seasoned eval run TASKS` makes one")
        for setting in found:
            runs, wanted = len(await cells.of(setting.eval_id)), setting.wanted
            if is_json:
                say_json({"eval_id": setting.eval_id, "name": setting.name, "runs": runs, "wanted": wanted, "arms": setting.arms, "model": setting.model})
            else:
                say(f"{setting.eval_id}  {runs}/{wanted} runs  {setting.created_at:%Y-%m-%d %H:%M}  {setting.model}")


def _print(results: Results, outputs: tuple[Path, ...], *, is_json: bool) -> None:
    for path in outputs:
        text = to_html(results) if path.suffix.lower() in (".html", ".htm") else _json(results) if path.suffix.lower() == ".json" else to_markdown(results)
        path.write_text(text, encoding="utf-8")
        tell(f"wrote {path}")
    if is_json:
        say_json({"type": "eval_report", "data": results.to_dict()})
    else:
        say(to_markdown(results).rstrip("\n"))


def _json(results: Results) -> str:
    return json.dumps(results.to_dict(), ensure_ascii=False, indent=2) + "\n"


def _check_outputs(outputs: tuple[Path, ...]) -> None:
    """Refuse places where a report cannot be written, or where something else than a report would be lost."""
    for path in outputs:
        if not path.absolute().parent.is_dir():
            raise StoreUnusable(f"--output {str(path)!r}: there is no folder {str(path.absolute().parent)!r}")
        if path.exists() and not (path.is_file() and _is_report(path)):
            raise BadInput(f"--output {str(path)!r} exists and is no report of an eval: choose another name")


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(MAX_HEAD_BYTES).decode("utf-8", "replace")
    return head.startswith(("# Eval ", '{\n  "setting": {\n    "eval_id"')) or (head.startswith("<!doctype html>") and "<title>Eval " in head)


def _options(asked: EvalAsked, cast: Cast, toolbox: Toolbox, choice: Choice) -> EvalOptions:
    return EvalOptions(
        arms=asked.arms,
        seeds=asked.seeds,
        corrections=asked.corrections,
        parallel=asked.parallel,
        settings={**choice.settings, **cast.settings},
        gives_seed=asked.gives_seed,
        system=cast.system,
        tools=[name for one in cast.wanted.names for name in _groups(toolbox, cast.wanted.names).get(one, (one,))],
        agent_type=cast.agent_type,
        max_iterations=cast.max_iterations,
        may_use_unsafe=asked.may_use_effects,
    )


def _groups(toolbox: Toolbox, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the names of tools that a `module:registry` or an `agent:NAME` stands for."""
    return {**toolbox.groups, **{name: (name.removeprefix(AGENT),) for name in names if name.startswith(AGENT)}}


def _functions(tasks: TaskSet) -> list[str]:
    return list(dict.fromkeys(task.scorer.options["function"] for task in tasks.tasks if task.scorer.kind == "function"))


def scoring_function(spec: str, folders: list[Path]) -> Callable[..., Any]:
    """Return the function that `module:function` means.

    Raises:
        ConfigInvalid: no such module or name, its code raised, or it is no function.
    """
    found = import_named(spec, folders, "no scorer: write module:function, such as my_scorers:is_right (no path, no .py)")
    if not callable(found):
        raise ConfigInvalid(f"{spec!r} is a {type(found).__name__}, not a function of a run that returns a score from 0 to 1")
    return found


def _judge(store: Store, tasks: TaskSet, choice: Choice, uid: str, language: str) -> Judge | None:
    if not any(task.scorer.kind == "judge" for task in tasks.tasks):
        return None
    return judge_of(AgentRunner(store.traces, llm_call=choice.llm_call), choice.name, uid=uid, language=language, **choice.settings)


@contextlib.asynccontextmanager
async def closing(choice: Choice, judging: Choice, toolbox: Toolbox) -> AsyncIterator[None]:
    """Let go of the models afterwards."""
    try:
        yield
    finally:
        for model in {id(one): one for one in (choice.llm_call, judging.llm_call, *toolbox.models)}.values():
            close = getattr(model, "aclose", None)
            if close is not None:
                await close()
