"""Every error a caller can act on, as one tree.

AgentError
├── BadInput                  what was handed in cannot be used: nothing was done
│   ├── ConfigInvalid         a setting or a file of settings
│   ├── SchemaUnsupported     a tool function whose signature gives no schema
│   ├── SettingMissing        a resume lacks a keyword that is never stored
│   ├── Unsupported           this store or model cannot do what was asked
│   └── FeedbackInvalid       a kind of feedback that does not exist
├── NotFound
│   ├── TraceNotFound  StepNotFound  BlobNotFound  ToolNotFound  ExperienceNotFound  RuleNotFound
├── StoreError                the record could not be read or written
│   ├── SequenceTaken  Fenced  TraceExists  VersionConflict  StoreBusy  StoreClosed
│   ├── StoreFull             no space left: nothing of this append was written
│   ├── StoreUnusable         missing, damaged, locked, or no permission
│   ├── FormatTooNew  ForeignFile
├── RunError                  what was asked does not fit the state of the run
│   ├── AlreadyDecided  NotPending  ApprovalExpired  NotEditable  HashMismatch  InDoubt  NotInDoubt
│   ├── ConversationBusy  LimitNotRaised  DailyLimitReached
├── ModelError                a model call failed
│   ├── ModelUnavailable (may be retried)  ModelRejected (may not)  ModelNotConfigured  OutputInvalid
│   └── ContextTooLong        a ModelRejected: the prompt is longer than the model takes
├── EvalStopped               an eval cannot go on as it is; run again, it goes on where it was
└── ToolFailed                the model is told; never ends a run
    ├── ToolArgumentsInvalid  ToolTimeout  ToolNotStarted  ToolRefused
"""

from datetime import datetime
from typing import Any


class AgentError(Exception):
    """The root: everything this package raises on purpose."""


class _Plain(AgentError):
    """An error whose values are one finished sentence."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


# ---- bad input


class BadInput(_Plain, ValueError):
    """What was handed in cannot be used; nothing was done."""


class ConfigInvalid(BadInput):
    """A setting, or a file of settings, cannot be used."""


class SchemaUnsupported(BadInput):
    """A tool function's signature gives no schema."""


class Unsupported(BadInput):
    """This store, model or tool cannot do what was asked."""


class FeedbackInvalid(BadInput):
    """The kind of feedback does not exist."""


class SettingMissing(BadInput):
    """A run began with keywords that are never stored; a resume must give them again."""

    def __init__(self, trace_id: str, names: tuple[str, ...]) -> None:
        super(BadInput, self).__init__(f"trace {trace_id!r} began with {', '.join(names)}, which is passed on but never stored: give it to resume() again")
        self.trace_id, self.names = trace_id, names

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.trace_id, self.names)


# ---- not found


class NotFound(AgentError, LookupError):
    """Nothing has this id here."""

    what = "thing"

    def __init__(self, wanted: str, hint: str = "") -> None:
        super().__init__(wanted, hint)
        self.wanted, self.hint = wanted, hint

    def __str__(self) -> str:
        return f"no {self.what} {self.wanted!r:.200}" + (f": {self.hint}" if self.hint else "")


class TraceNotFound(NotFound):
    """No trace has this id (or it belongs to another uid)."""

    what = "trace"


class StepNotFound(NotFound):
    """The trace has no such step."""

    what = "step"


class BlobNotFound(NotFound):
    """No blob has this hash."""

    what = "blob"


class ToolNotFound(NotFound):
    """No tool is registered under this name."""

    what = "tool"


class ExperienceNotFound(NotFound):
    """No experience or skill has this id."""

    what = "experience"


class SkillNotFound(ExperienceNotFound):
    """No skill has this name or id."""

    what = "skill"


class RuleNotFound(NotFound):
    """No approval rule, or suggestion of one, has this id."""

    what = "approval rule"


# ---- stores


class StoreError(AgentError):
    """The record could not be read or written."""


class _PlainStore(_Plain, StoreError):
    pass


class SequenceTaken(StoreError):
    """Another writer appended to this trace first: read it again, then decide anew."""

    def __init__(self, trace_id: str, sequence: int) -> None:
        super().__init__(trace_id, sequence)
        self.trace_id, self.sequence = trace_id, sequence

    def __str__(self) -> str:
        return f"trace {self.trace_id!r} already has a step {self.sequence}, or would have a gap before it"


class Fenced(StoreError):
    """Another process took this trace over; what this one wanted to append was refused."""

    def __init__(self, trace_id: str, epoch: int) -> None:
        super().__init__(trace_id, epoch)
        self.trace_id, self.epoch = trace_id, epoch

    def __str__(self) -> str:
        return f"trace {self.trace_id!r} was taken over: epoch {self.epoch} may append no more"


class TraceExists(StoreError):
    """A trace with this id is there already."""

    def __init__(self, trace_id: str) -> None:
        super().__init__(trace_id)
        self.trace_id = trace_id

    def __str__(self) -> str:
        return f"a trace {self.trace_id!r} exists already"


class VersionConflict(StoreError):
    """The state has another version than the caller believed; nothing was set."""

    def __init__(self, key: str, expected: int, found: int) -> None:
        super().__init__(key, expected, found)
        self.key, self.expected, self.found = key, expected, found

    def __str__(self) -> str:
        return f"state {self.key!r} has version {self.found}, not {self.expected}: read it again, then decide anew"


class StoreBusy(_PlainStore):
    """Another process kept the store locked for too long; nothing was written."""


class StoreClosed(_PlainStore):
    """The store was closed."""


class StoreFull(_PlainStore):
    """No space is left where the store lives; nothing of this append was written."""


class StoreUnusable(_PlainStore):
    """The store is missing, damaged, not writable, or not reachable."""


class FormatTooNew(_PlainStore):
    """A newer version of the program wrote this store."""


class ForeignFile(_PlainStore):
    """The file is a database or another file, but not one of ours."""


# ---- runs


class RunError(_Plain):
    """What was asked does not fit the state of the run."""


class AlreadyDecided(RunError):
    """The first decision won; it is carried in `decision`."""

    def __init__(self, message: str, decision: Any = None) -> None:
        super(RunError, self).__init__(message)
        self.decision = decision

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.decision)


class NotPending(RunError):
    """No open request has this call id."""


class ApprovalExpired(RunError):
    """The request expired before it was decided."""


class NotEditable(RunError):
    """A parameter that may not be edited was edited."""


class HashMismatch(RunError):
    """The decision was made on other arguments than those that stand."""


class InDoubt(RunError):
    """The item is in doubt: `resolve` it, `decide` does not apply."""


class NotInDoubt(RunError):
    """The item is a plain request: `decide` it, `resolve` does not apply."""


class ConversationBusy(RunError):
    """The conversation's latest run has not ended."""


class LimitNotRaised(RunError):
    """A run that reached a limit goes on only with a raised one."""


class DailyLimitReached(RunError):
    """A uid has used up what it may use in a day (UTC); `until` is when it may go on."""

    def __init__(self, uid: str | None, limit: str, value: float, used: float, until: datetime) -> None:
        super().__init__(
            f"uid {uid!r} has used {used:.10g} of {limit}={value:.10g} today: it may go on from {until:%Y-%m-%d %H:%M} UTC on, or with a raised limit"
        )
        self.uid, self.limit, self.value, self.used, self.until = uid, limit, value, used, until

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.uid, self.limit, self.value, self.used, self.until)


# ---- models


class ModelError(_Plain):
    """A model call failed; `retryable` says whether the same call may succeed later."""

    retryable = False

    def __init__(self, message: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after_s = status, retry_after_s

    @property
    def may_be_billed(self) -> bool:
        """Whether the call may have cost something that nobody told: it broke off, and no status says that it was refused."""
        return self.status is None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message,), {"status": self.status, "retry_after_s": self.retry_after_s}


class ModelUnavailable(ModelError):
    """Overload, rate limit, cut connection, server fault: the same call may succeed later."""

    retryable = True


class ModelRejected(ModelError):
    """The provider refused the request (key, name, shape, safety): the same call fails again."""


class ContextTooLong(ModelRejected):
    """The prompt is longer than the model takes: a shorter one may succeed."""


class ModelNotConfigured(ModelError):
    """No model is named, its key is missing, or its extra is not installed."""

    @property
    def may_be_billed(self) -> bool:
        """No: nobody was asked."""
        return False


class OutputInvalid(ModelError):
    """The model's answers do not fit the output type, however often it was told so; the texts are on the record."""


# ---- evals


class EvalStopped(AgentError):
    """An eval cannot go on as it is; what is done stays, and run again it goes on where it was."""

    def __init__(self, task_id: str, problem: str) -> None:
        super().__init__(task_id, problem)
        self.task_id, self.problem = task_id, problem

    def __str__(self) -> str:
        return f"the eval stopped at the task {self.task_id!r}: {self.problem}; mend it and run the eval again: it goes on where it was"


# ---- tools: the model is told


class ToolFailed(_Plain):
    """A tool did not do its work; the sentence is what the model is told."""


class ToolArgumentsInvalid(ToolFailed):
    """The arguments do not fit the tool's schema; the tool was not started."""


class ToolTimeout(ToolFailed):
    """The tool took longer than it may."""


class ToolNotStarted(ToolFailed):
    """A tool raises this to say: whatever happened, I changed nothing."""


class ToolRefused(ToolFailed):
    """The call was refused before it began (not offered, not allowed)."""
