"""Making very many values at once, without the cycle collector looking at them over and over."""

import gc
from types import TracebackType


class Bulk:
    """While in the block, the process collects no cycles; where that is switched off already, nothing changes.

    A long log is ten thousand new lists and dicts and no garbage: each round of the collector would be in vain, and one over
    all that the process holds costs more than reading the log. For short stretches without an await only.
    Source: Mercurial's `util.nogc`.
    """

    __slots__ = ("_is_mine",)

    def __enter__(self) -> None:
        self._is_mine = gc.isenabled()
        gc.disable()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._is_mine:
            gc.enable()
