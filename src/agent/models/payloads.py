"""What each kind of step says: a typed view of `Step.data`.

The keys here are the format on disk: names are never changed, new ones get a default. A step of an unknown kind, or one
whose data does not fit (a caller may write anything through `add_step`), is `Other`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

import msgspec

from agent.errors import BadInput
from agent.models.trace import Step, step_id_of
from agent.models.value import Value

Reason = Literal["confirmation", "in_doubt", "manual", "policy", "taint", "repaired_arguments"]  # an open set for readers
Verdict = Literal["approve", "edit", "reject", "respond", "expired"]
Outcome = Literal["done", "not_done", "retry"]


class Payload(Value, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The base of all payloads."""

    step_type: ClassVar[str] = ""

    def to_data(self) -> dict[str, Any]:
        """Return `Step.data`: what differs from the defaults.

        Raises:
            BadInput: a field holds what JSON cannot; says which.
        """
        try:
            data: dict[str, Any] = msgspec.to_builtins(self, builtin_types=(bytes,))
        except (TypeError, RecursionError) as error:
            raise BadInput(f"a step {self.step_type!r} cannot be recorded: its {self._unusable()}") from error
        return data

    def _unusable(self) -> str:
        """Return which field cannot be recorded, and why."""
        for name in self.__struct_fields__:
            try:
                msgspec.to_builtins(getattr(self, name), builtin_types=(bytes,))
            except (TypeError, RecursionError) as error:
                return f"{name} holds what JSON cannot ({type(error).__name__}: {error})"
        return "data is no JSON"


class Input(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What the caller asked for. One with `is_resume` changes only limits, by a later `resume`."""

    step_type: ClassVar[str] = "input"

    task: Any = None  # text, or a list of content parts in OpenAI's shape
    messages: list[dict[str, Any]] = []  # before the task, as given; without system messages
    system: str | None = None
    tools: list[str] | None = None  # names; None: none offered
    schemas: list[dict[str, Any]] = []  # as offered to the model
    model: str = ""
    agent_type: str | None = None
    settings: dict[str, Any] = {}  # model settings from the allow-list
    unstored: list[str] = []  # names of keywords that were passed on and not stored
    max_iterations: int | None = None
    auto_execute_tools: bool = True
    enable_memory: bool = False  # memory is read before the first model call
    memory: dict[str, Any] = {}  # what the caller asked of it: "pinned" and "excluded", ids
    project: str | None = None  # whose memory is read besides
    memory_placement: str = "user"
    continues: dict[str, Any] | None = None  # {"trace_id", "sequence"}: messages go on from there
    limits: dict[str, Any] = {}
    language: str = "en"  # of what the program itself says to the model
    output_schema: dict[str, Any] | None = None
    is_resume: bool = False
    policies: list[str] = []  # names of the policy hooks that it began under
    taint: str = "off"  # off, warn or ask: what an unsafe call after untrusted content meets
    cut_results: list[dict[str, Any]] = []  # in what it goes on from, and can be read on: {"result_id", "trace_id", "sequence"}
    tainted_by: list[dict[str, str]] = []  # untrusted results in what it goes on from: {"tool_name", "step_id"}
    asked_by: list[dict[str, Any]] = []  # of a sub-agent's run: the calls that led to it, root first: trace_id, call_id, tool_name, agent_type


class MemoryRead(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What memory gave to this run. `block` is the text as the model sees it."""

    step_type: ClassVar[str] = "memory_read"

    skills_count: int = 0
    experiences_count: int = 0
    skills: list[dict[str, Any]] = []
    experiences: list[dict[str, Any]] = []
    block: str = ""
    error: str | None = None  # memory failed; the run went on without it
    items: list[dict[str, Any]] = []  # all that fitted, as in models.learning.Used: also what was withheld, only logged, or left out
    advice: dict[str, Any] = {}  # as in core.advice.Advice: what the cases came to, also where it was withheld
    arm: str = "none"  # of the advice: injected, withheld; none: there was nothing to tell
    propensity: float = 1.0  # the chance that it had of being told
    run_number: int = 0  # of the runs of its scope and owner; 0: not counted
    unrecorded: str | None = None  # why the memory could not note this use: these items are known from here alone


class LlmCall(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A model answered. `messages` (the prompt) is derived from the steps before it, not stored."""

    step_type: ClassVar[str] = "llm_call"

    response: str | None = ""
    tool_calls: Any = None  # exactly as the model gave them
    model: str | None = None  # where it differs from the run's
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    cost: float | None = None  # USD; None: unknown
    prompt_hash: bytes = b""  # of the rendered prompt: sha256(previous prompt_hash, new messages), 16 bytes
    finish_reason: str | None = None
    usage: dict[str, Any] = {}
    reasoning: str | None = None
    provider_state: Any = None
    response_id: str | None = None
    took_s: float = 0.0
    is_final_call: bool = False  # the one call without tools after a limit
    limit: str | None = None  # of a final call: the limit
    attempts: int = 1  # tries that it took
    cost_is_partial: bool = False  # a try before this one may have been billed: cut off, or lost with its process


class ToolStarted(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A tool is about to get control: durable before it does."""

    step_type: ClassVar[str] = "tool_started"

    call_id: str
    attempt: int = 1
    detail: str | None = None  # what a person should know of it, though nobody was asked


class ToolCall(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A call is settled; `result` is what the model is told."""

    step_type: ClassVar[str] = "tool_call"

    call_id: str = ""
    tool_name: str = ""
    arguments: Any = None  # as executed; left out on disk where it is what the model asked for
    result: Any = None
    is_ok: bool = True
    is_executed: bool = True  # False: refused, rejected or answered by a person; the tool never ran
    usage: dict[str, Any] = {}  # of a call that a run of its own carried out: all that it used (tokens, tool_calls, cost, cost_is_partial)
    took_s: float = 0.0  # wall time of the tool alone
    full_result: str | None = None  # where `result` is a preview: the whole text
    error_type: str | None = None
    is_untrusted: bool = False  # the tool is declared to carry a stranger's words
    result_id: str | None = None  # by which the model can read on in `full_result`
    limit: str | None = None  # the limit that kept the call from running, or stopped it, and now ends the run


class ApprovalRequested(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A call waits for a person."""

    step_type: ClassVar[str] = "approval_requested"

    call_id: str
    tool_name: str
    arguments: dict[str, Any] | None = None  # where they are not what the model wrote
    reason: str = "confirmation"
    args_hash: str = ""
    schema_hash: str = ""
    detail: str | None = None
    editable_params: list[str] = []
    expires_at: float | None = None  # seconds since 1970


class ApprovalDecided(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A person (or the expiry) decided a waiting call."""

    step_type: ClassVar[str] = "approval_decided"

    call_id: str
    verdict: str
    arguments: dict[str, Any] | None = None  # of an edit: all of them, merged
    reason: str | None = None
    text: str | None = None
    by: str | None = None
    args_hash: str = ""  # of what was decided on


class InDoubtStep(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A started call's outcome is unknown: a person must say."""

    step_type: ClassVar[str] = "in_doubt"

    call_id: str
    tool_name: str = ""
    attempt: int = 1
    started_at: float | None = None  # seconds since 1970
    worker: str | None = None
    cause: str = ""  # crash, timeout, cancel
    detail: str | None = None


class InDoubtResolved(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A person (or the tool's probe) said how a call in doubt ended."""

    step_type: ClassVar[str] = "in_doubt_resolved"

    call_id: str
    outcome: str
    result: Any = None
    by: str | None = None


class Paused(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The run is to rest; a driver of this or an older epoch stops at the next safe point."""

    step_type: ClassVar[str] = "paused"

    by: str | None = None


class Cancelled(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The run is over; `in_flight` names the calls that were running."""

    step_type: ClassVar[str] = "cancelled"

    by: str | None = None
    in_flight: list[str] = []


class LimitReached(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A limit ended the run."""

    step_type: ClassVar[str] = "limit_reached"

    limit: str
    value: Any = None


class Failure(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The model or the program failed; a resume tries the failed action again."""

    step_type: ClassVar[str] = "failure"

    error: str
    error_type: str = ""
    action: str = ""
    cost_is_partial: bool = False  # the call that failed may have been billed


class Conclusion(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The answer. `content` is left out on disk where it is the text of the model call `reply`."""

    step_type: ClassVar[str] = "conclusion"

    content: str | None = None
    is_final: bool = True
    reply: int | None = None  # sequence of the model call whose text is the answer
    output: Any = None


class OutputRejected(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The last answer does not fit the output type: the model is told why, and asked again."""

    step_type: ClassVar[str] = "output_rejected"

    problem: str


class Compaction(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The oldest messages are told to the model as `summary` from here on. Positions count in the prompt as it stood after step `through`.

    With `error` nothing was folded: the history stays as it was.
    """

    step_type: ClassVar[str] = "compaction"

    through: int
    summary: str
    first: int = 0  # folded are the messages from here …
    until: int = 0  # … up to before this one, …
    pinned: list[int] = []  # … but for these, which stand before the summary
    scale: float = 1.0  # tokens that the provider counted for one that was estimated
    tokens_before: int = 0  # about, of the prompt
    tokens_after: int = 0
    error: str | None = None
    is_model_call: bool = False  # a model wrote the summary: tokens and cost below count with the run's
    model: str | None = None  # where it differs from the run's
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    cost: float | None = None  # USD; None: unknown
    took_s: float = 0.0


class Forked(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """This run inherits the steps of another up to a sequence."""

    step_type: ClassVar[str] = "forked"

    trace_id: str
    at: int
    changes: dict[str, Any] = {}


class Subrun(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A call is carried out by a run of its own: named before that run begins, and again each time it rests without an answer."""

    step_type: ClassVar[str] = "subrun"

    call_id: str
    trace_id: str
    status: str = ""  # waiting, paused: it rests like that, and the call waits for it; empty: it goes on
    usage: dict[str, Any] = {}  # what it has used in all by then, as in `tool_call`


class Feedback(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a person thinks of a step."""

    step_type: ClassVar[str] = "feedback"

    target_step_id: str
    feedback_type: str
    content: str = ""
    by: str | None = None
    corrected: Any = None  # what would have been right: of a call {"tool_name", "arguments"} or one of them, else the output
    replaces: str | None = None  # the feedback, as it was first given, that this is a new version of
    is_revoked: bool = False  # of a new version: it is taken back
    is_learning: bool = True  # False: it is to be learnt from only when somebody asks for it


class OutcomeGiven(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Somebody, or a scorer, says how the run really went. A later one of the same kind and person takes the place of this one."""

    step_type: ClassVar[str] = "outcome"

    value: float  # 0 failed … 1 went well
    by: str | None = None
    signal: str = "outcome"  # outcome: a person or a program; score: an eval's scorer


class MemoryWrite(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Memory learnt from feedback."""

    step_type: ClassVar[str] = "memory_write"

    experience_id: str
    condition: str = ""
    rule: str = ""
    model: str | None = None  # that worded it; its tokens and cost count with no run
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None  # USD; None: unknown, or no model was asked


class Erased(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A tombstone: what earlier steps said was forgotten. Their place, kind and moment stay, and so does the chain."""

    step_type: ClassVar[str] = "erased"

    sequences: list[int]
    reason: str = ""
    by: str | None = None


class Other(Payload, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A step this version does not know, or cannot read: part of the graph, not of the state."""

    step_type: ClassVar[str] = ""


PAYLOADS: dict[str, type[Payload]] = {
    kind.step_type: kind
    for kind in (
        Input, MemoryRead, LlmCall, ToolStarted, ToolCall, ApprovalRequested, ApprovalDecided, InDoubtStep, InDoubtResolved, Paused, Cancelled,
        LimitReached, Failure, Conclusion, Compaction, Forked, Subrun, Feedback, MemoryWrite, Erased, OutputRejected, OutcomeGiven,
    )
}  # fmt: skip
_OTHER = Other()


def step_of(payload: Payload, trace_id: str, sequence: int, parents: Sequence[str] = (), *, at: datetime, epoch: int = 0) -> Step:
    """Return the step that says this, under the id that follows from its place."""
    return Step(step_id_of(trace_id, sequence), trace_id, payload.step_type, sequence, parents, payload.to_data(), at, epoch)


read_data = msgspec.convert
"""`read_data(step.data, kind)` returns the payload; raises one of `UNREADABLE` where the data do not fit. The function itself: a long log calls it often."""
UNREADABLE = (msgspec.ValidationError, TypeError)


def payload_of(step: Step) -> Payload:
    """Return the typed view of a step's data; `Other` where there is none."""
    kind = PAYLOADS.get(step.step_type)
    if kind is None:
        return _OTHER
    try:
        return read_data(step.data, kind)
    except UNREADABLE:
        return _OTHER
