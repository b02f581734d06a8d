"""What removing an endpoint, or another scope or match of it, leads to for the faxes that were its own.

Only then do more general endpoints get them, and a person should know.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ops.endpoints.bodies import LeftFaxes
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
    instead, sentence = _left(endpoint, [each for each in known if each.id != endpoint.id])
    return RemovalPreview(id=endpoint.id, applies_instead=instead, sentence=sentence)


async def read_left(connection: Any, store: EndpointStore, before: Endpoint) -> LeftFaxes:
    """Return what becomes of the faxes of an endpoint as it was *before*, now that its scope or match is another."""
    event = sample_event(before)
    instead, sentence = _left(before, Candidates(await store.of_events(connection, [event])).of(event))
    return LeftFaxes(applies_instead=instead, sentence=sentence)


def _left(endpoint: Endpoint, others: Sequence[Endpoint]) -> tuple[tuple[UUID, ...], str]:
    """Return which of the *others*, which apply to its faxes, get them instead, and the sentence on it."""
    event = sample_event(endpoint)
    peers = [each for each in others if each.scope == endpoint.scope]
    # Of any type: another endpoint may want other events than this one.
    events = [msgspec.structs.replace(event, type=each, phase=each.phase) for each in EventType]
    after = {owed.endpoint.id for each in events for owed in route(each, others)}
    instead = [each for each in others if each.id in after and endpoint.scope not in {"global", each.scope}]
    return tuple(each.id for each in instead), sentence_of(endpoint, peers, instead)


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
