"""Dead letters of one kind and cause gathered into a group: those the ledger counted, and those of the queues. Pure."""

from datetime import datetime
from uuid import UUID

from dispatcher.ops.dead.causes import group_of
from dispatcher.ops.dead.letters import DeadGroup, DeadLetter, Kind
from dispatcher.ops.dead.store import CodeCount


class Gathered:
    """A group in the making."""

    def __init__(self) -> None:
        self.count = 0
        self.codes: dict[str, int] = {}
        self.endpoints: set[UUID] = set()
        self.oldest: datetime | None = None
        self.newest: datetime | None = None
        self.latest_id: UUID | None = None
        self.latest: DeadLetter | None = None

    def add_count(self, each: CodeCount) -> None:
        """Add what the ledger counted."""
        if self.newest is None or each.newest >= self.newest:
            self.latest_id = each.latest_id
        self._add(each.code, each.count, each.endpoint_id, each.oldest, each.newest)

    def add_letter(self, letter: DeadLetter) -> None:
        """Add a letter of a queue."""
        if self.latest is None or letter.place > self.latest.place:
            self.latest = letter
        self._add(letter.cause, 1, letter.endpoint_id, letter.died_at, letter.died_at)

    def _add(
        self, code: str, count: int, endpoint_id: UUID | None, oldest: datetime | None, newest: datetime | None
    ) -> None:
        self.count += count
        self.codes[code] = self.codes.get(code, 0) + count
        if endpoint_id is not None:
            self.endpoints.add(endpoint_id)
        if oldest is not None:
            self.oldest = oldest if self.oldest is None else min(self.oldest, oldest)
        if newest is not None:
            self.newest = newest if self.newest is None else max(self.newest, newest)

    def group(self, kind: Kind, key: str, examples: dict[UUID, DeadLetter]) -> DeadGroup | None:
        """Return the group; None if its only letter is no more."""
        example = self.latest if self.latest_id is None else examples.get(self.latest_id, self.latest)
        if example is None:
            return None  # replayed while we looked, and it was the only one
        about = group_of(kind, next(iter(self.codes)))
        return DeadGroup(
            cause=key,
            kind=kind,
            title=about.title,
            hint=about.hint,
            count=self.count,
            oldest=self.oldest,
            newest=self.newest,
            endpoint_id=next(iter(self.endpoints)) if len(self.endpoints) == 1 else None,
            endpoints=len(self.endpoints),
            codes=dict(sorted(self.codes.items())),
            example=example,
        )
