"""`/v1/faxes`, `/v1/events`, `/v1/deliveries` over HTTP: read-only."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import web

from dispatcher.ops.api.http import answered, read_query
from dispatcher.ops.api.lookups import NoSuch, read_id
from dispatcher.ops.api.operation import Handler, Operation, add_operations
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

Read = Callable[[Any], Awaitable[Any]]


class FaxApi:
    """The handlers."""

    def __init__(self, reader: FaxReader) -> None:
        self._reader = reader

    def operations(self) -> Sequence[Operation]:
        """Return what is offered."""
        read = self._reader
        lists: tuple[tuple[str, type[msgspec.Struct], type[msgspec.Struct], Read], ...] = (
            ("faxes", FaxQuery, FaxPage, read.faxes),
            ("events", EventQuery, EventPage, read.events),
            ("deliveries", DeliveryQuery, DeliveryPage, read.deliveries),
        )
        things: tuple[tuple[str, str, dict[str, Any], type[msgspec.Struct], Handler], ...] = (
            (
                "faxes/{provider}/{fax_id:.+}",
                "The story of a fax: its events, deliveries and attempts, and who was told",
                {"provider": Provider, "fax_id": str},
                FaxStory,
                self.story,
            ),
            ("events/{id:.+}", "An event with its content", {"id": str}, EventWithContent, self.event),
            ("deliveries/{id}", "A delivery with its attempts", {"id": UUID}, DeliveryWithAttempts, self.delivery),
        )
        return (
            *(
                Operation(
                    method="GET",
                    path=f"/v1/{name}",
                    handler=_list(query, page),
                    summary=f"{name.capitalize()}, the newest first",
                    query=query,
                    answer=body,
                )
                for name, query, body, page in lists
            ),
            *(
                Operation(
                    method="GET",
                    path=f"/v1/{path}",
                    handler=handler,
                    summary=summary,
                    parameters=parameters,
                    answer=answer,
                    problems=(404,),
                )
                for path, summary, parameters, answer, handler in things
            ),
        )

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        add_operations(app, self.operations())

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


def _list(kind: type[msgspec.Struct], read: Read) -> Handler:
    async def answer_list(request: web.Request) -> web.Response:
        return answered(200, await read(read_query(request, kind)))

    return answer_list
