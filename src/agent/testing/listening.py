"""Reads streams of events for tests: whole, or up to one that matters, never longer than a bound."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from agent.events import AgentEvent


async def collect(stream: AsyncIterator[AgentEvent], *, into: list[AgentEvent] | None = None, timeout_s: float = 30.0) -> list[AgentEvent]:
    """Return all events of a stream; `into` has those that came also where the stream raises.

    Raises:
        TimeoutError: the stream has not ended.
    """
    events = into if into is not None else []
    async with asyncio.timeout(timeout_s):
        async for event in stream:
            events.append(event)  # what came stays where the stream raises
    return events


async def read_until(stream: AsyncIterator[AgentEvent], is_it: str | Callable[[AgentEvent], bool], *, timeout_s: float = 30.0) -> list[AgentEvent]:
    """Return the events up to the first of a type (or one that a function knows), which is the last one; the stream stays open.

    Raises:
        TimeoutError: it did not come.
        LookupError: the stream ended without it.
    """
    events: list[AgentEvent] = []
    async with asyncio.timeout(timeout_s):
        async for event in stream:
            events.append(event)
            if event.type == is_it if isinstance(is_it, str) else is_it(event):
                return events
    raise LookupError(f"the stream ended after {types_of(events)}")


def types_of(events: Iterable[AgentEvent], *, without: Iterable[str] = ("step_started", "token")) -> list[str]:
    """Return the types of events in order, without those that pass by."""
    passing = set(without)
    return [event.type for event in events if event.type not in passing]
