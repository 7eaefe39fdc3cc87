"""Steps as they are read: from rows, with what was left out put back. The same for every store."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from agent.core.fold import fold, start
from agent.core.messages import Messages
from agent.core.prompt import continues_of, expand, final_messages, needs
from agent.errors import StepNotFound
from agent.models.bulk import Bulk
from agent.models.trace import Step, sequence_of
from agent.storage.codec import NAME_LIMIT, Page, Row
from agent.storage.lineage import Origins, Segment, lineage, part_with

LONGEST_ID = NAME_LIMIT + 20  # a derived id: the trace's, and a number


class Rows(Origins, Protocol):
    """Where rows come from. A trace that is not there has none. A fork has only those of its own."""

    def span(self, trace_id: str, after: int, limit: int | None, last: int | None = None) -> Sequence[Row]:
        """Return rows with a sequence above `after`, and up to `last`, by sequence."""
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
    with Bulk():
        page.add(found)
    if page.wanted:
        page.fill(rows.blobs(page.wanted))
    return page.steps


def read_steps(rows: Rows, trace_id: str, after: int, limit: int | None, last: int | None = None) -> list[Step]:
    """Return a page of steps up to `last`, as recorded; those that a fork inherits have their own ids."""
    parts = lineage(rows, trace_id)
    if len(parts) == 1:
        return lean(rows, trace_id, rows.span(trace_id, after, limit, last))
    steps: list[Step] = []
    for part in parts:
        until = part.last if last is None else last if part.last is None else min(last, part.last)
        if until is None or until > after:
            steps += lean(rows, part.trace_id, rows.span(part.trace_id, after, None if limit is None else max(limit, 0) - len(steps), until))
            after = after if part.last is None else max(after, part.last)
    return steps


def _read_at(rows: Rows, parts: Sequence[Segment], sequences: Iterable[int]) -> list[Step]:
    """Return the steps that a run has at these sequences, by sequence."""
    wanted: dict[str, list[int]] = {}
    for sequence in sorted(set(sequences)):
        wanted.setdefault(part_with(parts, sequence).trace_id, []).append(sequence)
    return [step for trace_id, found in wanted.items() for step in lean(rows, trace_id, rows.at(trace_id, found))]


def get_steps(rows: Rows, trace_id: str, after: int, limit: int | None) -> list[Step]:
    """Return a page of steps, restored but for `messages`."""
    return _restored(rows, lineage(rows, trace_id), read_steps(rows, trace_id, after, limit))


def get_step(rows: Rows, trace_id: str, step_id: str) -> Step:
    """Return one step, by either id, restored but for `messages`. In a fork, a number of its own means an inherited step too.

    Raises:
        StepNotFound: there is none.
    """
    parts = lineage(rows, trace_id)
    for part in reversed(parts):
        steps = _found_in(rows, parts, part, step_id, is_own=part is parts[-1])
        if steps:
            return _restored(rows, parts, steps)[0]
    raise StepNotFound(step_id, f"trace {trace_id!r} has no such step")


def _found_in(rows: Rows, parts: Sequence[Segment], part: Segment, step_id: str, *, is_own: bool) -> list[Step]:
    named = [row for row in rows.named(part.trace_id, step_id) if part.last is None or row[0] <= part.last]
    if named:
        return lean(rows, part.trace_id, named)
    sequence = sequence_of(part.trace_id, step_id) if len(step_id) <= LONGEST_ID else None
    if sequence is None or (part_with(parts, sequence) != part and not is_own):
        return []
    return _read_at(rows, parts, [sequence])


def get_trace_steps(rows: Rows, trace_id: str) -> list[Step]:
    """Return all steps, whole."""
    steps = read_steps(rows, trace_id, -1, None)
    return expand(steps, inherited=_inherited(rows, steps))


def _restored(rows: Rows, parts: Sequence[Segment], steps: list[Step]) -> list[Step]:
    wanted = needs(steps, [part.trace_id for part in parts])
    if any(step.step_type == "llm_call" for step in steps):
        wanted += [part.last + 1 for part in parts if part.last is not None]  # where a fork begins, it may change the model
    return expand(steps, with_messages=False, before=_read_at(rows, parts, wanted) if wanted else ())


def _inherited(rows: Rows, steps: Sequence[Step]) -> Messages | None:
    """Return the messages of the runs before this one in its conversation, the oldest first."""
    earlier: list[list[Step]] = []
    seen: set[str] = set()
    place = continues_of(steps)
    while place is not None and place[0] not in seen:
        trace_id, last = place
        seen.add(trace_id)
        earlier.append(read_steps(rows, trace_id, -1, None, last))
        place = continues_of(earlier[-1])
    messages: Messages | None = None
    for run in reversed(earlier):
        messages = final_messages(fold(run, start(messages)))
    return messages
