"""What time it is."""

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agent.clock import now
from agent.errors import ToolFailed


def current_time(timezone: str = "UTC") -> dict[str, str]:
    """Get the current date and time.

    Args:
        timezone: an IANA name such as "Europe/Berlin" or "Asia/Shanghai"
    """
    moment = now().astimezone(_zone(timezone))
    return {"time": moment.isoformat(timespec="seconds"), "weekday": moment.strftime("%A"), "timezone": timezone}


def _zone(name: str) -> tzinfo:
    if name.upper() in ("UTC", "Z", "GMT", ""):
        return UTC  # known also where no table of time zones is installed
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ToolFailed(f"the time zone {name!r} is not known: use an IANA name such as 'Europe/Berlin', or leave it out for UTC") from None
