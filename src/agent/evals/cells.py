"""What an eval has done so far, kept in the state store of whoever runs it: one cell for each run."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from agent.clock import now
from agent.errors import NotFound
from agent.evals.scorers import PASS
from agent.models.value import Value
from agent.storage.protocols import StateStore
from agent.storage.state_values import RESERVED

_EVAL, _CELL = f"{RESERVED}eval:", f"{RESERVED}eval-cell:"


class EvalNotFound(NotFound):
    """No eval has this id here."""

    what = "eval"


class Setting(Value, frozen=True, kw_only=True):
    """What an eval is: whatever changes its results is in its id."""

    eval_id: str
    name: str
    digest: str  # of the tasks
    model: str
    arms: tuple[str, ...]
    seeds: int
    tasks: int  # in all
    held_out: int = 0  # of them
    corrections: float = 1.0  # the share of wrong answers that are corrected, where the set has a correction
    settings: dict[str, Any] = {}  # of the model
    description: str = ""
    file: str = ""
    created_at: datetime = msgspec.field(default_factory=now)

    @property
    def wanted(self) -> int:
        """Return how many runs there are when the eval is done."""
        return self.tasks * len(self.arms) * self.seeds


class Cell(Value, frozen=True, kw_only=True):
    """One run of one task in one arm with one seed."""

    arm: str
    seed: int
    position: int  # in the order of its seed, from 0
    task_id: str
    split: str
    trace_id: str
    status: str
    score: float | None = None  # 0..1; None: it could not be told
    why: str = ""  # of a score below 1
    error: str | None = None  # of a run that failed
    is_corrected: bool = False  # the answer was wrong, and feedback said what would have been right
    tokens: int = 0  # of prompts and replies
    cost_usd: float | None = 0.0
    cost_is_partial: bool = False
    took_s: float = 0.0  # of model and tool calls alone
    memory_tokens: float = 0.0  # about, of what memory told the run

    @property
    def is_right(self) -> bool | None:
        """Return whether the score counts as right; None where there is none."""
        return None if self.score is None else self.score >= PASS


def eval_id_of(name: str, digest: str) -> str:
    """Return the id of an eval: readable, and another one where anything about it is otherwise."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{words or 'eval'}-{digest[:8]}"


class Cells:
    """The evals of one uid in a state store."""

    def __init__(self, states: StateStore, uid: str) -> None:
        self.states, self.uid = states, uid

    async def begin(self, setting: Setting) -> Setting:
        """Record an eval and return it. Of one that was begun before, arms and seeds are added to those it has."""
        old = await self._setting(setting.eval_id)
        if old is not None:
            arms = tuple(dict.fromkeys((*old.arms, *setting.arms)))
            setting = msgspec.structs.replace(setting, arms=arms, seeds=max(old.seeds, setting.seeds), created_at=old.created_at)
        if old != setting:
            await self.states.set(_EVAL + setting.eval_id, msgspec.to_builtins(setting), uid=self.uid)
        return setting

    async def evals(self) -> list[Setting]:
        """Return all evals, newest first."""
        found = [msgspec.convert(entry.value, Setting) for entry in await self.states.list(_EVAL, uid=self.uid)]
        return sorted(found, key=lambda one: one.created_at, reverse=True)

    async def find(self, wanted: str) -> Setting:
        """Return the eval with this id, with an id that begins so, or with `last` the newest.

        Raises:
            EvalNotFound: there is none, or several begin so.
        """
        evals = await self.evals()
        found = [one for one in evals if one.eval_id == wanted] or [one for one in evals if wanted.strip() and one.eval_id.startswith(wanted)]
        if wanted == "last":
            found = evals[:1]
        if len(found) != 1:
            some = ", ".join(one.eval_id for one in (found or evals)[:5])
            raise EvalNotFound(wanted, f"there are {some}" if some else "there is none yet: `seasoned eval run` makes one")
        return found[0]

    async def put(self, eval_id: str, cells: Iterable[Cell]) -> None:
        """Record cells; the same again changes nothing."""
        for cell in cells:
            await self.states.set(f"{_CELL}{eval_id}:{cell.arm}:{cell.seed:04d}:{cell.position:06d}", msgspec.to_builtins(cell), uid=self.uid)

    async def of(self, eval_id: str, arm: str | None = None, seed: int = 0) -> list[Cell]:
        """Return all cells of an eval, by arm, seed and position; with `arm` those of this arm and seed."""
        prefix = f"{_CELL}{eval_id}:" + (f"{arm}:{seed:04d}:" if arm is not None else "")
        return [msgspec.convert(entry.value, Cell) for entry in await self.states.list(prefix, uid=self.uid)]

    async def remove(self, eval_id: str) -> int:
        """Remove an eval and its cells, and return how many there were; its runs stay."""
        entries: Sequence[Any] = await self.states.list(f"{_CELL}{eval_id}:", uid=self.uid)
        for entry in entries:
            await self.states.delete(entry.key, uid=self.uid)
        await self.states.delete(_EVAL + eval_id, uid=self.uid)
        return len(entries)

    async def _setting(self, eval_id: str) -> Setting | None:
        value = await self.states.get(_EVAL + eval_id, uid=self.uid)
        return msgspec.convert(value, Setting) if value is not None else None
