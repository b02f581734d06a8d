"""The words of dead letters as types, and what may be asked of them (`DeadLetters`). Pure data.

| kind | where it is | its id |
|---|---|---|
| delivery | the ledger (state `dead`); the message in `dead.deliveries` is its copy | the delivery's |
| delivery | only a message in `dead.deliveries` (`is_message`): unreadable, or given up by the broker | `message-…` |
| callback | `dead.callbacks`, its raw body in the media store | the callback's |
| event | `dead.events` | `event-…`: made of the message's content, so that it is the same at every look |

Every struct is a body of the HTTP API as it stands here.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Protocol
from uuid import UUID

import msgspec

from dispatcher.ops.cursor import MOST_PER_PAGE, Cursor, Limit
from shared.domain import Provider
from shared.errors import FaxhookError

Kind = Literal["callback", "event", "delivery"]
KINDS: Final[tuple[Kind, ...]] = ("callback", "event", "delivery")

What = Literal["dead.replay", "dead.discard"]
JobState = Literal["running", "waiting", "done", "stopped", "failed"]
"""`waiting`: whoever was at it is gone; a dispatcher goes on with it by itself. `stopped`: a person ended it early.
`failed`: our own code failed at it again and again; what it did not come to stays dead."""

MOST_IDS: Final = 1_000
"""Named one by one in a request; more than that is what a filter is for."""

NO_NULL: Final = "^[^\\u0000]*$"
"""Texts that the ledger can be asked for."""

LetterId = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=NO_NULL)]
Cause = Annotated[
    str, msgspec.Meta(min_length=1, max_length=100, pattern=NO_NULL, description="a cause's code, or a group's")
]
Age = Annotated[float, msgspec.Meta(ge=0, le=3_650 * 86_400.0, description="seconds since it died")]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter.

    Attributes:
        cause: A stable code: `timeout`, `http_503`, `gone`, `unreadable`, …
        group: The key of the cause's group, see `causes`.
        reason: A sentence.
        type: Of the event, e.g. `fax.delivered`; None where nobody could read it.
        attempts: Made so far; 0 for what is no delivery.
        died_at: Aware UTC; None where the broker did not say.
        is_message: A message in `dead.deliveries` that the ledger does not call dead.
    """

    id: str
    kind: Kind
    cause: str
    group: str
    reason: str
    event_id: str | None = None
    endpoint_id: UUID | None = None
    provider: str | None = None
    fax_id: str | None = None
    type: str | None = None
    attempts: int = 0
    died_at: datetime | None = None
    is_message: bool = False


class DeadAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try that was made before a delivery died. `answer`: the first of what the application answered."""

    number: int
    started_at: datetime
    seconds: float
    outcome: str
    http_status: int | None = None
    error: str | None = None
    answer: str = ""


class DeadLetterDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter, and what helps to decide on it.

    Attributes:
        title: What happened, in plain words.
        hint: What to do about it.
        endpoint_url: Without user, password and query.
        is_endpoint_ready: Does the endpoint take deliveries now? None for what has none.
        attempts: In order.
        message: Of what lies in a queue only: its content as far as it can be read; a callback's raw body stays in
            the media store.
    """

    letter: DeadLetter
    title: str
    hint: str
    endpoint_url: str | None = None
    is_endpoint_ready: bool | None = None
    attempts: list[DeadAttempt] = []
    message: Any = None


class DeadGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters of one kind that died of the same.

    Attributes:
        cause: The group's key; good as `cause` of a filter.
        title: What happened, in plain words.
        hint: What to do about it.
        endpoint_id: The one endpoint that they all were for; None if there are several, or none.
        endpoints: How many endpoints they were for.
        codes: How many of each cause's code.
        example: One of them, a late one.
    """

    cause: str
    kind: Kind
    title: str
    hint: str
    count: int
    oldest: datetime | None
    newest: datetime | None
    endpoint_id: UUID | None
    endpoints: int
    codes: dict[str, int]
    example: DeadLetter


class DeadFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which dead letters; what is None does not narrow, and an empty filter is all of them.

    Attributes:
        cause: A cause's code (`http_503`) or a group's key (`http_5xx`).
        type: Of the event, e.g. `fax.delivered`.
        older_than_seconds: Died at least so long ago.
        younger_than_seconds: Died at most so long ago.
    """

    kind: Kind | None = None
    endpoint_id: UUID | None = None
    provider: Provider | None = None
    cause: Cause | None = None
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=60, pattern=NO_NULL)] | None = None
    event_id: Annotated[str, msgspec.Meta(min_length=1, max_length=300, pattern=NO_NULL)] | None = None
    older_than_seconds: Age | None = None
    younger_than_seconds: Age | None = None


class DeadQuery(DeadFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters, and which page of them."""

    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None

    @property
    def filter(self) -> DeadFilter:
        """Which dead letters."""
        return DeadFilter(**{name: getattr(self, name) for name in DeadFilter.__struct_fields__})


class JobQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many jobs."""

    limit: Limit = 50


class Selection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be replayed or discarded: these ids, or what matches a filter when it is asked for. One of both."""

    ids: tuple[str, ...] | None = None
    filter: DeadFilter | None = None


class EndpointCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a preview go to one endpoint, and whether it takes any now. `url` as in `DeadLetterDetail`."""

    endpoint_id: UUID
    url: str
    is_ready: bool
    count: int


class ReplayPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay, or a discard, would do now; nothing has been done.

    Attributes:
        matched: The sum of the counts that follow.
        count: Would be replayed (or discarded).
        skipped_told: Were told meanwhile.
        skipped_gone: Are dead no longer: replayed or discarded meanwhile.
        skipped_taken: Another job is at them.
        skipped_endpoint: Their endpoint is disabled or removed: they would die again. Not skipped by a discard.
        endpoints: What `count` goes to; most first.
        kinds: How many of `count` are of each kind.
    """

    what: What
    matched: int
    count: int
    skipped_told: int
    skipped_gone: int
    skipped_taken: int
    skipped_endpoint: int
    endpoints: list[EndpointCount]
    kinds: dict[str, int]


class JobFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter that stays one, and why."""

    id: str
    reason: str


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A replay or discard that is under way or was done; it survives the process that does it.

    At every moment `total` is `done` + `skipped_*` + `failed` + `left`.

    Attributes:
        done: Replayed, or discarded.
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
    failed: int
    failures: list[JobFailure] = []
    crash: str | None = None
    created_at: datetime
    finished_at: datetime | None = None
    seconds: float


class DeadPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of dead letters, latest death first; `next` is the cursor of the following one."""

    items: list[DeadLetter]
    next: str | None = None


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """The latest jobs, the newest first; `next` is always None."""

    items: list[Job]
    next: str | None = None


class DeadGroups(msgspec.Struct, frozen=True, kw_only=True):
    """Every group, largest first; `next` is always None, as lists have it."""

    items: list[DeadGroup]
    next: str | None = None


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of `POST /v1/dead-letters/replay`: `ids` or `filter`."""

    ids: Annotated[list[LetterId], msgspec.Meta(min_length=1, max_length=MOST_IDS)] | None = None
    filter: DeadFilter | None = None
    dry_run: bool = False
    command_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=NO_NULL)] | None = None


class DiscardRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of `POST /v1/dead-letters/discard`: `ids` or `filter`, and why; the reason stays in the audit."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NO_NULL)]
    ids: Annotated[list[LetterId], msgspec.Meta(min_length=1, max_length=MOST_IDS)] | None = None
    filter: DeadFilter | None = None
    dry_run: bool = False
    command_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=NO_NULL)] | None = None


class UnknownLetter(FaxhookError):
    """There is and was no such dead letter (404)."""

    code = "dead_letter_not_found"


class NothingMatches(FaxhookError):
    """No dead letter matches (404): nothing was changed."""

    code = "nothing_matches"


class UnknownJob(FaxhookError):
    """There is no such job (404)."""

    code = "job_not_found"


class TakenByAnother(FaxhookError):
    """Somebody else browses or replays the same at this moment (409): try again."""

    code = "taken_by_another"


class BadSelection(FaxhookError):
    """The request names neither ids nor a filter, or both, or a cursor that is none (422)."""

    code = "bad_selection"


class DeadLetters(Protocol):
    """What may be asked. *who* is written into the audit: `operator`, `cli`, a console's user.

    Everything raises `TakenByAnother` if somebody holds a dead-letter queue for longer than a moment, and what the
    stores raise when they are away.
    """

    async def page(self, wanted: DeadFilter, after: str | None, most: int) -> DeadPage:
        """Return at most *most* letters, after the cursor; raise `BadSelection` if that is none."""

    async def groups(self, wanted: DeadFilter) -> DeadGroups:
        """Return the letters grouped by kind and cause."""

    async def show(self, letter_id: str) -> DeadLetterDetail:
        """Return one; raise `UnknownLetter`."""

    async def preview(self, what: What, selection: Selection) -> ReplayPreview:
        """Return what it would do now, changing nothing; raise `UnknownLetter`."""

    async def begin(self, what: What, selection: Selection, *, who: str, reason: str | None = None) -> Job:
        """Write down which letters it is about, and begin to work them off in the background.

        What somebody began with the same selection and left is gone on with instead.

        Raises:
            UnknownLetter: An id is none of a dead letter; nothing is changed.
            NothingMatches: Nothing matches the filter.
            TakenByAnother: Another job is at all of them.
        """

    async def wait(self, job_id: UUID, most_seconds: float | None) -> Job:
        """Wait until this process is done with a job, at most so long; return it as it stands then."""

    async def stop(self, job_id: UUID, *, who: str) -> Job:
        """End a job early: what it has not come to stays dead; raise `UnknownJob`."""

    async def job(self, job_id: UUID) -> Job:
        """Return a job; raise `UnknownJob`."""

    async def jobs(self, most: int = 50) -> list[Job]:
        """Return the latest jobs, newest first."""


def status_of(error: FaxhookError) -> int:
    """Return the HTTP status that says *error*."""
    return _STATUS.get(type(error), 422)


_STATUS: Final[Mapping[type[FaxhookError], int]] = {
    UnknownLetter: 404,
    NothingMatches: 404,
    UnknownJob: 404,
    TakenByAnother: 409,
    BadSelection: 422,
}
