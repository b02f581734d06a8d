"""Single deliveries: the request of an attempt, as it was sent."""

import base64
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.errors import no_such_page
from dispatcher.ops.console.pages.dead import ids_of, nothing_selected
from dispatcher.ops.console.pages.faxes import fax_path
from dispatcher.ops.console.pages.filters import chosen_of, filter_of
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.dead.errors import NothingToSend
from dispatcher.ops.dead.jobs.bodies import ResendFilter, Selection
from dispatcher.ops.dead.jobs.planner import skipped_of
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

    async def preview(self, visit: Visit) -> web.Response:
        """Show what sending again would do; changes nothing."""
        return await self._preview(visit, visit.request.query)

    async def begin(self, visit: Visit) -> web.Response:
        """Begin to send again, and lead to its progress."""
        selection, _ = _selection(visit.form)
        try:
            job = await self._sources.dead.jobs.begin("delivery.resend", selection, who=visit.session.who)
        except NothingToSend as why:
            return await self._preview(visit, visit.form, str(why))
        self._sources.forget()
        return visit.go(f"/dead/jobs/{job.id}")

    async def _preview(self, visit: Visit, given: Mapping[str, str], wrong: str | None = None) -> web.Response:
        selection, chosen = _selection(given)
        preview = await self._sources.dead.planner.preview("delivery.resend", selection)
        return visit.page(
            "resend.html",
            200 if wrong is None else 409,
            preview=preview,
            skipped=skipped_of(preview),
            chosen=chosen,
            fax=(chosen["provider"], chosen["fax_id"]) if "fax_id" in chosen else None,
            fax_path=fax_path,
            sentence=wrong,
        )


def _selection(given: Mapping[str, str]) -> tuple[Selection, dict[str, str]]:
    chosen = chosen_of(given, ("provider", "fax_id", "overtaken"))
    overtaken = chosen.get("overtaken") == "on"
    if ids := ids_of(given):
        return Selection(ids=ids, overtaken=overtaken), {**chosen, "id": ",".join(ids)}
    if "fax_id" not in chosen:
        raise nothing_selected()
    fields = {name: value for name, value in chosen.items() if name != "overtaken"}
    return Selection(deliveries=filter_of(fields, ResendFilter), overtaken=overtaken), chosen


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
