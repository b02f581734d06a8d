"""A logger's processor that raises on an event that `shared.log.EVENTS` does not list."""

from typing import Any

from shared.log import EVENTS


def refuse_unlisted(_logger: Any, _method: str, line: Any) -> Any:
    """Return *line*; raise if its event is not listed."""
    assert line.get("event") in EVENTS, f"{line.get('event')} is not listed in shared.log.EVENTS"
    return line
