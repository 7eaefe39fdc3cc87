"""A coroutine run as far as it goes at once, and awaited from there: most tools never wait, and need no timer."""

from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Ended(NamedTuple):
    """A coroutine came to its end without waiting for anything."""

    value: Any


def begin(running: Coroutine[Any, Any, Any]) -> Ended | Any:
    """Run a coroutine, in the task of the caller, until it ends or waits; return its end, or what it waits for.

    Raises:
        BaseException: what it raised.
    """
    try:
        return running.send(None)
    except StopIteration as end:
        return Ended(end.value)


@coroutine
def go_on(running: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """Await the rest of a coroutine that waits for `waits_for`; nothing may be awaited between `begin` and this."""
    sent = None
    while True:
        try:
            sent = yield waits_for
        except GeneratorExit:
            running.close()
            raise
        except BaseException as error:  # noqa: BLE001  a cancel, or what else the loop throws in: the coroutine's to deal with
            thrown: BaseException | None = error
        else:
            thrown = None
        try:
            waits_for = running.send(sent) if thrown is None else running.throw(thrown)
        except StopIteration as end:
            value: T = end.value
            return value
