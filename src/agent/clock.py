"""Time: aware UTC moments and what caller-given ones become."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return this moment, aware, in UTC."""
    return datetime.now(UTC)


def as_utc(moment: datetime) -> datetime:
    """Return `moment` in UTC; a naive one is taken for local time."""
    return moment.astimezone(UTC)


def to_ms(moment: datetime) -> int:
    """Return milliseconds since 1970; the wire and disk form of a moment."""
    return round(moment.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    """Return the moment of `to_ms`."""
    return datetime.fromtimestamp(ms / 1000, UTC)
