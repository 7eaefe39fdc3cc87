"""What the signals of a run come to: cases for and against tools, how the run went, and what people said in words."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from agent.core.signals import CallSeen, RunRecord, Said
from agent.core.wording import wording
from agent.models.json_text import json_of
from agent.models.learning import Case, Signal
from agent.models.trace import Trace
from agent.models.value import Value, replace

CORRECTED = 2.0
"""Weight of a case for what a person put in the place of something wrong: it says twice as much as that something went well."""
SHOWN = 0.5
"""How well a run went in which something failed that it got over, where nobody says more."""
EVEN = 0.5
"""A value of the whole run above this speaks for the tools that it used, one below against them."""
LEAST_WEIGHT = 0.05
"""A case that would weigh less is not made: a value of about one half says nothing."""
MAX_TASK_CHARS = 2_000
"""Of the task in a case: by these it is found."""
SHOWN_TASK = 200
"""Of the task in a lesson's condition."""
SHOWN_ARGUMENTS = 500
"""Of the right arguments in a lesson's rule, as JSON."""
TRUSTS = ("web", "model", "verified_tool", "person")
"""From whom words may come, the least trusted first."""
OF_THE_RUN: Mapping[Signal, int] = {"outcome": 3, "score": 3, "positive": 2, "negative": 2, "correction": 2}
"""Whose word on the whole run stands where there are several: the higher, then the later."""


def least(*trusts: str) -> str:
    """Return the least trusted; what is not known counts as web content."""
    return min(trusts, key=lambda trust: TRUSTS.index(trust) if trust in TRUSTS else -1)


class Verdict(Value, frozen=True):
    """How a run went, and who or what says so."""

    value: float
    signal: Signal
    by: str | None = None


class Lesson(Value, frozen=True, kw_only=True):
    """What somebody said in words. `rule` is as it will be told, where no model words it anew."""

    step_id: str
    root_id: str  # the first version of a feedback; else the step itself
    at: datetime
    sequence: int
    evidence: tuple[str, ...]
    kind: str
    condition: str
    rule: str
    words: str
    signal: Signal
    by: str | None = None
    trust: str = "person"


def scope_of(trace: Trace) -> str:
    """Return the scope of what is learnt from a run: its kind of agent."""
    return f"agent:{trace.agent_type or 'default'}"


# ---- cases


def cases_of(record: RunRecord, trace: Trace, owner: str, *, run_number: int, failure_ttl: timedelta | None, even_unasked: bool = False) -> list[Case]:
    """Return the cases that a run's signals make. Their ids follow from the steps: reading the same run again makes the same."""
    found: dict[str, Case] = {}
    for told in record.signals:
        if not told.is_asked and not even_unasked:
            continue
        for case in _cases_of(told):
            whole = replace(
                case,
                scope=scope_of(trace),
                uid=owner,
                task=(trace.task or "")[:MAX_TASK_CHARS],
                trace_id=trace.trace_id,
                trust=least(case.trust, record.task_trust),
                run_number=run_number,
                valid_to=told.at + failure_ttl if failure_ttl is not None and told.signal in ("tool_error", "repeated") else None,
            )
            found.setdefault(whole.case_id, whole)
    return list(found.values())


def _cases_of(told: Said) -> list[Case]:
    if told.signal == "correction":
        return _of_correction(told)
    if told.signal in ("positive", "outcome", "score"):
        weight = abs(2 * (told.value or 0.0) - 1) / max(len(told.calls), 1)
        sign: Any = 1 if (told.value or 0.0) > EVEN else -1
        return [_case(told, call, sign, weight) for call in told.calls if weight >= LEAST_WEIGHT]
    if told.signal in ("approved", "edited"):
        return [_case(told, call, 1) for call in told.calls]
    if told.signal == "resolved":
        return [_case(told, call, 1 if told.value else -1) for call in told.calls]
    if told.signal in ("negative", "rejected", "tool_error", "repeated"):
        return [_case(told, call, -1) for call in told.calls]
    return []


def _of_correction(told: Said) -> list[Case]:
    """X to Y: for Y, against X. The same tool with other arguments: for it, with those."""
    named, arguments = corrected_call(told.corrected)
    against = [call for call in told.calls if named is not None and call.tool != named]
    if named is None and arguments is not None and len(told.calls) == 1:
        named = told.calls[0].tool
    if named is None:  # nobody said what would have been right
        return [_case(told, call, -1) for call in told.calls]
    right = next((call for call in told.calls if call.tool == named), None)
    merged = arguments if arguments is None or right is None else {**right.arguments, **arguments}
    is_own = arguments is None or merged == arguments or right is None or not right.is_tainted
    named_call = CallSeen(call_id="named", tool=named, arguments=merged or {}, is_tainted=False)
    case = _case(told, named_call, 1, CORRECTED)
    case = replace(case, arguments=merged, trust="person" if is_own else "web")
    return [case, *(_case(told, call, -1) for call in against)]


def corrected_call(corrected: Any) -> tuple[str | None, dict[str, Any] | None]:
    """Return the tool and the arguments that a correction names, each where it does; of any other value neither."""
    if not isinstance(corrected, dict) or not corrected.keys() & {"tool_name", "arguments"} or corrected.keys() - {"tool_name", "arguments"}:
        return None, None
    name, arguments = corrected.get("tool_name"), corrected.get("arguments")
    return name if isinstance(name, str) and name else None, arguments if isinstance(arguments, dict) else None


def _case(told: Said, call: CallSeen, sign: Any, weight: float = 1.0) -> Case:
    """Return a case. A stranger's words, which the arguments may be after such were read, are kept only where a person changed them, and as that."""
    is_shown = told.signal in ("tool_error", "repeated")
    is_kept = not call.is_tainted or told.signal == "edited"
    return Case(
        case_id=f"case-{told.step_id.replace('/', '-')}-{call.call_id}-{'for' if sign > 0 else 'against'}",
        scope="",
        uid=None,
        task="",
        tool=call.tool,
        arguments=call.arguments if is_kept else None,
        sign=sign,
        weight=weight,
        signal=told.signal,
        trace_id="",
        step_id=told.step_id,
        author=told.by,
        trust="web" if call.is_tainted and (is_shown or told.signal == "edited") else "verified_tool" if is_shown else "person",
        created_at=told.at,
    )


# ---- how the run went


def verdict_of(record: RunRecord, *, even_unasked: bool = False) -> Verdict | None:
    """Return how a run went: as somebody says of the whole of it, else that it failed, else as its calls were judged, else that something failed."""
    signals = [one for one in record.signals if one.is_asked or even_unasked]
    whole = [one for one in signals if one.is_whole and one.value is not None and one.signal in OF_THE_RUN]
    if whole:
        last = max(whole, key=lambda one: (OF_THE_RUN[one.signal], one.sequence))
        return Verdict(last.value or 0.0, last.signal, last.by)
    if record.has_failed:
        return Verdict(0.0, "failed") if any(one.signal == "failed" for one in signals) else None
    judged = [one for one in signals if one.value is not None]
    if judged:
        return Verdict(sum(one.value or 0.0 for one in judged) / len(judged), judged[-1].signal, judged[-1].by)
    return Verdict(SHOWN, signals[-1].signal) if signals else None


# ---- words


def lessons_of(record: RunRecord, trace: Trace, *, even_unasked: bool = False) -> list[Lesson]:
    """Return what people said in words, as lessons: corrections and what was bad, and reasons for refusing or changing a call."""
    lessons = [_lesson_of(record, trace, told) for told in record.signals if told.is_asked or even_unasked]
    return [lesson for lesson in lessons if lesson is not None]


def _lesson_of(record: RunRecord, trace: Trace, told: Said) -> Lesson | None:
    words, tool = told.words.strip(), told.calls[0].tool if told.calls else ""
    if told.signal in ("correction", "negative"):
        rule = " → ".join(part for part in (words, _corrected_text(told, record.language)) if part)
    elif told.signal == "rejected" and words:
        rule = wording("lesson_rejected", record.language, tool=tool, words=words)
    elif told.signal == "edited" and words:
        rule = wording("lesson_edited", record.language, tool=tool, arguments=_short(told.corrected), words=words)
    else:
        return None
    if not rule or (not words and corrected_call(told.corrected) != (None, None)):  # a call without words: the cases say it
        return None
    target = told.target_step_id or told.step_id
    return Lesson(
        step_id=told.step_id,
        root_id=told.root_id or told.step_id,
        at=told.at,
        sequence=told.sequence,
        evidence=(target, told.step_id) if target != told.step_id else (told.step_id,),
        kind="dont" if told.signal in ("negative", "rejected") else "do",
        condition=(trace.task or "")[:SHOWN_TASK],
        rule=rule,
        words=words,
        signal=told.signal,
        by=told.by,
        trust=least("person", record.task_trust),
    )


def _corrected_text(told: Said, language: str) -> str:
    if told.corrected is None:
        return ""
    name, arguments = corrected_call(told.corrected)
    if name is None and arguments is None:
        return told.corrected if isinstance(told.corrected, str) else _short(told.corrected, MAX_TASK_CHARS)
    parts = [wording("lesson_tool", language, tool=name)] if name is not None else []
    parts += [wording("lesson_arguments", language, arguments=_short(arguments))] if arguments else []
    return " ".join(parts)


def _short(value: Any, most: int = SHOWN_ARGUMENTS) -> str:
    return (json_of(value) or str(value))[:most]


def experience_id_of(step_id: str) -> str:
    """Return the id of the experience that comes of a step: learning from it twice makes one."""
    return f"exp-{step_id.replace('/', '-')}"


def versions_of(record: RunRecord, root_id: str) -> Sequence[str]:
    """Return the ids of the experiences that the versions of a feedback stand for, the newest last; one that says what an earlier one said has its id."""
    known: dict[Any, str] = {}
    found: list[str] = []
    for version in record.feedback.get(root_id, ()):
        payload = version.payload
        key = repr((payload.feedback_type, payload.content, payload.corrected))
        found.append(known.setdefault(key, experience_id_of(version.step.step_id)))
    return found
