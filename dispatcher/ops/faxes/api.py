"""`/v1/faxes`, `/v1/events`, `/v1/deliveries`: what happened, over HTTP. Nothing is changed here."""

from collections.abc import Sequence
from uuid import UUID

from aiohttp import web

from dispatcher.ops.api.http import answered, read_query
from dispatcher.ops.api.lookups import NoSuch, read_id
from dispatcher.ops.api.operation import Operation, add_operations
from dispatcher.ops.faxes.bodies import (
    DeliveryPage,
    DeliveryWithAttempts,
    EventPage,
    EventWithContent,
    FaxPage,
    FaxStory,
)
from dispatcher.ops.faxes.queries import DeliveryQuery, EventQuery, FaxQuery
from dispatcher.ops.faxes.reader import FaxReader
from shared.domain import Provider


class FaxApi:
    """The handlers."""

    def __init__(self, reader: FaxReader) -> None:
        self._reader = reader

    def operations(self) -> Sequence[Operation]:
        """Return what is offered."""
        return (
            Operation(
                method="GET",
                path="/v1/faxes",
                handler=self.faxes,
                summary="Faxes, the newest first",
                query=FaxQuery,
                answer=FaxPage,
            ),
            Operation(
                method="GET",
                path="/v1/faxes/{provider}/{fax_id:.+}",
                handler=self.story,
                summary="The story of a fax: its events, deliveries and attempts, and who was told",
                parameters={"provider": Provider, "fax_id": str},
                answer=FaxStory,
                problems=(404,),
            ),
            Operation(
                method="GET",
                path="/v1/events",
                handler=self.events,
                summary="Events, the newest first",
                query=EventQuery,
                answer=EventPage,
            ),
            Operation(
                method="GET",
                path="/v1/events/{id:.+}",
                handler=self.event,
                summary="An event with its content",
                parameters={"id": str},
                answer=EventWithContent,
                problems=(404,),
            ),
            Operation(
                method="GET",
                path="/v1/deliveries",
                handler=self.deliveries,
                summary="Deliveries, the newest first",
                query=DeliveryQuery,
                answer=DeliveryPage,
            ),
            Operation(
                method="GET",
                path="/v1/deliveries/{id}",
                handler=self.delivery,
                summary="A delivery with its attempts",
                parameters={"id": UUID},
                answer=DeliveryWithAttempts,
                problems=(404,),
            ),
        )

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        add_operations(app, self.operations())

    async def faxes(self, request: web.Request) -> web.Response:
        """Answer a page of faxes."""
        return answered(200, await self._reader.faxes(read_query(request, FaxQuery)))

    async def events(self, request: web.Request) -> web.Response:
        """Answer a page of events."""
        return answered(200, await self._reader.events(read_query(request, EventQuery)))

    async def deliveries(self, request: web.Request) -> web.Response:
        """Answer a page of deliveries."""
        return answered(200, await self._reader.deliveries(read_query(request, DeliveryQuery)))

    async def story(self, request: web.Request) -> web.Response:
        """Answer the story of a fax."""
        name, fax_id = request.match_info["provider"], request.match_info["fax_id"]
        provider = next((each for each in Provider if each == name), None)
        if provider is None:
            raise NoSuch("provider", name, f"; there are {', '.join(Provider)}")
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
