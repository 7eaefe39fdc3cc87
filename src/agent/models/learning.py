"""What memory learns from: cases (what was tried and how it ended), and uses (what a run was told, and how it went)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from agent.clock import now
from agent.errors import BadInput
from agent.models.memory import Experience, Skill
from agent.models.value import Value

Signal = Literal[
    "correction", "negative", "positive", "approved", "edited", "rejected", "resolved", "tool_error", "repeated", "repaired", "failed", "outcome", "score"
]
"""Who or what said how something ended. A tool that merely returned, or a run that merely completed, is none."""

Arm = Literal["injected", "withheld", "shadow", "excluded"]
"""What became of an item that fitted a run: told; held back at random; only logged; left out by request or for want of room."""


class Case(Value, frozen=True, kw_only=True):
    """One seen outcome, for or against a tool (and its arguments) on a task. Recorded once, never changed; forgotten as a whole.

    `case_id` follows from the step that says so and from the role: the same signal read twice makes one case.
    """

    case_id: str
    scope: str  # such as "agent:clerk"
    uid: str | None  # owner; None: shared within its scope
    task: str  # by which it is found
    tool: str
    arguments: dict[str, Any] | None = None  # those it speaks of; None: of the tool alone
    sign: Literal[1, -1]
    weight: float = 1.0
    signal: Signal
    trace_id: str
    step_id: str  # who looks for the evidence finds it here
    author: str | None = None
    trust: str = "person"  # person > verified_tool > model > web
    run_number: int = 0  # how many runs its scope and owner had had: its age is counted in runs
    created_at: datetime = msgspec.field(default_factory=now)
    valid_to: datetime | None = None  # a lesson of a tool's failure is tried again after this


class Used(Value, frozen=True, kw_only=True):
    """An item in a use: which, how well it fitted, and what became of it."""

    item_id: str
    kind: Literal["rule", "advice", "skill"]
    rank: int  # from 0, best first, within its kind
    score: float
    arm: Arm = "injected"
    propensity: float = 1.0  # the chance that it had of being told

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data


class Use(Value, frozen=True, kw_only=True):
    """What memory did for one run, one to a trace. `outcome` is known once somebody or something said how the run went."""

    trace_id: str
    scope: str
    uid: str | None
    number: int = 0  # counts the runs of its scope and owner from 1; the store gives it
    at: datetime = msgspec.field(default_factory=now)
    items: tuple[Used, ...] = ()
    arm: Literal["injected", "withheld", "none"] = "none"  # of the advice as a whole; none: there was nothing to tell, or memory was off
    propensity: float = 1.0  # the chance that the advice had of being told
    outcome: float | None = None  # 0 failed … 1 went well
    outcome_from: Signal | None = None
    outcome_by: str | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Use":
        """Return the use that plain JSON data say.

        Raises:
            BadInput: they say none.
        """
        try:
            return msgspec.convert(data, cls)
        except (msgspec.ValidationError, TypeError) as error:
            raise BadInput(f"this is no use of memory: {error}") from error


class Found(Value, frozen=True):
    """An item that fits a query, and how well: 0 not at all, about 1 as well as the query itself."""

    item: Experience | Skill | Case
    score: float


Form = Literal["instruction", "evidence", "none"]


class ToolRecord(Value, frozen=True):
    """How a tool did on tasks like this one."""

    tool: str
    share: float  # 0..1: of the votes, with that for "none of these"
    worked: int = 0  # near cases for it …
    failed: int = 0  # … and against it
    item_id: str = ""  # of the experience (scope and tool) that people see


class Advice(Value, frozen=True, kw_only=True):
    """What the cases come to. `text` is one line for the model, "" where memory abstains."""

    form: Form = "none"
    records: tuple[ToolRecord, ...] = ()  # those told; where it abstains, the best
    arguments: dict[str, Any] = {}  # of the first tool, on which its cases agree
    case_ids: tuple[str, ...] = ()  # whose votes told, the heaviest first
    text: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data

    @property
    def share(self) -> float:
        """The best tool's share of the votes; 0 without any."""
        return self.records[0].share if self.records else 0.0
