"""What an endpoint was not owed since a time, or was told then: previewed, and owed to it after all."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.api.moments import BadMoment, read_span
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.errors import UNCHANGED, PageError
from dispatcher.ops.console.pages.filters import chosen_of
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.dead.errors import EndpointOff, NothingMatches, TakenByAnother
from dispatcher.ops.dead.jobs.bodies import ReplayPreview, Selection, Skipped
from dispatcher.ops.dead.jobs.planner import skipped_of
from dispatcher.ops.endpoints.changes import EndpointChanges
from dispatcher.policy.endpoint import Endpoint
from shared.domain import utc_now
from shared.errors import FaxhookError

FIELDS: Final = ("since", "until", "told", "overtaken")


class RecoveryPages:
    """The handlers."""

    def __init__(self, sources: Sources, changes: EndpointChanges) -> None:
        self._sources = sources
        self._changes = changes

    async def preview(self, visit: Visit) -> web.Response:
        """Ask since when; once that is said, show what would be recovered. Changes nothing."""
        return await self._page(visit, await self._endpoint(visit), visit.request.query)

    async def begin(self, visit: Visit) -> web.Response:
        """Begin to recover, and lead to its progress."""
        endpoint = await self._endpoint(visit)
        try:
            selection, _ = read_recovery(endpoint, visit.form, utc_now())
            job = await self._sources.dead.jobs.begin("endpoint.recover", selection, who=visit.session.who)
        except (BadMoment, NothingMatches, EndpointOff, TakenByAnother) as why:
            return await self._page(visit, endpoint, visit.form, why)
        self._sources.forget()
        return visit.go(f"/dead/jobs/{job.id}")

    async def _page(
        self, visit: Visit, endpoint: Endpoint, given: Mapping[str, str], wrong: FaxhookError | None = None
    ) -> web.Response:
        asked = chosen_of(given, FIELDS)
        preview: ReplayPreview | None = None
        chosen: dict[str, str] = {}
        if "since" in asked and not isinstance(wrong, BadMoment):
            try:
                selection, chosen = read_recovery(endpoint, given, utc_now())
                preview = await self._sources.dead.planner.preview("endpoint.recover", selection)
            except BadMoment as why:
                wrong = why
        return visit.page(
            "recover.html",
            200 if wrong is None else wrong.status,
            endpoint=endpoint,
            asked=asked,
            chosen=chosen,
            preview=preview,
            skipped=[] if preview is None else skipped_of(preview),
            sentence=wrong,
            field=getattr(wrong, "field", None),
        )

    async def _endpoint(self, visit: Visit) -> Endpoint:
        endpoint_id = read_id(visit.request.match_info["id"], "endpoint")
        return await self._changes.existing(self._sources.pool, endpoint_id)


def read_recovery(endpoint: Endpoint, given: Mapping[str, str], now: datetime) -> tuple[Selection, dict[str, str]]:
    """Return what is to be recovered, and the fields of the form that confirms just this, however much later. Pure.

    Raises:
        BadMoment: A time cannot be read, or nothing lies between them.
        PageError: It is not said since when.
    """
    asked = chosen_of(given, FIELDS)
    if "since" not in asked:
        raise PageError(422, UNCHANGED, "Say since when.")
    since, until = read_span(asked["since"], asked.get("until"), now)
    told = asked.get("told") == "on"
    overtaken = told and asked.get("overtaken") == "on"
    chosen = {"since": _written(since or now), **({} if until is None else {"until": _written(until)})}
    chosen |= {name: "on" for name, is_on in (("told", told), ("overtaken", overtaken)) if is_on}
    skipped = Skipped(endpoint_id=endpoint.id, since=since or now, until=until, told=told)
    return Selection(skipped=skipped, overtaken=overtaken), chosen


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
