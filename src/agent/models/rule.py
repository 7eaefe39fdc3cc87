"""Approval rules: which calls a person has agreed to in advance, as conditions on every argument.

A condition is data, matched exactly by `agent.core.patterns`: none of it is ever run, and no pattern language is read from it.
"""

from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from agent.models.value import Value

Rest = Literal["digits", "word", "path"]


class Equals(Value, frozen=True, kw_only=True, tag_field="is", tag="equals"):
    """Exactly this JSON value; 1.0 counts as 1."""

    value: Any


class OneOf(Value, frozen=True, kw_only=True, tag_field="is", tag="one_of"):
    """One of these texts, numbers or nulls."""

    values: list[Any]


class Between(Value, frozen=True, kw_only=True, tag_field="is", tag="between"):
    """A number from `low` to `high`, both included."""

    low: float
    high: float
    is_whole: bool = False  # only whole numbers


class Begins(Value, frozen=True, kw_only=True, tag_field="is", tag="begins"):
    """A text that begins with `prefix`; what follows is at most `max_chars` long and of one kind.

    `digits`: 0-9. `word`: letters, digits, `_`, `-`. `path`: words and points between strokes, no part empty or beginning with a point.
    A prefix that is a URL ends behind its host's stroke or later.
    """

    prefix: str
    rest: Rest
    max_chars: int


class Mailbox(Value, frozen=True, kw_only=True, tag_field="is", tag="mailbox"):
    """A plain mail address at exactly this domain."""

    domain: str


class Fields(Value, frozen=True, kw_only=True, tag_field="is", tag="fields"):
    """An object of which every member meets its condition; it has no others."""

    fields: dict[str, "Condition"]
    optional: list[str] = []  # those that may be missing


class Each(Value, frozen=True, kw_only=True, tag_field="is", tag="each"):
    """A list of at most `max_items`, of which each meets the condition."""

    items: "Condition"
    max_items: int


Condition: TypeAlias = Equals | OneOf | Between | Begins | Mailbox | Fields | Each
"""What one argument must be."""


class BackTest(Value, frozen=True, kw_only=True):
    """What a rule would have done to the decisions of the past."""

    decisions: int  # people's decisions on calls of this tool that were looked at
    approved: int  # of them: approved by a person, and by the rule as well
    missed: int = 0  # approved by a person, and not by the rule: it would have asked
    wrongly_approved: int = 0  # approved by the rule, and not as they stood by a person; never above 0 in a suggestion
    later: int = 0  # the newest third of them: what was learnt from the others was tried on these
    later_approved: int = 0
    later_wrongly_approved: int = 0


class Suggestion(Value, frozen=True, kw_only=True):
    """A rule that people's decisions give rise to. It does nothing until a person accepts it."""

    suggestion_id: str  # of what it says: the same rule has the same id
    tool_name: str
    schema_hash: str
    where: Fields
    max_per_run: int  # so many calls did people approve in one run
    tested: BackTest
    approved_by: dict[str, int] = {}  # who approved what it covers, and how often; "" is a decision without a name


WhyNone: TypeAlias = Literal["nothing_in_common", "others_were_refused", "wrong_later"]
"""Why there is no rule: only "anything" would cover the calls; it would cover refused ones; what older decisions taught was wrong later."""


class Refused(Value, frozen=True, kw_only=True):
    """A call that a person did not approve as it stood."""

    trace_id: str
    call_id: str
    verdict: str  # edit, reject or respond
    by: str  # "": without a name
    at: datetime
    arguments: dict[str, Any]  # as they were asked about


class NoRule(Value, frozen=True, kw_only=True):
    """A tool of which enough calls were approved, and no rule can be made."""

    tool_name: str
    approved: int  # calls
    why: WhyNone
    against: list[Refused] = []  # what a rule that covers the approved calls would approve as well, the newest first


class ApprovalRule(Value, frozen=True, kw_only=True):
    """A rule that a person accepted: it approves calls that need a person's agreement and for no other reason."""

    rule_id: str
    tool_name: str
    schema_hash: str  # of the tool as it was; a changed tool voids the rule
    where: Fields
    max_per_run: int
    accepted_by: str
    accepted_at: datetime
    expires_at: datetime
    tested: BackTest
    revoked_by: str | None = None
    revoked_at: datetime | None = None

    def is_active(self, at: datetime) -> bool:
        """Whether it is in force at a moment."""
        return self.revoked_at is None and self.accepted_at <= at < self.expires_at

    def to_data(self) -> Any:
        """Return it as plain JSON data."""
        return msgspec.to_builtins(self)


def rule_of(data: Any) -> ApprovalRule | None:
    """Return the rule that plain JSON data says; None where it says none."""
    try:
        return msgspec.convert(data, ApprovalRule)
    except msgspec.ValidationError:
        return None
