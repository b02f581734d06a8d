"""The bodies of `/v1/endpoints`; `--json` of `faxhook endpoints` prints the same."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dispatcher.ledger.endpoints import EndpointFilter
from dispatcher.ops.api.bad_fields import BadFilter
from dispatcher.ops.api.cursor import MOST_PER_PAGE, Cursor, Limit
from dispatcher.ops.dead.letters import NO_NULL
from dispatcher.ops.endpoints.reading.health import EndpointHealth
from dispatcher.policy.endpoint import DamagedField, EndpointDirection, FaxMatch, Overtaken, Scope
from shared.domain import EventType

RotationAction = Literal["add", "promote", "drop"]


class EndpointBody(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it is shown: passwords masked, tokens only where they were just set.

    Attributes:
        match: The number of scope `number`, the fax of scope `fax`, null for scope `global`.
        types: Exactly the events that it gets; empty: as `inflight` says.
        headers: The names of those that are sent with every webhook; their values are not shown.
        paused: What it is owed waits, without attempts, until it is resumed.
        removed_at: When it was removed; its history stays. Null for all that lists show.
        catching_up: It was resumed, and something of what waited still waits.
        damaged: What of it cannot be read in the ledger; nothing is sent to it before these fields are set again.
        signed: It has a token.
        public_key: The key that verifies its webhooks, where that is not the token itself.
        tokens: In the answer that sets them, and never again.
    """

    id: UUID
    scope: Scope
    direction: EndpointDirection
    match: str | FaxMatch | None
    url: str
    failover_url: str | None
    format: str
    inflight: bool
    overtaken: Overtaken
    enabled: bool
    timeout_seconds: float
    max_concurrent: int
    types: tuple[str, ...]
    headers: tuple[str, ...]
    description: str
    paused: bool
    catching_up: bool
    removed_at: datetime | None
    damaged: tuple[DamagedField, ...]
    signed: bool
    public_key: str | None
    tokens: tuple[str, ...] | UnsetType = UNSET


class TokenBody(msgspec.Struct, frozen=True, kw_only=True):
    """One of an endpoint's tokens. `ends_with`: its last four characters; empty for a token shorter than 16."""

    ends_with: str
    added_at: datetime

    @property
    def shown(self) -> str:
        """How people tell it from the others."""
        return f"…{self.ends_with}" if self.ends_with else "a short token"


class EndpointWithHealth(EndpointBody, frozen=True, kw_only=True):
    """An endpoint and how it is doing.

    Attributes:
        created_by: Who added it, as the audit has it; null where it does not know.
        token_list: Its tokens, in order: the first signs (standard-v1 signs with all).
        next_rotation: The next step of a rotation of its tokens.
    """

    created_at: datetime
    created_by: str | None

    token_list: tuple[TokenBody, ...]
    next_rotation: RotationAction
    health: EndpointHealth


class RotatedEndpoint(EndpointBody, frozen=True, kw_only=True):
    """An endpoint whose tokens were changed. `token`: the one that was added, shown now and never again."""

    token: str | UnsetType = UNSET


class PausedEndpoint(EndpointBody, frozen=True, kw_only=True):
    """An endpoint that is paused from now on.

    `under_way`: its deliveries that dispatchers still held at this moment: their requests were under way and end by
    themselves, or they wait for one that is.
    """

    under_way: int


class LeftFaxes(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the faxes that a changed scope or match leaves.

    Attributes:
        applies_instead: The more general endpoints that get them from now on.
        sentence: The same for people.
    """

    applies_instead: tuple[UUID, ...]
    sentence: str


class ChangedEndpoint(EndpointBody, frozen=True, kw_only=True):
    """An endpoint after a change. `left`: only where its scope or match is another one than before."""

    left: LeftFaxes | UnsetType = UNSET


class EndpointPage(msgspec.Struct, frozen=True, kw_only=True):
    """Endpoints in the order of their ids: the oldest first."""

    items: tuple[EndpointBody, ...]
    next: str | None


Text = Annotated[str, Meta(min_length=1, max_length=400, pattern=NO_NULL)]


class EndpointQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which endpoints, and which page of them."""

    scope: Scope | None = None
    number: Annotated[Text | None, Meta(description="the number that it matches, as the endpoint shows it")] = None
    job_id: Annotated[Text | None, Meta(description="the job_id that it matches")] = None
    fax_id: Annotated[Text | None, Meta(description="the fax that it matches, of any provider")] = None
    enabled: bool | None = None
    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None

    @property
    def filter(self) -> EndpointFilter:
        """Which endpoints.

        Raises:
            BadFilter: They contradict each other.
        """
        scopes: dict[str, Scope] = {"number": "number", "job_id": "fax", "fax_id": "fax"}
        matches = [name for name in scopes if getattr(self, name) is not None]
        if len(matches) > 1:
            raise BadFilter(
                matches[1], f"an endpoint matches one thing, and {matches[0]} is given: leave one of them out"
            )
        if matches and self.scope not in {None, scopes[matches[0]]}:
            raise BadFilter(matches[0], f"an endpoint of scope {self.scope} has none: leave one of them out")
        return EndpointFilter(
            scope=self.scope, number=self.number, job_id=self.job_id, fax_id=self.fax_id, enabled=self.enabled
        )


class Removed(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="removed"):
    """An endpoint that was removed."""

    id: UUID
    removed: bool = True


class RemovalQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether to remove, or to say what that would lead to."""

    dry_run: bool = False
    command_id: str | None = None


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`add` one at the end (`token`, or a generated one), `promote` the newest, `drop` all but the first.

    Damaged tokens give way to the one that is added.
    """

    action: RotationAction = "add"
    token: Annotated[str | None, Meta(description="with `add` only")] = None


class SampleRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to send: `type`, else an ending that the endpoint gets; with `failover`, to its failover_url."""

    type: EventType | None = None
    failover: bool = False
