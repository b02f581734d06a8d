"""Faxes: a search by any id, a list with filters, and the story of one fax."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec
from aiohttp import web

from dispatcher.ops.console.access.guard import Visit, redirect
from dispatcher.ops.console.errors import PageError
from dispatcher.ops.console.pages.filters import chosen_of, filter_of, refusing_filters
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.faxes.bodies import DeliveryWithAttempts, FaxStory, documents_of
from dispatcher.ops.faxes.explain import in_words, webhooks_in_words
from dispatcher.ops.faxes.lists.numbers import looks_like_number
from dispatcher.ops.faxes.lists.queries import FaxQuery
from dispatcher.ops.faxes.timeline import timeline
from shared.domain import Direction, EventType, Provider

MOST_PER_PAGE: Final = 50
FILTER_FIELDS: Final = (
    "provider", "direction", "state", "failed", "failure", "webhooks", "number", "job_id", "endpoint_id", "conflicting",
    "since", "until",
)  # fmt: skip
OUTCOMES: Final = (("true", "failed"), ("false", "not failed"))
WEBHOOKS: Final = (("failing", "failing or dead"), ("dead", "dead"))
URGENCY: Final = ("dead", "retrying", "pending", "told", "skipped")


class FaxPages:
    """The handlers."""

    def __init__(self, sources: Sources, now: Callable[[], datetime]) -> None:
        self._sources = sources
        self._faxes = sources.faxes
        self._now = now

    async def search(self, visit: Visit) -> web.Response:
        """Lead to the one fax that the text means; else show those that it may mean, or the latest."""
        query = visit.request.query
        text = query.get("q", "").strip()
        if text:
            found = await self._faxes.find(text)
            if len(found) == 1:
                return redirect(fax_path(*found[0]))
            if not found and looks_like_number(text):
                return redirect(f"/faxes?{urlencode({'number': text})}")
            return visit.page("faxes_found.html", q=text, found=found, fax_path=fax_path)
        chosen = chosen_of(query, FILTER_FIELDS)
        after = {"after": query["after"]} if query.get("after") else {}
        wanted = filter_of({**chosen, **after, "limit": MOST_PER_PAGE}, FaxQuery)
        with refusing_filters():
            page = await self._faxes.faxes(wanted)
        return visit.page(
            "faxes.html",
            page=page,
            chosen=chosen,
            more=urlencode({**chosen, "after": page.next}) if page.next else None,
            fax_path=fax_path,
            providers=list(Provider),
            directions=list(Direction),
            states=list(EventType),
            outcomes=OUTCOMES,
            webhooks=WEBHOOKS,
            in_words=in_words,
            webhooks_in_words=webhooks_in_words,
        )

    async def show(self, visit: Visit) -> web.Response:
        """Show everything that is known of one fax."""
        provider, fax_id = visit.request.match_info["provider"], visit.request.match_info["fax_id"]
        now = self._now()
        story = await self._faxes.story(Provider(provider), fax_id, now) if provider in set(Provider) else None
        if story is None:
            raise PageError(
                404,
                "No such fax",
                f"Nothing is known of the fax {fax_id} of {provider}. Its callback may not have come yet, may have "
                "been refused (the ingress's log says why), or may be among the dead letters.",
            )
        return visit.page(
            "fax.html",
            story=story,
            endpoints=by_endpoint(story),
            moments=timeline(story, now),
            documents=documents_of(story),
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


def by_endpoint(story: FaxStory) -> list[list[DeliveryWithAttempts]]:
    """Return the deliveries of a fax for each endpoint, the latest last: dead ones first, then pending, delivered."""
    found: dict[UUID, list[DeliveryWithAttempts]] = {}
    for delivery in story.deliveries:
        found.setdefault(delivery.endpoint_id, []).append(delivery)
    return sorted(found.values(), key=lambda owed: min(URGENCY.index(each.state) for each in owed))
