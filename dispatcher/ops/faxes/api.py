"""`/v1/faxes`, `/v1/events`, `/v1/deliveries` over HTTP: read-only."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from dispatcher.ops.api.http import answered, read_query
from dispatcher.ops.api.lookups import NoSuch, read_id, read_provider
from dispatcher.ops.api.operation import Operation
from dispatcher.ops.faxes.bodies import (
    DeliveryPage,
    DeliveryWithAttempts,
    EventPage,
    EventWithContent,
    FaxPage,
    FaxStory,
)
from dispatcher.ops.faxes.lists.queries import DeliveryQuery, EventQuery, FaxQuery
from dispatcher.ops.faxes.reader import FaxReader
from shared.domain import Provider

Read = Callable[[Any], Awaitable[Any]]


class FaxApi:
    """The handlers."""

    def __init__(self, reader: FaxReader) -> None:
        self._reader = reader

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        read = self._reader
        return (
            _list("faxes", FaxQuery, FaxPage, read.faxes),
            Operation(
                "GET",
                "/v1/faxes/{provider}/{fax_id:.+}",
                self.story,
                "The story of a fax: its events, deliveries and attempts, and which applications know of it",
                parameters={"provider": Provider, "fax_id": str},
                answer=FaxStory,
            ),
            _list("events", EventQuery, EventPage, read.events),
            Operation(
                "GET",
                "/v1/events/{id:.+}",
                self.event,
                "An event with its content",
                parameters={"id": str},
                answer=EventWithContent,
            ),
            _list("deliveries", DeliveryQuery, DeliveryPage, read.deliveries),
            Operation(
                "GET", "/v1/deliveries/{id}", self.delivery, "A delivery with its attempts", answer=DeliveryWithAttempts
            ),
        )

    async def story(self, request: web.Request) -> web.Response:
        """Answer the story of a fax."""
        provider, fax_id = read_provider(request.match_info["provider"]), request.match_info["fax_id"]
        story = await self._reader.story(provider, fax_id) if "\0" not in fax_id else None
        if story is None:
            raise NoSuch("fax", f"{provider}:{fax_id}")
        return answered(200, story)

    async def event(self, request: web.Request) -> web.Response:
        """Answer one event."""
        event_id = request.match_info["id"]
        event = await self._reader.event(event_id) if "\0" not in event_id else None
        if event is None:
            raise NoSuch("event", event_id)
        return answered(200, event)

    async def delivery(self, request: web.Request) -> web.Response:
        """Answer one delivery."""
        delivery_id = read_id(request.match_info["id"], "delivery")
        delivery = await self._reader.delivery(delivery_id)
        if delivery is None:
            raise NoSuch("delivery", delivery_id)
        return answered(200, delivery)


def _list(name: str, query: type[msgspec.Struct], page: type[msgspec.Struct], read: Read) -> Operation:
    async def answer_list(request: web.Request) -> web.Response:
        return answered(200, await read(read_query(request, query)))

    return Operation(
        "GET", f"/v1/{name}", answer_list, f"{name.capitalize()}, the newest first", query=query, answer=page
    )
