"""What memory gives to a run: searched once, recorded once, and never a reason to fail."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import agent.models.payloads as said
from agent.config import AgentConfig
from agent.core.memory_block import block_of
from agent.memory.choosing import Choice, as_noted, choose
from agent.memory.finding import Sources, Wanted, find
from agent.memory.skills import with_skills
from agent.models.learning import Use
from agent.models.memory import Experience
from agent.models.payloads import payload_of
from agent.models.trace import Step, Trace
from agent.models.value import Value, replace
from agent.storage.learning_port import LearningStore

logger = logging.getLogger("agent")
T = TypeVar("T")


class Failed(Value, frozen=True):
    """Why the memory did not answer."""

    why: str


async def recall(sources: Sources, wanted: Wanted, asked: said.Input) -> said.MemoryRead:
    """Return what memory has for a run. A failure or the deadline gives an empty one that says so.

    What it tells is noted in the memory first. Where that fails or takes too long the run is told all the same, and its step
    says that the note is missing: `use_of` makes it.
    """
    until = asyncio.get_running_loop().time() + sources.config.memory_timeout_s
    choice = await _guarded(_chosen(sources, wanted, asked.language), until)
    if isinstance(choice, Failed):
        logger.warning("memory could not be read, the run goes on without it: %s", choice.why)
        return said.MemoryRead(error=choice.why)
    if sources.credit is None:
        return _read(sources.config, asked, choice, number=0)
    use = Use(trace_id=wanted.trace_id, scope=wanted.scope, uid=wanted.uid, items=choice.items, arm=choice.arm, propensity=choice.propensity)
    noted = await _guarded(sources.credit.memories.record_use(use), until)
    if isinstance(noted, Failed):
        logger.warning("memory could not note what the run was told; the run goes on: %s", noted.why)
        return replace(_read(sources.config, asked, choice, number=0), unrecorded=noted.why)
    return _read(sources.config, asked, as_noted(choice, noted), number=noted.number)


def use_of(read: said.MemoryRead, *, trace_id: str, scope: str, uid: str | None) -> Use:
    """Return what the memory is to note of a run, from the run's own step: for where that did not succeed at its time.

    Raises:
        BadInput: the step says something else.
    """
    return Use.from_dict({"trace_id": trace_id, "scope": scope, "uid": uid, "items": read.items, "arm": read.arm, "propensity": read.propensity})


async def note_late(memories: LearningStore, trace: Trace, steps: Sequence[Step], *, scope: str) -> None:
    """Note what a run was told, where the memory could not when the run began; the first note stands."""
    own = next((step for step in steps if step.step_type == "memory_read" and step.trace_id == trace.trace_id), None)
    read = payload_of(own) if own is not None else None
    if isinstance(read, said.MemoryRead) and read.unrecorded is not None:
        _ = await memories.record_use(use_of(read, trace_id=trace.trace_id, scope=scope, uid=trace.uid))


async def _chosen(sources: Sources, wanted: Wanted, language: str) -> Choice:
    """Return what the run is to be told. Advice that somebody took out of use is left out: the experience under its id is not active then."""
    found = await find(sources, wanted)
    found = await with_skills(found, wanted, sources.memories, sources.config)
    silenced: set[str] = set()
    checked: set[str] = set()
    while True:
        choice = choose(found, wanted, sources.config, language=language, silenced=silenced)
        new = {record.item_id for record in choice.advice.records} - checked
        if not new or sources.credit is None:
            return choice
        items = {item_id: await sources.credit.memories.get(item_id, uid=wanted.uid) for item_id in sorted(new)}
        checked |= new
        silenced |= {item_id for item_id, item in items.items() if isinstance(item, Experience) and item.state != "active"}
        if not silenced & new:
            return choice


async def _guarded(work: Awaitable[T], until: float) -> T | Failed:
    """Return what comes of `work`, or why nothing did; only who cancels this task itself is obeyed."""
    try:
        async with asyncio.timeout_at(until):
            return await work
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return Failed(f"{type(error).__name__}: {error}")  # nobody here asked for it: it came from within
    except TimeoutError:
        return Failed("memory took too long")
    except Exception as error:  # noqa: BLE001  memory helps; it never stops a run
        return Failed(f"{type(error).__name__}: {error}")


def _read(config: AgentConfig, asked: said.Input, choice: Choice, *, number: int) -> said.MemoryRead:
    advice = choice.advice
    block = block_of(
        choice.skills,
        choice.experiences,
        language=asked.language,
        placement=asked.memory_placement,
        max_chars=config.memory_max_chars,
        max_rule_chars=config.memory_max_rule_chars,
        advice=advice.text if choice.arm == "injected" else "",
    )
    return said.MemoryRead(
        skills_count=len(choice.skills),
        experiences_count=len(choice.experiences),
        skills=[skill.to_dict() for skill in choice.skills],
        experiences=[experience.to_dict() for experience in choice.experiences],
        block=block,
        items=[one.to_dict() for one in choice.items],
        advice=advice.to_dict() if advice.form != "none" else {},
        arm=choice.arm,
        propensity=choice.propensity,
        run_number=number,
    )
