"""Raises `silence`: a provider, or one of our numbers, has been quiet for improbably long."""

import asyncio
import time
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from dispatcher.alerts.kinds import Kind
from dispatcher.alerts.matters import open_subjects, raise_matter, resolve_matter
from dispatcher.alerts.silence import hours
from dispatcher.alerts.silence.judging import Line, Silence, Told, silent_lines
from dispatcher.alerts.silence.statistic import ALLOWED_FOR, Profile, log10_bound
from shared.domain import utc_now

WARM_UP_SECONDS: Final = 300.0
"""After the start of a process: what waited for it in the broker must come in first."""

MOST_LAG_SECONDS: Final = 120.0
"""While events come in later than that, what seems quiet may only be waiting."""

TOLD: Final = """
SELECT details, resolved_at FROM alerts
WHERE kind = $1 AND (resolved_at IS NULL OR resolved_at > now() - $2::interval) LIMIT 1000
"""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the alert of a silence keeps in its details."""

    provider: str
    direction: str
    number: str
    since: datetime
    log10: float


class SilenceCheck:
    """Counts faxes by the hour, learns the usual weeks once an hour, and looks for silence once a minute."""

    every_seconds = 60.0

    def __init__(self) -> None:
        self._profiles: dict[Line, Profile] = {}
        self._learnt_for: datetime | None = None
        self._counted_until: datetime | None = None
        self._ready_at = time.monotonic() + WARM_UP_SECONDS

    async def look(self, connection: Any) -> None:
        """Look once."""
        now = utc_now()
        # 1. Count. At the first time there are weeks to count, a part on each look.
        this_hour = now.replace(minute=0, second=0, microsecond=0)
        is_new_hour = self._learnt_for != this_hour
        again = hours.COUNTED_HOURLY if is_new_hour and self._learnt_for is not None else hours.COUNTED_AGAIN
        self._counted_until = await hours.count_hours(connection, self._counted_until, now, again)
        if self._counted_until < now:
            return
        # 2. Learn.
        if is_new_hour:
            await hours.prune_hours(connection, now)
            self._profiles = await hours.learn_lines(connection, now)
            self._learnt_for = this_hour
        # 3. Judge, unless faxes wait for us.
        if time.monotonic() >= self._ready_at and await hours.read_lag_seconds(connection) <= MOST_LAG_SECONDS:
            await self.judge(connection, now)

    async def judge(self, connection: Any, now: datetime) -> None:
        """Raise what is silent at *now*, and resolve what is no longer."""
        lines = await hours.read_lines(connection, self._profiles, now)
        await asyncio.sleep(0)
        bound = log10_bound(sum(profile.per_week for profile in self._profiles.values()))
        silent = silent_lines(lines, await _told(connection), bound, now)
        for each in silent:
            line = each.line
            known = Known(
                provider=line.provider,
                direction=line.direction,
                number=line.number,
                since=each.since,
                log10=each.log10,
            )
            details = msgspec.to_builtins(known)
            await raise_matter(connection, Kind.SILENCE, line.subject, sentence_of(each, now), details=details)
        for subject in await open_subjects(connection, Kind.SILENCE) - {each.line.subject for each in silent}:
            await resolve_matter(connection, Kind.SILENCE, subject, "a fax came, or none is usual any more")


def sentence_of(silence: Silence, now: datetime) -> str:
    """Return what is silent, since when, and what is usual."""
    line = silence.line
    number = {"any": "", "received": f", received at {line.number}", "sent": f", sent from {line.number}"}
    hours_quiet = (now - silence.since) / timedelta(hours=1)
    usual = max(1, round(silence.usual))
    return (
        f"{line.provider}{number[line.direction]}: no callback of a fax for {hours_quiet:.1f} h, since "
        f"{silence.since:%Y-%m-%d %H:%M} UTC; usually faxes come in {usual} five-minute stretches of that time"
    )


async def _told(connection: Any) -> list[Told]:
    found = []
    for row in await connection.fetch(TOLD, Kind.SILENCE, ALLOWED_FOR):
        known = msgspec.json.decode(row["details"], type=Known)
        line = Line(known.provider, known.direction, known.number)
        found.append(Told(line=line, since=known.since, ended_at=row["resolved_at"], log10=known.log10))
    return found
