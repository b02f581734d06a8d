"""Replays, discards and recoveries as types: the selection, the preview, the job. Pure data.

Every struct is a body of the HTTP API.
"""

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec

from dispatcher.ops.api.cursor import AwareTime, Limit
from dispatcher.ops.dead.errors import BadSelection
from dispatcher.ops.dead.letters import NO_NULL, DeadFilter, Named
from shared.domain import EventType, Provider

What = Literal["dead.replay", "dead.discard", "endpoint.recover", "delivery.resend"]
JobState = Literal["running", "waiting", "done", "stopped", "failed"]
"""`waiting`: its process is gone; a dispatcher goes on with it by itself. `stopped`: a person ended it early. `failed`:
our own code failed in it again and again; the letters that it did not reach stay as they were."""

MOST_IDS: Final = 1_000
"""Named one by one in a request; a filter selects any number."""

LetterId = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=NO_NULL)]


class Skipped(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one endpoint was not owed, from `since` on, and before `until` if that is given.

    It was off, or did not exist yet. `told`: what it was told, too.
    """

    endpoint_id: UUID
    since: AwareTime
    until: AwareTime | None = None
    told: bool = False


class ResendFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Deliveries that were told or are dead; a field that is absent does not narrow.

    One of `fax_id` (with `provider`), `event_id`, `since` must be given. `since`, `until`: when the event was recorded.
    """

    provider: Provider | None = None
    fax_id: Named | None = None
    event_id: Named | None = None
    endpoint_id: UUID | None = None
    type: EventType | None = None
    state: Literal["told", "dead", "skipped"] | None = None
    since: AwareTime | None = None
    until: AwareTime | None = None


class Selection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be done: these letters, or what matches a filter at that moment, or what was skipped.

    One of them; `skipped` is for a recovery, `deliveries` for a resend. `overtaken`: also what a later event of its fax
    has overtaken. `to`: of a replay, the endpoint that gets them in place of their own, which is removed.
    """

    ids: tuple[str, ...] | None = None
    filter: DeadFilter | None = None
    skipped: Skipped | None = None
    deliveries: ResendFilter | None = None
    overtaken: bool = False
    to: UUID | None = None


class EndpointCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many letters of a preview are for one endpoint, and whether it takes any, now or once it is resumed.

    `url`: see `DeadLetterDetail`.
    """

    endpoint_id: UUID
    url: str
    is_ready: bool
    is_paused: bool = False
    count: int


class ReplayPreview(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="preview"):
    """What a replay, a discard or a recovery would do now; nothing has been done.

    Attributes:
        matched: The sum of the counts that follow.
        count: Would be replayed (or discarded, or recovered).
        count_paused: Those of `count` that wait until their endpoint is resumed: it is paused. Not of a discard.
        skipped_told: Were told meanwhile; or the successor has a delivery of their event already.
        skipped_gone: Are dead no longer: replayed or discarded meanwhile. Of a recovery: owed meanwhile.
        skipped_taken: Another job has them.
        skipped_endpoint: Their endpoint is disabled or removed, or the successor is: they would die again. Not skipped
            by a discard.
        skipped_pruned: The content of their event was pruned: there is nothing left to tell. Not of a replay.
        skipped_owed: Are still owed, or being attempted: they are told anyway. Of a resend only, as the next two.
        skipped_overtaken: A later event of their fax is known. Of a recovery, too.
        skipped_unsaid: The endpoint's format has no word for their event.
        skipped_unremoved: Are not dead deliveries of a removed endpoint. Of a replay to a successor only, as the next.
        skipped_unfit: The successor's scope, direction or types leave them out.
        endpoints: Which endpoints `count` is for; most first.
        kinds: How many of `count` are of each kind.
        to: The successor, if one is named: `count` is for it.
    """

    what: What
    to: UUID | None = None
    matched: int
    count: int
    count_paused: int = 0
    skipped_told: int
    skipped_gone: int
    skipped_taken: int
    skipped_endpoint: int
    skipped_pruned: int
    skipped_owed: int = 0
    skipped_overtaken: int = 0
    skipped_unsaid: int = 0
    skipped_unremoved: int = 0
    skipped_unfit: int = 0
    endpoints: list[EndpointCount]
    kinds: dict[str, int]


class JobFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter that stays dead, and why."""

    id: str
    reason: str


class Job(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="job"):
    """A replay, discard or recovery, under way or finished; it survives the process that does it.

    At every moment `total` is `done` + `skipped_*` + `failed` + `left`.

    Attributes:
        done: Replayed, discarded, or recovered.
        failures: Some of what failed, at most 20.
        crash: Type and place of the last failure of our own code, if there was one.
        seconds: From its beginning to its end, or to now.
    """

    id: UUID
    what: What
    state: JobState
    who: str
    selection: Selection
    reason: str | None = None
    total: int
    left: int
    done: int
    skipped_told: int
    skipped_gone: int
    skipped_taken: int
    skipped_endpoint: int
    skipped_pruned: int
    skipped_owed: int = 0
    skipped_overtaken: int = 0
    skipped_unsaid: int = 0
    skipped_unremoved: int = 0
    skipped_unfit: int = 0
    failed: int
    failures: list[JobFailure] = []
    crash: str | None = None
    created_at: datetime
    finished_at: datetime | None = None
    seconds: float


class JobQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many jobs."""

    limit: Limit = 50


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """The latest jobs, the newest first; `next` is always None."""

    items: list[Job]
    next: str | None = None


class LettersRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which dead letters: `ids`, `filter`, or `all`. An empty filter is refused.

    A filter that lost its fields on the way, by a typing error or an empty variable, must not mean everything.
    """

    ids: Annotated[list[LetterId], msgspec.Meta(min_length=1, max_length=MOST_IDS)] | None = None
    filter: DeadFilter | None = None
    all: Annotated[bool, msgspec.Meta(description="every dead letter")] = False
    dry_run: bool = False
    command_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=NO_NULL)] | None = None

    @property
    def selection(self) -> Selection:
        """What is selected.

        Raises:
            BadSelection: It is not exactly one of `ids`, `filter` and `all`, or the filter is empty.
        """
        is_narrow = self.filter not in {None, DeadFilter()}
        if self.all and (self.ids is not None or is_narrow):
            raise BadSelection("`all` contradicts `ids` and `filter`: give one of them")
        if self.all:
            return Selection(filter=DeadFilter())
        if self.ids is None and self.filter is not None and not is_narrow:
            raise BadSelection("`filter` is empty: for every dead letter say `all`: true")
        ids = None if self.ids is None else tuple(sorted(set(self.ids)))
        return Selection(ids=ids, filter=self.filter)


class ReplayRequest(LettersRequest, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of `POST /v1/dead-letters/replay`: which."""

    to: Annotated[
        UUID | None, msgspec.Meta(description="the endpoint that gets them in place of their own, which is removed")
    ] = None

    @property
    def selection(self) -> Selection:
        """What is selected, and the successor; see `LettersRequest`."""
        return msgspec.structs.replace(super().selection, to=self.to)


class DiscardRequest(LettersRequest, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of `POST /v1/dead-letters/discard`: which, as for a replay, and why; the reason stays in the audit."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NO_NULL)]


class RecoverRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of `POST /v1/endpoints/{id}/recover`: from when, and before when; `told`: what it was told, too."""

    since: AwareTime
    until: AwareTime | None = None
    told: bool = False
    overtaken: bool = False
    dry_run: bool = False
    command_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=NO_NULL)] | None = None


class ResendRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of `POST /v1/deliveries/resend`: `ids` of deliveries, or `filter`; `overtaken`: see `Selection`."""

    ids: Annotated[list[LetterId], msgspec.Meta(min_length=1, max_length=MOST_IDS)] | None = None
    filter: ResendFilter | None = None
    overtaken: bool = False
    dry_run: bool = False
    command_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=NO_NULL)] | None = None
