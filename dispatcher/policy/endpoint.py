"""Endpoints: where an application wants to be told, and what it wants to be told of. Pure data."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from dispatcher.channels.static_headers import Headers
from shared.domain import Event, EventType, Phase, Provider

LEASE_MARGIN_SECONDS: Final = 30.0
"""On top of the longest attempt: up to 12 s since the last renewal, a document of the media store (15 s), rendering."""

Scope = Literal["global", "number", "fax"]
EndpointDirection = Literal["sent", "received", "any"]
DamagedField = Literal["tokens", "headers"]
Overtaken = Literal["skip", "deliver"]


class FaxMatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One sent fax: by the provider's id, or by the `job_id` that the application gave it. Never both."""

    provider: Provider | None = None
    fax_id: str | None = None
    job_id: str | None = None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where an application wants to be told.

    Attributes:
        match: Of scope `number`, the number in E.164; of scope `fax`, which fax; of scope `global`, None.
        tokens: In order; the first signs. Empty: webhooks are not signed.
        timeout_seconds: For one request, connection and answer included; at most 60.
        max_concurrent: Attempts at once, for each dispatcher process.
        types: Of events, exactly those that it gets; empty: as `inflight` says.
        headers: Sent with every webhook, see `channels.static_headers`.
        description: For people: its name, and what it is for.
        paused: What it is owed waits, without attempts, until it is resumed.
        removed_at: It was removed; its history stays. Set by the ledger alone.
        catching_up: It was resumed, and something of what waited still waits. Set by the ledger alone.
        damaged: What of it in the ledger was not sealed by any key: it is empty here, and nothing is sent before it is
            set again. Set by the ledger alone.
    """

    id: UUID
    scope: Scope = "global"
    direction: EndpointDirection = "any"
    match: str | FaxMatch | None = None
    url: str
    failover_url: str | None = None
    format: str = "phaxio-v2.1"
    tokens: tuple[str, ...] = ()
    inflight: bool = False
    overtaken: Overtaken = "skip"
    enabled: bool = True
    timeout_seconds: float = 15.0
    max_concurrent: int = 8
    types: tuple[str, ...] = ()
    headers: Headers = ()
    description: str = ""
    paused: bool = False
    catching_up: bool = False
    removed_at: datetime | None = None
    damaged: tuple[DamagedField, ...] = ()

    @property
    def is_damaged(self) -> bool:
        """Can something of it not be read?"""
        return bool(self.damaged)

    def wants(self, event: Event) -> bool:
        """Is *event* of a type that it gets? `fax.stalled` goes to those only that name it."""
        if self.types:
            return event.type in self.types
        return event.type is not EventType.STALLED and (self.inflight or event.phase is Phase.POSTFLIGHT)

    @property
    def is_waiting(self) -> bool:
        """Does what is owed to it wait, or come after what waited?"""
        return self.paused or self.catching_up

    @property
    def lease_seconds(self) -> float:
        """How long a claim must hold: URL and failover both time out, and then some."""
        return 2 * self.timeout_seconds + LEASE_MARGIN_SECONDS
