"""What may be erased from a trace, and with which words: the same for every store."""

from collections.abc import Sequence

from agent.errors import BadInput
from agent.models.trace import Trace
from agent.storage.codec import SEQUENCE_LIMIT
from agent.storage.unicode import is_unicode

ERASABLE = frozenset({"completed", "cancelled"})
"""Statuses of runs that nobody goes on with: another one would be resumed from a log with holes."""
MAX_REASON_CHARS = 10_000
MAX_BY_CHARS = 500


def is_erased(stored: bytes) -> bool:
    """Return whether a stored payload was forgotten."""
    return stored[:1] == b"\0"


def check_erasable(trace: Trace) -> None:
    """Refuse a run that may go on.

    Raises:
        BadInput: it may.
    """
    if trace.mode == "agent" and trace.status not in ERASABLE:
        raise BadInput(f"trace {trace.trace_id!r} is {trace.status} and may go on: cancel it first, then erase")


def checked_sequences(sequences: Sequence[int]) -> list[int]:
    """Return the numbers of the steps that are to go, each once.

    Raises:
        BadInput: one is no number of a step.
    """
    if not isinstance(sequences, Sequence) or any(type(number) is not int or not 0 <= number < SEQUENCE_LIMIT for number in sequences):
        raise BadInput(f"sequences is {sequences!r:.100}: give a list of numbers of steps, from 0 on")
    return sorted(set(sequences))


def checked_words(reason: str, by: str | None) -> None:
    """Refuse an erasure that does not say why.

    Raises:
        BadInput: there is no reason, or the words cannot be kept.
    """
    if not isinstance(reason, str) or not reason.strip() or len(reason) > MAX_REASON_CHARS or not is_unicode(reason):
        raise BadInput(f"an erasure is announced with its reason, a text of 1 to {MAX_REASON_CHARS} characters")
    if by is not None and (not isinstance(by, str) or len(by) > MAX_BY_CHARS or not is_unicode(by)):
        raise BadInput(f"by must say in a text of at most {MAX_BY_CHARS} characters who erased it, or be left out")
