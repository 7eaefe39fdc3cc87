"""Steps as they are read: from rows, with what was left out put back. The same for every store."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from agent.core.fold import fold, start
from agent.core.messages import Messages
from agent.core.prompt import continues_of, expand, final_messages, needs
from agent.errors import StepNotFound
from agent.models.trace import Step, sequence_of
from agent.storage.codec import NAME_LIMIT, Page, Row

LONGEST_ID = NAME_LIMIT + 20  # a derived id: the trace's, and a number


class Rows(Protocol):
    """Where rows come from. A trace that is not there has none."""

    def span(self, trace_id: str, after: int, limit: int | None) -> Sequence[Row]:
        """Return rows with a sequence above `after`, by sequence."""
        ...

    def at(self, trace_id: str, sequences: Sequence[int]) -> Sequence[Row]:
        """Return the rows of these sequences that there are, by sequence."""
        ...

    def named(self, trace_id: str, name: str) -> Sequence[Row]:
        """Return the row whose caller chose this id."""
        ...

    def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return the stored form of blobs by their hash."""
        ...


def lean(rows: Rows, trace_id: str, found: Sequence[Row]) -> list[Step]:
    """Return rows as steps, as recorded.

    Raises:
        StoreUnusable: a row is damaged, or a blob is missing.
    """
    page = Page(trace_id)
    page.add(found)
    if page.wanted:
        page.fill(rows.blobs(page.wanted))
    return page.steps


def read_steps(rows: Rows, trace_id: str, after: int, limit: int | None) -> list[Step]:
    """Return a page of steps, as recorded."""
    return lean(rows, trace_id, rows.span(trace_id, after, limit))


def get_steps(rows: Rows, trace_id: str, after: int, limit: int | None) -> list[Step]:
    """Return a page of steps, restored but for `messages`."""
    return _restored(rows, trace_id, read_steps(rows, trace_id, after, limit))


def get_step(rows: Rows, trace_id: str, step_id: str) -> Step:
    """Return one step, by either id, restored but for `messages`.

    Raises:
        StepNotFound: there is none.
    """
    sequence = sequence_of(trace_id, step_id) if len(step_id) <= LONGEST_ID else None
    found = rows.named(trace_id, step_id) or (rows.at(trace_id, [sequence]) if sequence is not None else ())
    steps = lean(rows, trace_id, found)
    if not steps:
        raise StepNotFound(step_id, f"trace {trace_id!r} has no such step")
    return _restored(rows, trace_id, steps)[0]


def get_trace_steps(rows: Rows, trace_id: str) -> list[Step]:
    """Return all steps, whole."""
    steps = read_steps(rows, trace_id, -1, None)
    return expand(steps, inherited=_inherited(rows, steps))


def _restored(rows: Rows, trace_id: str, steps: list[Step]) -> list[Step]:
    wanted = needs(steps)
    before = lean(rows, trace_id, rows.at(trace_id, wanted)) if wanted else []
    return expand(steps, with_messages=False, before=before)


def _inherited(rows: Rows, steps: Sequence[Step]) -> Messages | None:
    """Return the messages of the runs before this one in its conversation, the oldest first."""
    earlier: list[list[Step]] = []
    seen: set[str] = set()
    place = continues_of(steps)
    while place is not None and place[0] not in seen:
        trace_id, last = place
        seen.add(trace_id)
        earlier.append([step for step in read_steps(rows, trace_id, -1, None) if step.sequence <= last])
        place = continues_of(earlier[-1])
    messages: Messages | None = None
    for run in reversed(earlier):
        messages = final_messages(fold(run, start(messages)))
    return messages
