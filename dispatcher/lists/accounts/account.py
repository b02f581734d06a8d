"""The account of one provider's day: its figures, whether they add up, and what a person should know of it. Pure.

A day is a day of UTC. A fax belongs to the day on which it was created, by the provider's clock, as lists go by
creation. A fax that no list named belongs to the day on which the ledger first heard of it, by our clock.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal

import msgspec

from shared.domain import Provider

Verdict = Literal["complete", "open", "begun", "missing", "only_ours", "partly_read", "not_read", "no_list"]

SKEW: Final = timedelta(minutes=2)
"""By our clock a fax may be received so long before the list can name it, by the provider's clock."""


class Coverage(msgspec.Struct, frozen=True):
    """The part of a day whose faxes a list gave, to its end and consistently: faxes created from *since* to *until*."""

    since: datetime
    until: datetime


class Fates(msgspec.Struct, kw_only=True):
    """What became of faxes: each is in one of the four.

    Attributes:
        told: All their deliveries are settled, and at least one was told …
        owed: … or a delivery is still to be attempted, and none was given up …
        dead: … or a delivery was given up …
        unowed: … or no endpoint asked for them.
    """

    told: int = 0
    owed: int = 0
    dead: int = 0
    unowed: int = 0

    @property
    def count(self) -> int:
        """All of them."""
        return self.told + self.owed + self.dead + self.unowed

    def __add__(self, other: "Fates") -> "Fates":
        """Return both together."""
        names = self.__struct_fields__
        return Fates(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Figures(msgspec.Struct, kw_only=True):
    """Faxes of one day, by what is known of them.

    Attributes:
        theirs: Finished faxes on the provider's list.
        repaired: Those of them that the list told, and no callback before.
        under_way: On the list without an ending.
        on_the_way: On the list with an ending that was told just now, and may not have been taken in yet.
        listed: Of the finished faxes on the list those whose ending is in the ledger.
        unlisted: Faxes with an ending in the ledger that no list named.
    """

    theirs: int = 0
    repaired: int = 0
    under_way: int = 0
    on_the_way: int = 0
    listed: Fates = msgspec.field(default_factory=Fates)
    unlisted: Fates = msgspec.field(default_factory=Fates)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The account of one provider's day. If it is complete, theirs = ours; always, ours = told + owed + dead + unowed.

    Attributes:
        day: A day of UTC.
        verdict: `complete`: theirs = ours. `open`: so far they are the same, and the day is not over. `begun`: the same
            since the list was read first, on this day. `missing`: faxes of the list are not in the ledger. `only_ours`:
            faxes of the ledger are not on the list. `partly_read`, `not_read`: the list was not read for the whole day,
            or at all. `no_list`: the provider has none, or its key is not set.
        sentence: The same for people, with what to do.
        is_wrong: A person must look at it.
        theirs: Finished faxes on the provider's list; null if it was not read.
        ours: Finished faxes in the ledger.
        repaired: Faxes that the list told, and no callback before; null if it was not read.
        missing: Faxes of the list that are not in the ledger; null if that is not known.
        only_ours: Faxes of the ledger that the list does not name; null if that is not known.
        under_way: Faxes of the list without an ending, or told just now; null if it was not read.
        told: Faxes whose deliveries are all settled, at least one of them told.
        owed: Faxes with a delivery that is still to be attempted.
        dead: Faxes with a delivery that was given up.
        unowed: Faxes that no endpoint asked for.
        read_since: The list was read for faxes created from then …
        read_until: … until then.
        reason: Why the list could not be read the last time; null if it could.
        drawn_up_at: When these figures were counted.
    """

    provider: Provider
    day: date
    verdict: Verdict
    sentence: str = ""
    is_wrong: bool = False
    theirs: int | None
    ours: int
    repaired: int | None
    missing: int | None
    only_ours: int | None
    under_way: int | None
    told: int
    owed: int
    dead: int
    unowed: int
    read_since: datetime | None
    read_until: datetime | None
    reason: str | None
    drawn_up_at: datetime


def bounds(day: date) -> Coverage:
    """Return the whole of *day*.

    >>> bounds(date(2026, 11, 29)).until.isoformat()
    '2026-11-30T00:00:00+00:00'
    """
    start = datetime.combine(day, time(), UTC)
    return Coverage(start, start + timedelta(days=1))


def days_of(since: datetime, until: datetime) -> list[Coverage]:
    """Return the part of each day from *since* to *until*, in order.

    >>> parts = days_of(datetime(2026, 11, 28, 22, tzinfo=UTC), datetime(2026, 11, 29, 3, tzinfo=UTC))
    >>> [(part.since.hour, part.until.hour) for part in parts]
    [(22, 0), (0, 3)]
    """
    found = []
    start = since.astimezone(UTC)
    while start < until:
        end = min(until.astimezone(UTC), bounds(start.date()).until)
        found.append(Coverage(start, end))
        start = end
    return found


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What decides beside the figures.

    Attributes:
        has_list: The provider has a list, and its key is set.
        read: The part of the day that was read; None if nothing was.
        read_to: Up to when any day of this provider was read.
        held_before: A fax that the ledger held then, by its own clock, was to be on the list as it was read last.
        is_first: No day before was read, not even in part.
        day_before_is_read: All of it: what is on no list now never was.
        recent: What was read up to here is up to date: the next reading is not due, or has just become so.
        reason: Why the list could not be read the last time.
    """

    day: date
    now: datetime
    has_list: bool
    read: Coverage | None
    read_to: datetime | None = None
    held_before: datetime
    is_first: bool = False
    day_before_is_read: bool = False
    recent: datetime
    reason: str | None = None

    @property
    def is_up_to_date(self) -> bool:
        """Was the day read as far as it can have been?"""
        whole = bounds(self.day)
        needed = min(self.recent, whole.until)
        if self.read is None:
            return needed <= whole.since
        return self.read.until >= needed and (self.read.since <= whole.since or self.is_first)

    @property
    def is_whole(self) -> bool:
        """Was all of the day read?"""
        return self.read == bounds(self.day)

    @property
    def unlisted_until(self) -> datetime:
        """Return until when faxes of the ledger were received that a list should name by now."""
        end = bounds(self.day).until
        if self.read_to is None or not self.is_up_to_date:
            return end
        return min(end, self.read_to - SKEW)


def account_of(provider: Provider, figures: Figures, standing: Standing) -> Account:
    """Return the account that follows from the figures of a day."""
    read = standing.read
    is_read = read is not None
    missing = figures.theirs - figures.listed.count
    # A fax that no list names may have been created before the first list was read.
    can_compare = is_read and standing.is_up_to_date and standing.day_before_is_read
    only_ours = figures.unlisted.count if can_compare else None
    belongs_elsewhere = is_read and standing.is_up_to_date and not can_compare and not standing.is_first
    fates = figures.listed if belongs_elsewhere else figures.listed + figures.unlisted
    is_missing_known = is_read and standing.is_up_to_date and not standing.is_first
    return Account(
        provider=provider,
        day=standing.day,
        verdict=_verdict(figures, missing, only_ours or 0, standing),
        theirs=figures.theirs if is_read else None,
        ours=fates.count,
        repaired=figures.repaired if is_read else None,
        missing=missing if missing or is_missing_known else None,
        only_ours=only_ours,
        under_way=figures.under_way + figures.on_the_way if is_read else None,
        told=fates.told,
        owed=fates.owed,
        dead=fates.dead,
        unowed=fates.unowed,
        read_since=None if read is None else read.since,
        read_until=None if read is None else read.until,
        reason=standing.reason,
        drawn_up_at=standing.now,
    )


def _verdict(figures: Figures, missing: int, only_ours: int, standing: Standing) -> Verdict:
    if missing:
        return "missing"
    if standing.read is None and not standing.has_list:
        return "no_list"
    if not standing.is_up_to_date:
        return "not_read" if standing.read is None else "partly_read"
    if only_ours:
        return "only_ours"
    if standing.is_whole and not figures.on_the_way:
        return "complete"
    return "begun" if standing.read is not None and standing.is_first else "open"


def is_alarming(account: Account, now: datetime) -> bool:
    """Must a person look at it? A day that is not over may still be read; other readings say so if it is not."""
    if account.verdict in {"missing", "only_ours"}:
        return True
    return account.verdict in {"partly_read", "not_read"} and now >= bounds(account.day).until
