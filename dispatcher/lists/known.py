"""What the ledger knows of listed faxes, and what of a list is as it was when it was read before."""

from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from dispatcher.policy.lifecycle import ending_bit
from shared.domain import EventType, Provider

_BITS: Final = ", ".join(f"('{each}', {ending_bit(each)})" for each in EventType if ending_bit(each))
KNOWN: Final = f"""
SELECT wanted.fax_id, faxes.endings, faxes.state, faxes.event_id, faxes.job_id,
       coalesce((SELECT bit_or(bits.bit) FROM events JOIN (VALUES {_BITS}) AS bits (type, bit) USING (type)
                 WHERE events.provider = $1 AND events.fax_id = wanted.fax_id), 0) AS recorded
FROM unnest($2::text[]) AS wanted (fax_id)
LEFT JOIN faxes ON faxes.provider = $1 AND faxes.fax_id = wanted.fax_id
"""  # noqa: S608 - what is inserted is ours
STILL_KNOWN: Final = """
SELECT count(*) FROM unnest($2::text[]) AS wanted (fax_id)
WHERE (SELECT endings <> 0 FROM faxes WHERE faxes.provider = $1 AND faxes.fax_id = wanted.fax_id)
AND (SELECT true FROM listed_faxes WHERE listed_faxes.provider = $1 AND listed_faxes.fax_id = wanted.fax_id)
"""
MOST_REMEMBERED: Final = 500_000
"""Of one provider; some 60 MB."""


class KnownFax(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger knows of a listed fax.

    Attributes:
        endings: As `FaxState.endings`, by the fax itself; None if the ledger has no such fax.
        recorded: The same, by the events that the ledger has.
        state, event_id: Of the event that the fax's state is from.
        job_id: The application's.
    """

    endings: int | None = None
    recorded: int = 0
    state: str | None = None
    event_id: str | None = None
    job_id: str | None = None


class KnownBefore:
    """Faxes of one list whose ending the ledger knew at the last reading, by what the list said of them then.

    A list is read every few minutes, and nearly all of it is as before. What has not changed by a byte need not be read
    again; that the ledger still holds it is looked up all the same.
    """

    def __init__(self) -> None:
        self._before: dict[str, int] = {}
        self._now: dict[str, int] = {}

    def has(self, fax_id: str, raw: bytes) -> bool:
        """Did the list say the same of this fax, and was its ending known?"""
        return self._before.get(fax_id) == hash(raw)

    def keep(self, fax_id: str, raw: bytes) -> None:
        """Its ending is known, and the fax noted for the account."""
        if fax_id and len(self._now) < MOST_REMEMBERED:
            self._now[fax_id] = hash(raw)

    def turn(self, *, is_whole: bool) -> None:
        """End a reading. After a whole one, what was not listed is forgotten."""
        self._before = self._now if is_whole else dict(islice((self._before | self._now).items(), MOST_REMEMBERED))
        self._now = {}


async def known_faxes(connection: Any, provider: Provider, fax_ids: Sequence[str]) -> dict[str, KnownFax]:
    """Return what the ledger knows of these faxes, by id."""
    rows = await connection.fetch(KNOWN, provider, list(fax_ids))
    return {row["fax_id"]: KnownFax(**{name: row[name] for name in KnownFax.__struct_fields__}) for row in rows}


async def still_known(connection: Any, provider: Provider, fax_ids: Sequence[str]) -> bool:
    """Does the ledger hold all of these faxes, ended and noted for the account?"""
    return bool(await connection.fetchval(STILL_KNOWN, provider, fax_ids) == len(fax_ids))
