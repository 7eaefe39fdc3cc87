"""What has happened in a run, as far as it matters for what comes next: the values that `fold` makes."""

from datetime import datetime
from typing import Any

import agent.models.payloads as said
from agent.core.calls import Call, loose_arguments
from agent.core.messages import Messages
from agent.models.value import Value, replace

PROBE = "probe"
"""Who resolved a call in doubt, where its tool's probe did."""


class Used(Value, frozen=True, gc=False):
    """What a run has used so far, with what its sub-agents' runs used (but for their model calls, which are their own)."""

    iterations: int = 0  # model calls that count against the budget
    tool_calls: int = 0  # asked for, and not kept from running by a limit
    tokens: int = 0
    cost: float = 0.0  # USD, as far as it is known
    cost_is_partial: bool = False

    def with_unknown(self, is_unknown: bool) -> "Used":  # noqa: FBT001  # it has one meaning
        """Return the same, with a cost that is not all there is where something unknown comes on top."""
        return replace(self, cost_is_partial=True) if is_unknown and not self.cost_is_partial else self


class SubrunState(Value, frozen=True, gc=False):
    """The run that carries out a call. `counted` is what of its use this run's totals have already."""

    trace_id: str
    status: str = ""  # waiting, paused: it rests like that; empty: it goes on
    counted: Used = Used()


class CallState(Value, frozen=True, gc=False):
    """Where one call of the open turn stands."""

    call: Call
    started_epoch: int | None = None  # who announced it last; None: not begun
    started_at: datetime | None = None
    attempt: int = 0
    request: said.ApprovalRequested | None = None
    request_id: str | None = None
    decision: said.ApprovalDecided | None = None
    doubt: said.InDoubtStep | None = None  # its outcome is unknown
    resolution: said.InDoubtResolved | None = None
    result: str | None = None  # what the model is told; set: the call is settled
    subrun: SubrunState | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Whether it is not known what became of it."""
        return self.doubt is not None

    @property
    def is_waiting(self) -> bool:
        """Whether a person has to act first, perhaps in the run that carries it out."""
        if self.result is not None:
            return False
        return self.doubt is not None or (self.request is not None and self.decision is None) or (self.subrun is not None and self.subrun.status != "")

    @property
    def is_suspended(self) -> bool:
        """Whether it is carried out by a run that rests without an answer."""
        return self.subrun is not None and self.subrun.status != ""

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments as they stand: a person's edit, or what the model asked for (loosely read)."""
        if self.decision is not None and self.decision.arguments is not None:
            return self.decision.arguments
        if self.request is not None and self.request.arguments is not None:
            return self.request.arguments
        return loose_arguments(self.call.raw_arguments)


class Source(Value, frozen=True, gc=False):
    """A tool result that may carry a stranger's words."""

    tool_name: str
    step_id: str
    sequence: int = -1  # in this run; -1: in what it goes on from


class CutResult(Value, frozen=True, gc=False):
    """A tool result of which the model was shown the beginning."""

    result_id: str
    sequence: int
    trace_id: str = ""  # of the run it is from; "": this one


def inherited_sources(payload: said.Input) -> tuple[Source, ...]:
    """Return where untrusted words came from in what a run goes on from."""
    return tuple([Source(given.get("tool_name", ""), given.get("step_id", "")) for given in payload.tainted_by])


def inherited_results(payload: said.Input) -> tuple[CutResult, ...]:
    """Return the results of earlier runs that can be read on; what is none, in steps that anyone wrote, is passed over."""
    found = [(given.get("result_id"), given.get("sequence"), given.get("trace_id")) for given in payload.cut_results]
    return tuple([CutResult(i, n, t) for i, n, t in found if isinstance(i, str) and isinstance(n, int) and isinstance(t, str) and t])


class Answer(Value, frozen=True, gc=False):
    """A reply without tool requests, not yet concluded."""

    text: str
    is_final_call: bool = False  # the one call without tools after a limit


class Rejected(Value, frozen=True, gc=False):
    """Answers in a row that did not fit the output type."""

    count: int
    problem: str  # of the last one


class PromptMark(Value, frozen=True, gc=False):
    """The prompt of the last model call: its fingerprint, and how many messages that covers."""

    fingerprint: bytes = b""
    count: int = 0
    tokens: int = 0  # what the provider counted; 0: it said nothing


class Compacted(Value, frozen=True, gc=False):
    """The last attempt to make the history shorter."""

    iteration: int  # how many model calls had been made
    is_done: bool  # False: it failed, and nothing was folded
    scale: float = 1.0  # how many tokens the provider counted for one that we estimated


class RunState(Value, frozen=True, gc=False):
    """A run's state after some prefix of its steps. `status` is what the steps say; whether someone drives it is not in them.

    What every model call changes is grouped, so that an advance replaces few fields.
    """

    messages: Messages
    turn: tuple[CallState, ...] = ()  # calls of the last model call while any of them is open
    turn_id: str | None = None  # step id of the last model call
    turn_sequence: int = -1
    tip: tuple[str, ...] = ()  # what the next model call rests on
    reply: Answer | None = None
    used: Used = Used()
    prompt: PromptMark = PromptMark()
    next_sequence: int = 0
    status: str = "running"
    stopped_epoch: int = -1  # paused or failed: a driver of this or an older epoch stops
    stopped_by: str | None = None
    input: said.Input | None = None
    input_id: str | None = None
    memory: said.MemoryRead | None = None
    conclusion: str | None = None
    output: Any = None
    limit: said.LimitReached | None = None
    failure: said.Failure | None = None
    refused: tuple[str, ...] = ()  # tool and arguments' hash of requests that were rejected, or (with "expired" before it) expired
    max_iterations: int | None = None
    limits: dict[str, Any] = {}
    ruled: tuple[str, ...] = ()  # ids of the approval rules that decided calls, once for each call
    untrusted: tuple[Source, ...] = ()  # where untrusted words came from: the first result of each tool
    compacted: Compacted | None = None
    cut: tuple[CutResult, ...] = ()  # results that can be read on
    rejected: Rejected | None = None  # answers that did not fit the output type
    broken: str | None = None  # the limit that kept a call from running, or after which the final answer was asked for
    signalled: int = -1  # sequence of the last step that says how something went: a call that failed, a person's word …

    @property
    def answer(self) -> str | None:
        """The text of a reply without tool requests that is not yet concluded."""
        return self.reply.text if self.reply is not None else None

    @property
    def iterations(self) -> int:
        """Model calls that count against the budget."""
        return self.used.iterations

    def call(self, call_id: str) -> CallState | None:
        """Return the call of the open turn with our id `call_id`."""
        return next((c for c in self.turn if c.call.call_id == call_id), None)

    @property
    def may_be_asking(self) -> bool:
        """Whether a model call may be under way, of which nothing is on the record before its reply: what it costs is then unknown."""
        awaits_memory = self.memory is None and not self.used.iterations and self.input is not None and self.input.enable_memory
        return self.status == "running" and not self.turn and self.reply is None and self.input is not None and not awaits_memory

    @property
    def under_way(self) -> tuple[CallState, ...]:
        """The calls that were begun, and of whose end nothing is known."""
        return tuple(c for c in self.turn if c.result is None and c.started_epoch is not None and not c.is_in_doubt)

    def announced_by(self, epoch: int) -> tuple[CallState, ...]:
        """Return the calls that an owner announced and that run, or were to run."""
        return tuple(c for c in self.turn if c.result is None and c.started_epoch == epoch and not c.is_in_doubt and not c.is_suspended)

    @property
    def waiting_calls(self) -> tuple[str, ...]:
        """Our ids of the calls that wait for a person; of a cancelled run only those in doubt."""
        if self.status == "cancelled":
            return tuple(c.call.call_id for c in self.turn if self.is_unknown(c))
        return tuple(c.call.call_id for c in self.turn if c.is_waiting)

    def is_unknown(self, call: CallState) -> bool:
        """Whether nobody knows what became of a call: in doubt, or begun in a run that was cancelled and never wound up.

        A sub-agent's run says of its own calls what is known of them.
        """
        return call.is_in_doubt or (
            self.status == "cancelled" and call.result is None and call.resolution is None and call.started_epoch is not None and call.subrun is None
        )

    @property
    def known_cost(self) -> float | None:
        """USD; None where nothing is known of it."""
        return None if self.used.cost_is_partial and not self.used.cost else self.used.cost
