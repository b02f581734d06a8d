"""Dead letters as types. Pure data.

| kind | where it is | its id |
|---|---|---|
| delivery | the ledger (state `dead`); the message in `dead.deliveries` is its copy | the delivery's |
| delivery | only a message in `dead.deliveries` (`is_message`): unreadable, or given up by the broker | `message-…` |
| callback | `dead.callbacks`, its raw body in the media store | the callback's |
| event | `dead.events` | `event-…`: a digest of the message, so that it is the same each time |

Every struct is a body of the HTTP API.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec

from dispatcher.ops.api.cursor import MOST_PER_PAGE, AwareTime, Cursor, Limit
from dispatcher.ops.api.moments import MomentText
from dispatcher.ops.faxes.lists.numbers import Number
from shared.domain import Provider

Kind = Literal["callback", "event", "delivery"]
KINDS: Final[tuple[Kind, ...]] = ("callback", "event", "delivery")

NO_NULL: Final = "^[^\\u0000]*$"
"""PostgreSQL takes no text with a zero in it."""

Cause = Annotated[
    str, msgspec.Meta(min_length=1, max_length=100, pattern=NO_NULL, description="a cause's code, or a group's")
]
Named = Annotated[str, msgspec.Meta(min_length=1, max_length=400, pattern=NO_NULL)]
Age = Annotated[float, msgspec.Meta(ge=0, le=3_650 * 86_400.0, description="seconds since it died")]


NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for an unknown time of death."""

Text = Annotated[str, msgspec.Meta(pattern=NO_NULL)]
Place = tuple[AwareTime, Text]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter.

    Attributes:
        cause: A stable code: `timeout`, `http_503`, `gone`, `unreadable`, …
        group: The key of the cause's group, see `causes`.
        reason: A sentence.
        type: Of the event, e.g. `fax.delivered`; None where it could not be read.
        from_number: Of the fax, as the provider gave it, like `to_number`.
        job_id: Of the fax, as the application gave it.
        attempts: Made so far; 0 for callbacks and events.
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
    from_number: str | None = None
    to_number: str | None = None
    job_id: str | None = None
    attempts: int = 0
    died_at: datetime | None = None
    is_message: bool = False

    @property
    def place(self) -> Place:
        """Its place in the order of death: a later death is greater, one at an unknown time the least."""
        return (self.died_at or NEVER, self.id)


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
    """A dead letter, with what is needed to decide on it.

    Attributes:
        title: What happened, in plain words.
        hint: What to do about it.
        endpoint_url: Without user, password and query.
        is_endpoint_ready: Does the endpoint take deliveries now? None for what has none.
        attempts: In order.
        message: Of a letter that is in a queue only: its content as far as it can be read; a callback's raw body stays
            in the media store.
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
        endpoint_id: The one endpoint that they all were for; None if there are several, or it is unknown.
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
    """Which dead letters; a field that is None does not narrow, and an empty filter matches all of them.

    Attributes:
        cause: A cause's code (`http_503`) or a group's key (`http_5xx`).
        type: Of the event, e.g. `fax.delivered`.
        older_than_seconds: They died at least so long ago.
        younger_than_seconds: They died at most so long ago.
        since: They died then or later; `until`: before.
        fax_id: Their fax's, with `provider` of one provider only.
        job_id: Of their fax, like `number`.
    """

    kind: Kind | None = None
    endpoint_id: UUID | None = None
    provider: Provider | None = None
    cause: Cause | None = None
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=60, pattern=NO_NULL)] | None = None
    event_id: Annotated[str, msgspec.Meta(min_length=1, max_length=300, pattern=NO_NULL)] | None = None
    older_than_seconds: Age | None = None
    younger_than_seconds: Age | None = None
    since: MomentText | None = None
    until: MomentText | None = None
    number: Number | None = None
    fax_id: Named | None = None
    job_id: Named | None = None


class DeadQuery(DeadFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters, and which page of them."""

    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None

    @property
    def filter(self) -> DeadFilter:
        """Which dead letters."""
        return DeadFilter(**{name: getattr(self, name) for name in DeadFilter.__struct_fields__})


class DeadPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of dead letters, latest death first; `next` is the cursor of the following one."""

    items: list[DeadLetter]
    next: str | None = None


class DeadGroups(msgspec.Struct, frozen=True, kw_only=True):
    """Every group, largest first; `next` is always None, as lists have it."""

    items: list[DeadGroup]
    next: str | None = None
