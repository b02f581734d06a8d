"""Single deliveries: the request of an attempt, as it was sent."""

import base64
from typing import Final

from aiohttp import web

from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.errors import no_such_page
from dispatcher.ops.console.pages.faxes import fax_path
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.deliveries.api import read_number
from dispatcher.ops.deliveries.bodies import SentRequest
from dispatcher.ops.deliveries.text import hex_lines

MOST_SHOWN: Final = 64 * 1024
"""Characters of a body on a page; the API gives all of it."""

MOST_HEX_BYTES: Final = 4 * 1024


class DeliveryPages:
    """The handlers."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def attempt(self, visit: Visit) -> web.Response:
        """Show an attempt and its request."""
        delivery_id = read_id(visit.request.match_info["id"], "delivery")
        number = read_number(visit.request.match_info["number"])
        delivery = await self._sources.faxes.delivery(delivery_id)
        if delivery is None:
            raise no_such_page()
        session = visit.session
        attempt = await self._sources.requests.of(
            delivery_id, number, who=session.who, with_document=session.may_see_contents
        )
        faxes = await self._sources.faxes.find(str(delivery_id))
        return visit.page(
            "attempt.html",
            delivery=delivery,
            attempt=attempt,
            fax=faxes[0] if faxes else None,
            fax_path=fax_path,
            body=None if attempt.request is None else body_shown(attempt.request),
        )


def body_shown(request: SentRequest) -> str | None:
    """Return the beginning of a body as text or hex; None where the form's fields say it, or nothing may be seen."""
    if request.form is not None:
        return None
    if request.body is not None:
        rest = len(request.body) - MOST_SHOWN
        return request.body if rest <= 0 else f"{request.body[:MOST_SHOWN]}\n… {rest} characters more"
    if request.body_base64 is not None:
        return hex_lines(base64.b64decode(request.body_base64), MOST_HEX_BYTES)
    return None
