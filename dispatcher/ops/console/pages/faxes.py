"""Faxes: found by whatever id somebody has at hand, and the whole story of one."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec
from aiohttp import web

from dispatcher.ops.console.access.guard import Trouble, Visit
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.faxes.bodies import DeliveryWithAttempts, FaxStory
from dispatcher.ops.faxes.queries import FaxQuery
from dispatcher.ops.faxes.timeline import timeline
from shared.domain import Direction, EventType, Provider
from shared.errors import FaxhookError

MOST_PER_PAGE: Final = 50
FILTER_FIELDS: Final = ("provider", "direction", "state", "number", "conflicting")


class EndpointDeliveries(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint and everything that it was owed of a fax, the latest last."""

    endpoint_id: UUID
    url: str | None
    deliveries: list[DeliveryWithAttempts]


class FaxPages:
    """The handlers."""

    def __init__(self, sources: Sources, now: Callable[[], datetime]) -> None:
        self._sources = sources
        self._faxes = sources.faxes
        self._now = now

    async def search(self, visit: Visit) -> web.Response:
        """Lead to the one fax that is meant; else show those that may be, or the latest."""
        text = visit.request.query.get("q", "").strip()
        if text:
            found = await self._faxes.find(text)
            if len(found) == 1:
                return web.Response(status=303, headers={"Location": fax_path(*found[0])})
            return visit.page("faxes_found.html", q=text, found=found, fax_path=fax_path)
        wanted, chosen = _read_query(visit.request.query)
        try:
            page = await self._faxes.faxes(wanted)
        except FaxhookError:
            raise Trouble(
                404, "There is no such page", "Follow the links of the list; this address is none of them."
            ) from None
        return visit.page(
            "faxes.html",
            page=page,
            q="",
            chosen=chosen,
            more=urlencode({**chosen, "after": page.next}) if page.next else None,
            fax_path=fax_path,
            providers=list(Provider),
            directions=list(Direction),
            states=list(EventType),
        )

    async def show(self, visit: Visit) -> web.Response:
        """Show everything that is known of one fax."""
        provider, fax_id = visit.request.match_info["provider"], visit.request.match_info["fax_id"]
        now = self._now()
        story = await self._faxes.story(Provider(provider), fax_id, now) if provider in set(Provider) else None
        if story is None:
            raise Trouble(
                404,
                "No such fax",
                f"Nothing is known of the fax {fax_id} of {provider}. Its callback may not have come yet, may have "
                "been refused (the ingress's log says why), or may lie among the dead letters.",
            )
        return visit.page(
            "fax.html",
            story=story,
            told=who_was_told(story),
            moments=timeline(story, now),
            contents={
                event.id: msgspec.json.format(msgspec.json.encode(event.content)).decode()
                for event in story.events
                if event.content is not None
            },
        )


def fax_path(provider: str, fax_id: str) -> str:
    """Return the address of a fax's story.

    >>> fax_path("asterisk", "a/b c")
    '/faxes/asterisk/a%2Fb%20c'
    """
    return f"/faxes/{provider}/{quote(fax_id, safe='')}"


def who_was_told(story: FaxStory) -> list[EndpointDeliveries]:
    """Return the deliveries of a fax by endpoint: those first that need somebody, then what waits, then the told."""
    by_endpoint: dict[UUID, list[DeliveryWithAttempts]] = {}
    for delivery in story.deliveries:
        by_endpoint.setdefault(delivery.endpoint_id, []).append(delivery)
    found = [
        EndpointDeliveries(endpoint_id=endpoint_id, url=deliveries[-1].endpoint_url, deliveries=deliveries)
        for endpoint_id, deliveries in by_endpoint.items()
    ]
    return sorted(found, key=lambda each: min(_URGENCY[delivery.state] for delivery in each.deliveries))


_URGENCY: Final[Mapping[str, int]] = {"dead": 0, "retrying": 1, "pending": 2, "told": 3, "skipped": 4}


def _read_query(given: Mapping[str, str]) -> tuple[FaxQuery, dict[str, str]]:
    chosen = {name: value.strip() for name in FILTER_FIELDS if (value := given.get(name, "")).strip()}
    fields: dict[str, Any] = {**chosen, "limit": MOST_PER_PAGE}
    if after := given.get("after"):
        fields["after"] = after
    try:
        return msgspec.convert(fields, FaxQuery, strict=False), chosen
    except msgspec.ValidationError as error:
        raise Trouble(422, "That cannot be filtered by", f"{error}.") from None
