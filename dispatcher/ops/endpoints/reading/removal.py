"""What removing an endpoint leads to: only then do more general endpoints get its faxes, and a person should know."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ops.endpoints.sample import sample_event
from dispatcher.ops.endpoints.urls import masked_url
from dispatcher.ops.words import counted
from dispatcher.policy.candidates import Candidates
from dispatcher.policy.endpoint import Endpoint
from dispatcher.policy.routing import route
from shared.domain import EventType

MOST_NAMED = 3


class RemovalPreview(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="preview"):
    """What a removal would lead to; nothing has been done.

    Attributes:
        applies_instead: The more general endpoints that would get its faxes.
        sentence: The same for people.
    """

    id: UUID
    removed: bool = False
    applies_instead: tuple[UUID, ...]
    sentence: str


async def preview_removal(connection: Any, store: EndpointStore, endpoint: Endpoint) -> RemovalPreview:
    """Return what removing *endpoint* would lead to, as endpoints are set now."""
    event = sample_event(endpoint)
    known = Candidates(await store.of_events(connection, [event])).of(event)
    others = [each for each in known if each.id != endpoint.id]
    peers = [each for each in others if each.scope == endpoint.scope]
    # Of any type: another endpoint may want other events than this one.
    events = [msgspec.structs.replace(event, type=each, phase=each.phase) for each in EventType]
    after = {owed.endpoint.id for each in events for owed in route(each, others)}
    instead = [each for each in others if each.id in after and endpoint.scope not in {"global", each.scope}]
    return RemovalPreview(
        id=endpoint.id,
        applies_instead=tuple(each.id for each in instead),
        sentence=sentence_of(endpoint, peers, instead),
    )


def sentence_of(endpoint: Endpoint, peers: Sequence[Endpoint], instead: Sequence[Endpoint]) -> str:
    """Return what follows a removal, *peers* being those of the same faxes, *instead* the more general that get them.

    Pure.
    """
    if instead:
        named = ", ".join(_named(each) for each in instead[:MOST_NAMED])
        more = f" and {counted(len(instead) - MOST_NAMED, 'other')}" if len(instead) > MOST_NAMED else ""
        return f"from then on its faxes are sent to the more general endpoints: {named}{more}"
    if peers:
        named = "another endpoint" if len(peers) == 1 else f"{len(peers):,} other endpoints"
        return f"its faxes stay with {named} of the same {_SUBJECTS[endpoint.scope]}"
    return "no other endpoint applies: its faxes are recorded, and no application is told"


_SUBJECTS = {"global": "scope", "number": "number", "fax": "fax"}


def _named(endpoint: Endpoint) -> str:
    return masked_url(endpoint.url) + ("" if endpoint.enabled else " (disabled)")
