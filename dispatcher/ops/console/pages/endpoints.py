"""Endpoints: the list, and the page of one with its settings, tokens, a test, deliveries and changes."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import msgspec
from aiohttp import web

from dispatcher.channels import Channel
from dispatcher.formats import FORMATS
from dispatcher.ops.api.idempotency import digest_of
from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.errors import UNCHANGED, PageError
from dispatcher.ops.console.pages.audit import MOST_ID, Audit
from dispatcher.ops.console.pages.endpoint_form import BLANK, fields_of, values_of
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.endpoints.bodies import RotationAction
from dispatcher.ops.endpoints.changes import Command, EndpointChanges
from dispatcher.ops.endpoints.model import EndpointFields, shown
from dispatcher.ops.endpoints.sample import SampleOutcome, audit_sample, send_sample
from dispatcher.ops.endpoints.urls import BadEndpoint
from dispatcher.ops.faxes.queries import DeliveryQuery
from dispatcher.policy.endpoint import Endpoint
from shared.domain import EventType, Provider

MOST_OF_FAXES: Final = 50
MOST_DELIVERIES: Final = 10
MOST_AUDITED: Final = 5

SECTIONS: Final = (
    ("global", "sent", "Sent faxes", "How each sent fax ends, whichever provider sends it."),
    ("global", "received", "Received faxes", "Each received fax whose number has no endpoint of its own."),
    ("global", "any", "Sent and received faxes", "Both directions at one endpoint."),
    ("number", None, "Faxes to one number", "Faxes received at that number; its endpoints replace the general ones."),
)
ROTATED: Final[Mapping[RotationAction, str]] = {
    "add": "A token was added. Give it to the application; when it has it, make the newest token the first.",
    "promote": "The newest token is the first now.",
    "drop": "The older tokens were dropped.",
}


class EndpointPages:
    """The handlers."""

    def __init__(
        self, sources: Sources, changes: EndpointChanges, channels: Mapping[str, Channel], audit: Audit
    ) -> None:
        self._sources = sources
        self._changes = changes
        self._channels = channels
        self._audit = audit

    async def list(self, visit: Visit) -> web.Response:
        """Show the endpoints by scope and direction, and the latest of those of single faxes."""
        cached = await self._sources.store.cached(self._sources.pool)
        of_faxes = await self._sources.store.latest_of_faxes(self._sources.pool, MOST_OF_FAXES + 1)
        ids = [endpoint.id for endpoint in (*cached, *of_faxes)]
        return visit.page(
            "endpoints.html",
            sections=[
                (*section, [each for each in cached if each.scope == scope and direction in {None, each.direction}])
                for section in SECTIONS
                for scope, direction in [section[:2]]
            ],
            of_faxes=of_faxes[:MOST_OF_FAXES],
            are_more=len(of_faxes) > MOST_OF_FAXES,
            healths=await self._sources.health.of(ids) if ids else {},
            shown=shown,
        )

    async def new(self, visit: Visit) -> web.Response:
        """Show the form of a new endpoint."""
        visit.check_may_change()
        given = {name: visit.request.query[name] for name in ("scope", "direction") if name in visit.request.query}
        return self._form(visit, "endpoint_new.html", {**BLANK, **given})

    async def add(self, visit: Visit) -> web.Response:
        """Add an endpoint; its page shows the token, once."""
        values = {**BLANK, "inflight": "", "overtaken": "", **_own_fields(visit.form)}
        try:
            fields = fields_of(visit.form, None)
            _, answer = await self._changes.add(self._command(visit), fields)
        except BadEndpoint as error:
            return self._form(visit, "endpoint_new.html", values, error)
        self._sources.forget()
        tokens = answer["tokens"] if fields.tokens is msgspec.UNSET else []
        said = "The endpoint was added." + (" Its token is shown here once: copy it now." if tokens else "")
        return visit.go(f"/endpoints/{answer['id']}", said, token=tokens[0] if tokens else None)

    async def show(self, visit: Visit) -> web.Response:
        """Show an endpoint with its settings."""
        endpoint = await self._existing(visit)
        return await self._page(visit, endpoint, values_of(endpoint))

    async def change(self, visit: Visit) -> web.Response:
        """Save the settings."""
        endpoint = await self._existing(visit)
        try:
            fields = fields_of(visit.form, endpoint)
            await self._changes.change(self._command(visit), endpoint.id, fields)
        except BadEndpoint as error:
            values = {**values_of(endpoint), "inflight": "", "overtaken": "", **_own_fields(visit.form)}
            return await self._page(visit, endpoint, values, error)
        self._sources.forget()
        return visit.go(visit.request.path, "The settings were saved. Every dispatcher uses them within two seconds.")

    async def switch(self, visit: Visit) -> web.Response:
        """Enable or disable an endpoint."""
        endpoint = await self._existing(visit)
        enabled = visit.form.get("enabled") == "on"
        await self._changes.change(self._command(visit), endpoint.id, EndpointFields(enabled=enabled))
        self._sources.forget()
        disabled = "The endpoint is disabled: it gets no new deliveries; those still owed become dead letters when due."
        return visit.go(f"/endpoints/{endpoint.id}", "The endpoint is enabled." if enabled else disabled)

    async def rotate(self, visit: Visit) -> web.Response:
        """Add a token, make the newest the first, or drop the older ones."""
        endpoint = await self._existing(visit)
        rotation = next((each for each in ROTATED if each == visit.form.get("rotation")), None)
        if rotation is None:
            raise PageError(422, UNCHANGED, "Tokens can be added, promoted or dropped.")
        token = visit.form.get("token", "").strip() or None
        _, answer = await self._changes.rotate(self._command(visit), endpoint.id, rotation, token)
        self._sources.forget()
        made = answer["token"] if rotation == "add" and token is None else None
        return visit.go(f"/endpoints/{endpoint.id}#tokens", ROTATED[rotation], token=made)

    async def test(self, visit: Visit) -> web.Response:
        """Send a sample event, and show the answer."""
        endpoint = await self._existing(visit)
        given = visit.form.get("type", "")
        event_type = EventType(given) if given in set(EventType) else None
        outcome = await send_sample(endpoint, self._channels, event_type)
        await audit_sample(self._sources.pool, visit.session.who, endpoint, outcome)
        return await self._page(visit, endpoint, values_of(endpoint), outcome=outcome)

    async def remove(self, visit: Visit) -> web.Response:
        """Remove an endpoint."""
        endpoint = await self._existing(visit)
        await self._changes.remove(self._command(visit), endpoint.id)
        self._sources.forget()
        return visit.go("/endpoints", "The endpoint was removed. Its history stays.")

    async def _page(
        self,
        visit: Visit,
        endpoint: Endpoint,
        values: Mapping[str, str],
        error: BadEndpoint | None = None,
        outcome: SampleOutcome | None = None,
    ) -> web.Response:
        healths = await self._sources.health.of([endpoint.id])
        owed = await self._sources.faxes.deliveries(DeliveryQuery(endpoint_id=endpoint.id, limit=MOST_DELIVERIES))
        return self._form(
            visit,
            "endpoint.html",
            values,
            error,
            endpoint=endpoint,
            public_key=shown(endpoint)["public_key"],
            health=healths.get(endpoint.id),
            deliveries=owed.items,
            outcome=outcome,
            entries=await self._audit.read(MOST_ID, str(endpoint.id), MOST_AUDITED),
        )

    def _form(
        self, visit: Visit, template: str, values: Mapping[str, str], error: BadEndpoint | None = None, **context: Any
    ) -> web.Response:
        return visit.page(
            template,
            200 if error is None else 422,
            values=values,
            wrong={} if error is None else {_input_of(error.field, values): str(error).partition(": ")[2]},
            formats=list(FORMATS),
            providers=list(Provider),
            types=list(EventType),
            command_id=str(uuid4()),
            **context,
        )

    async def _existing(self, visit: Visit) -> Endpoint:
        endpoint_id = read_id(visit.request.match_info["id"], "endpoint")
        return await self._changes.existing(self._sources.pool, endpoint_id)

    @staticmethod
    def _command(visit: Visit) -> Command:
        return Command(
            who=visit.session.who,
            command_id=visit.form.get("command_id"),
            digest=digest_of("POST", visit.request.path, dict(visit.form)),
        )


def _own_fields(form: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in form.items() if name in BLANK and name != "token"}


def _input_of(field: str, values: Mapping[str, str]) -> str:
    """Return the form's field for the API's *field*: `match` and `tokens` have others here."""
    if field == "match":
        return "number" if values.get("scope") == "number" else "fax_id"
    return {"tokens": "token"}.get(field, field)
