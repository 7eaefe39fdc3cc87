"""Why something stood in a prompt: what it rests on, who said so, and how the runs did that were told it."""

from datetime import datetime

from agent.models.learning import Arm, Use
from agent.models.lift import ItemLift, Lift
from agent.models.memory import Experience
from agent.models.value import Value


class Evidence(Value, frozen=True, kw_only=True):
    """A step that something was learnt from."""

    trace_id: str
    step_id: str
    step_type: str | None = None  # None: the step is not to be read any more
    says: str = ""  # in short: words of a person, or what was tried
    sign: int | None = None  # of a case: for it, or against it
    by: str | None = None
    at: datetime | None = None


class Record(Value, frozen=True, kw_only=True):
    """How the runs did that were told an item, and those that were not."""

    told: int = 0  # runs
    told_known: int = 0  # of which somebody said how they went
    told_mean: float | None = None  # of what was said, 0..1
    withheld: int = 0
    withheld_known: int = 0
    withheld_mean: float | None = None
    logged: int = 0  # fitted, and were not told: in shadow, or left out


class Why(Value, frozen=True, kw_only=True):
    """An item of memory with all that speaks for it."""

    item_id: str
    kind: str  # rule, advice, skill
    says: str  # as it would stand in a prompt
    state: str | None = None
    source: str | None = None
    author: str | None = None
    trust: str | None = None
    confidence: float | None = None
    created_at: datetime | None = None
    evidence: tuple[Evidence, ...] = ()
    evidence_left_out: int = 0  # more than were read
    record: Record = Record()
    uses: tuple[Use, ...] = ()  # the newest, without their other items
    lift: ItemLift | None = None


class Told(Value, frozen=True, kw_only=True):
    """An item of one run: what became of it there, and why it exists."""

    arm: Arm
    rank: int
    score: float
    propensity: float
    why: Why


class RunWhy(Value, frozen=True, kw_only=True):
    """What memory did for one run, item by item."""

    trace_id: str
    use: Use | None  # None: memory was off, or had nothing
    block: str = ""  # as the model saw it
    items: tuple[Told, ...] = ()


class CameOf(Value, frozen=True, kw_only=True):
    """What was learnt from one step: from words on it, or from itself."""

    trace_id: str
    step_id: str
    experiences: tuple[Why, ...] = ()
    cases: tuple[Evidence, ...] = ()


class Learnt(Value, frozen=True, kw_only=True):
    """What was learnt since a moment."""

    since: datetime
    experiences: tuple[Experience, ...] = ()  # made since, newest first
    cases: int = 0  # recorded since, …
    cases_for: dict[str, int] = {}  # … by tool, those in favour
    cases_against: dict[str, int] = {}
    is_partial: bool = False  # there are more than were read
    lifts: tuple[Lift, ...] = ()  # by scope, of those in which something was learnt
