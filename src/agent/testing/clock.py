"""A clock that stands still until it is told to move."""

from datetime import UTC, datetime, timedelta

_BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)


class FakeClock:
    """Give its `now` to what takes one; `pass_s` moves it."""

    def __init__(self, begin: datetime = _BEGIN) -> None:
        self._now = begin

    def now(self) -> datetime:
        """Return the moment, aware, in UTC."""
        return self._now

    def pass_s(self, seconds: float) -> None:
        """Let time go by."""
        self._now += timedelta(seconds=seconds)
