"""Dead letters of one kind and cause gathered into a group: those the ledger counted, and those of the queues. Pure."""

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

import msgspec

from dispatcher.ops.dead.causes import group_of
from dispatcher.ops.dead.letters import NEVER, DeadGroup, DeadLetter, Kind
from dispatcher.ops.dead.store import CodeCount


class Gathered(msgspec.Struct, kw_only=True):
    """A group in the making: what the ledger counted, and the letters of the queues."""

    kind: Kind
    key: str
    counts: list[CodeCount] = []
    letters: list[DeadLetter] = []

    @property
    def latest_id(self) -> UUID | None:
        """The ledger's latest delivery of the group; None if it has none."""
        return max(self.counts, key=lambda each: each.newest or NEVER).latest_id if self.counts else None

    def group(self, examples: dict[UUID, DeadLetter]) -> DeadGroup | None:
        """Return the group; None if its only letter was replayed meanwhile. *examples* are letters by `latest_id`."""
        example = None if self.latest_id is None else examples.get(self.latest_id)
        if example is None:
            example = max(self.letters, key=lambda letter: letter.place, default=None)
        if example is None:
            return None
        codes, endpoints = Counter[str](), set[UUID]()
        found = [*(time for each in self.counts for time in (each.oldest, each.newest))]
        found += [letter.died_at for letter in self.letters]
        times = [time for time in found if time is not None]
        for each in self.counts:
            codes[each.code] += each.count
            endpoints.add(each.endpoint_id)
        for letter in self.letters:
            codes[letter.cause] += 1
            if letter.endpoint_id is not None:
                endpoints.add(letter.endpoint_id)
        about = group_of(self.kind, next(iter(codes)))
        return DeadGroup(
            cause=self.key,
            kind=self.kind,
            title=about.title,
            hint=about.hint,
            count=codes.total(),
            oldest=min(times, default=None),
            newest=max(times, default=None),
            endpoint_id=next(iter(endpoints)) if len(endpoints) == 1 else None,
            endpoints=len(endpoints),
            codes=dict(sorted(codes.items())),
            example=example,
        )


def gather(counts: Iterable[CodeCount], letters: Iterable[DeadLetter]) -> list[Gathered]:
    """Return what belongs together."""
    found: dict[tuple[Kind, str], Gathered] = {}

    def of(kind: Kind, key: str) -> Gathered:
        return found.setdefault((kind, key), Gathered(kind=kind, key=key))

    for each in counts:
        of("delivery", group_of("delivery", each.code).key).counts.append(each)
    for letter in letters:
        of(letter.kind, letter.group).letters.append(letter)
    return list(found.values())
