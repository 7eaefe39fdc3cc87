"""How an answer is scored, 0 to 1: by what it says, by its form, by the calls that were made, by a function, or by a model."""

import difflib
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from agent.errors import BadInput, EvalStopped
from agent.models.digest import canonical_hash
from agent.models.trace import Step
from agent.models.value import Value
from agent.tools.json_text import JsonLimits, NotJson, parse_json
from agent.tools.output import OutputChecker, unfenced

PASS = 0.5
"""From this score on a run counts as right."""
MAX_ANSWER_CHARS = 1_000_000
"""Characters of an answer that are scored; what is longer is wrong."""
MAX_WHY_CHARS = 500
"""Characters that are kept of why a score is what it is."""
_LIMITS = JsonLimits(max_chars=MAX_ANSWER_CHARS)

KINDS: dict[str, tuple[str, ...]] = {
    "exact": ("ignore_case",),
    "contains": ("ignore_case",),
    "regex": ("ignore_case",),
    "json_schema": (),
    "tool": (),
    "function": ("function",),
    "judge": ("rubric",),
}
"""Each kind of scorer, and the options that it takes."""


class Finished(Value, frozen=True, kw_only=True):
    """A run that rests, as a scorer sees it. `output` is the answer as data, where the run had a form for it."""

    trace_id: str
    task_id: str
    task: str
    expected: Any = None
    answer: str = ""
    output: Any = None
    status: str = "completed"
    steps: tuple[Step, ...] = ()

    @property
    def calls(self) -> list[tuple[str, Any]]:
        """Return name and arguments of the tool calls that were carried out, in order."""
        done = [step.data for step in self.steps if step.step_type == "tool_call" and step.data.get("is_executed", True)]
        return [(str(data.get("tool_name", "")), data.get("arguments")) for data in done]


class Score(Value, frozen=True):
    """How good an answer is, 0 to 1; None: it could not be told."""

    value: float | None
    why: str = ""


class Scorer(Value, frozen=True):
    """Which kind, and its options."""

    kind: str
    options: dict[str, Any] = {}

    @classmethod
    def of(cls, given: Any, where: str) -> "Scorer":
        """Return the scorer that a file names: a kind, `module:function`, or a table with `kind` and options.

        Raises:
            BadInput: there is no such kind or option.
        """
        if isinstance(given, str):
            return cls("function", {"function": given}) if ":" in given else cls._checked(given, {}, where)
        if not isinstance(given, dict) or not isinstance(given.get("kind"), str):
            raise BadInput(f"{where}: a scorer is one of {', '.join(KINDS)}, a module:function, or a table with 'kind'; not {given!r:.80}")
        return cls._checked(given["kind"], {key: value for key, value in given.items() if key != "kind"}, where)

    @classmethod
    def _checked(cls, kind: str, options: dict[str, Any], where: str) -> "Scorer":
        if kind not in KINDS:
            close = difflib.get_close_matches(kind, KINDS, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise BadInput(f"{where}: no scorer {kind!r}: {hint}there are {', '.join(KINDS)}, and module:function")
        unknown = next((key for key in options if key not in KINDS[kind]), None)
        if unknown is not None:
            raise BadInput(f"{where}: the scorer {kind} has no option {unknown!r}; it has {', '.join(KINDS[kind]) or 'none'}")
        if not isinstance(options.get("ignore_case", False), bool) or not isinstance(options.get("rubric", ""), str):
            raise BadInput(f"{where}: ignore_case is true or false, and rubric a text")
        if kind == "function" and not isinstance(options.get("function"), str):
            raise BadInput(f"{where}: the scorer function names one: function: my_scorers:is_right")
        return cls(kind, options)


def check_expected(scorer: Scorer, expected: Any, where: str) -> None:
    """Refuse what a scorer cannot compare with.

    Raises:
        BadInput: says what it needs.
    """
    match scorer.kind:
        case "exact" if expected is None:
            raise BadInput(f"{where}: the scorer exact compares with 'expected': give it")
        case "contains" if not _texts(expected):
            raise BadInput(f"{where}: the scorer contains looks for 'expected': a text, or a list of texts that must all be there")
        case "regex":
            try:
                re.compile(expected if isinstance(expected, str) else "(")
            except re.error as error:
                why = error if isinstance(expected, str) else "give it as a text"
                raise BadInput(f"{where}: the scorer regex needs a pattern as 'expected': {why}") from None
        case "json_schema":
            if not isinstance(expected, dict):
                raise BadInput(f"{where}: the scorer json_schema needs a JSON schema as 'expected'")
            try:
                OutputChecker(expected)
            except BadInput as error:
                raise BadInput(f"{where}: {error}") from None
        case "tool" if _wanted(expected) is None:
            raise BadInput(f"{where}: the scorer tool needs a tool's name as 'expected', or {{tool_name: …, arguments: {{…}}}}")
        case _:
            pass


Judge: TypeAlias = Callable[[Finished, str], Awaitable[Score]]
"""Asks a model about a run by a rubric."""


class Marking:
    """Scores runs. `functions` are those that scorers name; `judge` asks a model."""

    def __init__(self, functions: Mapping[str, Callable[..., Any]] | None = None, judge: Judge | None = None) -> None:
        self.functions, self.judge = dict(functions or {}), judge

    async def score(self, scorer: Scorer, run: Finished) -> Score:
        """Return how good a run's answer is. One that has no answer is wrong; a run may have an answer at a limit.

        Raises:
            EvalStopped: a function raised, or returned something else than a score.
        """
        if run.status not in ("completed", "limit_reached"):
            return Score(0.0, f"the run is {run.status}")
        if len(run.answer) > MAX_ANSWER_CHARS:
            return Score(0.0, f"the answer has {len(run.answer)} characters")
        if scorer.kind == "judge":
            if self.judge is None:
                raise EvalStopped(run.task_id, "the scorer judge: no model was given to judge")
            return await self.judge(run, str(scorer.options.get("rubric", "")))
        if scorer.kind == "function":
            return await self._by_function(scorer.options["function"], run)
        is_right, why = _SCORERS[scorer.kind](run, scorer.options)
        return Score(float(is_right), "" if is_right else why[:MAX_WHY_CHARS])

    async def _by_function(self, name: str, run: Finished) -> Score:
        function = self.functions.get(name)
        if function is None:
            raise EvalStopped(run.task_id, f"the scorer {name}: no such function was given")
        try:
            found = function(run)
            found = await found if inspect.isawaitable(found) else found
        except Exception as error:
            raise EvalStopped(run.task_id, f"the scorer {name}: {type(error).__name__}: {error}") from error
        value, why = found if isinstance(found, tuple) and len(found) == 2 else (found, "")  # noqa: PLR2004  (score, why)
        if isinstance(value, Score):
            return value
        if value is None:
            return Score(None, str(why)[:MAX_WHY_CHARS])
        if not isinstance(value, bool | int | float) or not 0 <= value <= 1:
            raise EvalStopped(run.task_id, f"the scorer {name}: it returned {value!r:.80}, not a number from 0 to 1, true or false")
        return Score(float(value), str(why)[:MAX_WHY_CHARS])


def _texts(expected: Any) -> list[str]:
    found = [expected] if isinstance(expected, str) else expected
    return found if isinstance(found, list) and found and all(isinstance(one, str) and one for one in found) else []


def _wanted(expected: Any) -> tuple[str, Any] | None:
    if isinstance(expected, str) and expected:
        return expected, None
    if isinstance(expected, dict) and isinstance(expected.get("tool_name"), str) and expected.keys() <= {"tool_name", "arguments"}:
        return expected["tool_name"], expected.get("arguments")
    return None


def _as_data(text: str) -> Any:
    try:
        return parse_json(unfenced(text), _LIMITS)
    except (NotJson, RecursionError):
        return None


def _folded(text: str, options: Mapping[str, Any]) -> str:
    plain = " ".join(text.split())
    return plain.casefold() if options.get("ignore_case") else plain


def _exact(run: Finished, options: Mapping[str, Any]) -> tuple[bool, str]:
    """A text is compared but for white space; other values as JSON, whatever the order of keys."""
    if isinstance(run.expected, str):
        return _folded(run.answer, options) == _folded(run.expected, options), f"expected {run.expected!r}"
    given = run.output if run.output is not None else _as_data(run.answer)
    return canonical_hash(given) == canonical_hash(run.expected), f"expected {run.expected!r}"


def _contains(run: Finished, options: Mapping[str, Any]) -> tuple[bool, str]:
    answer = _folded(run.answer, options)
    missing = [text for text in _texts(run.expected) if _folded(text, options) not in answer]
    return not missing, f"missing {', '.join(map(repr, missing))}"


def _regex(run: Finished, options: Mapping[str, Any]) -> tuple[bool, str]:
    found = re.search(run.expected, run.answer, re.IGNORECASE if options.get("ignore_case") else 0)
    return found is not None, f"nothing matches {run.expected!r}"


def _json_schema(run: Finished, _: Mapping[str, Any]) -> tuple[bool, str]:
    _, problem = OutputChecker(run.expected).read(run.answer)
    return problem is None, problem or ""


def _tool(run: Finished, _: Mapping[str, Any]) -> tuple[bool, str]:
    """The first call that was carried out decides: what an agent tries next, it tries because the first was wrong."""
    wanted = _wanted(run.expected)
    assert wanted is not None
    calls: Sequence[tuple[str, Any]] = run.calls
    if not calls:
        return False, f"no tool was called, expected {wanted[0]}"
    name, arguments = calls[0]
    if name != wanted[0]:
        return False, f"called {name}, expected {wanted[0]}"
    return wanted[1] is None or canonical_hash(arguments) == canonical_hash(wanted[1]), f"called {name} with {arguments!r:.200}"


_SCORERS: dict[str, Callable[[Finished, Mapping[str, Any]], tuple[bool, str]]] = {
    "exact": _exact,
    "contains": _contains,
    "regex": _regex,
    "json_schema": _json_schema,
    "tool": _tool,
}
