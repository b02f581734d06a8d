"""The page of an endpoint with its settings, tokens, a test, deliveries and changes; and that of a new one."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

from aiohttp import web

from dispatcher.channels import Channel
from dispatcher.formats import FORMATS
from dispatcher.ops.api.idempotency import digest_of
from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.errors import UNCHANGED, PageError
from dispatcher.ops.console.pages.audit import Audit
from dispatcher.ops.console.pages.endpoint_form import BLANK, fields_of, values_of
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.console.words import LABELS
from dispatcher.ops.endpoints.bodies import RotationAction
from dispatcher.ops.endpoints.changes import Command, EndpointChanges
from dispatcher.ops.endpoints.checks.duplicates import Duplicate
from dispatcher.ops.endpoints.model import GivenFields, next_rotation, shown, token_bodies
from dispatcher.ops.endpoints.reading.origin import read_origin
from dispatcher.ops.endpoints.reading.rates import read_rates
from dispatcher.ops.endpoints.reading.removal import preview_removal
from dispatcher.ops.endpoints.sample import SampleOutcome, audit_sample, send_sample
from dispatcher.ops.endpoints.urls import BadEndpoint
from dispatcher.ops.faxes.lists.queries import DeliveryQuery
from dispatcher.ops.words import counted
from dispatcher.policy.endpoint import Endpoint
from shared.domain import EventType, Provider, utc_now

MOST_DELIVERIES: Final = 10
MOST_AUDITED: Final = 5

ROTATED: Final[Mapping[RotationAction, str]] = {
    "add": "A token was added. Give it to the application; when it has it, make the newest token the first.",
    "promote": "The newest token is the first now.",
    "drop": "The older tokens were dropped.",
}

SIGNS_AT_ONCE: Final = "The token was set, and signs from now on: give it to the application."


class EndpointPages:
    """The handlers."""

    def __init__(
        self, sources: Sources, changes: EndpointChanges, channels: Mapping[str, Channel], audit: Audit
    ) -> None:
        self._sources = sources
        self._changes = changes
        self._channels = channels
        self._audit = audit

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
        tokens = answer["tokens"] if "tokens" not in fields.values else []
        said = "The endpoint was added." + (" Its token is shown here once: copy it now." if tokens else "")
        return visit.go(f"/endpoints/{answer['id']}", said, token=tokens[0] if tokens else None)

    async def show(self, visit: Visit) -> web.Response:
        """Show an endpoint with its settings; of one that was removed, what it was and its history."""
        endpoint = await self._changes.known(self._sources.pool, read_id(visit.request.match_info["id"], "endpoint"))
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
        return visit.go(visit.request.path, "The settings were saved. They are in force for every event from now on.")

    async def pause(self, visit: Visit) -> web.Response:
        """Pause or resume an endpoint."""
        endpoint = await self._existing(visit)
        path = f"/endpoints/{endpoint.id}"
        if visit.form.get("paused") == "on":
            _, answer = await self._changes.pause(self._command(visit), endpoint.id)
            held = answer["under_way"]
            rest = (
                f" {counted(held, 'delivery is', 'deliveries are')} still held: requests under way end." if held else ""
            )
            said = f"The endpoint is paused: what it is owed waits until it is resumed.{rest}"
        else:
            await self._changes.resume(self._command(visit), endpoint.id)
            said = "The endpoint is resumed: what waited is delivered in order."
        self._sources.forget()
        return visit.go(path, said)

    async def switch(self, visit: Visit) -> web.Response:
        """Enable or disable an endpoint."""
        endpoint = await self._existing(visit)
        enabled = visit.form.get("enabled") == "on"
        await self._changes.change(self._command(visit), endpoint.id, GivenFields({"enabled": enabled}))
        self._sources.forget()
        disabled = (
            "The endpoint is disabled: it gets no new deliveries, and more general endpoints do not get them instead. "
            "Those still owed become dead letters when due."
        )
        return visit.go(f"/endpoints/{endpoint.id}", "The endpoint is enabled." if enabled else disabled)

    async def rotate(self, visit: Visit) -> web.Response:
        """Add a token, make the newest the first, or drop the older ones."""
        endpoint = await self._existing(visit)
        rotation = next((each for each in ROTATED if each == visit.form.get("rotation")), None)
        if rotation is None:
            raise PageError(422, UNCHANGED, "Tokens can be added, promoted or dropped.")
        dates = await self._sources.store.token_dates(self._sources.pool, endpoint.id)
        if rotation == "drop" and next_rotation(dates) == "promote":  # the page was shown before a token was added
            raise PageError(409, UNCHANGED, "A token was added since this page was shown: dropping would drop it.")
        token = visit.form.get("token", "").strip() or None
        try:
            _, answer = await self._changes.rotate(self._command(visit), endpoint.id, rotation, token)
        except BadEndpoint as error:
            return await self._page(visit, endpoint, values_of(endpoint), error)
        self._sources.forget()
        made = answer["token"] if rotation == "add" and token is None else None
        said = ROTATED[rotation] if dates or rotation != "add" else SIGNS_AT_ONCE
        return visit.go(f"/endpoints/{endpoint.id}#tokens", said, token=made)

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
        return visit.go("/endpoints", "The endpoint was removed: more general ones apply now. Its history stays.")

    async def _page(
        self,
        visit: Visit,
        endpoint: Endpoint,
        values: Mapping[str, str],
        error: BadEndpoint | None = None,
        outcome: SampleOutcome | None = None,
    ) -> web.Response:
        healths = await self._sources.health.of([endpoint.id])
        dates = await self._sources.store.token_dates(self._sources.pool, endpoint.id)
        owed = await self._sources.faxes.deliveries(DeliveryQuery(endpoint_id=endpoint.id, limit=MOST_DELIVERIES))
        return self._form(
            visit,
            "endpoint.html",
            values,
            error,
            endpoint=endpoint,
            token_list=token_bodies(endpoint, dates),
            next_rotation=next_rotation(dates),
            public_key=shown(endpoint)["public_key"],
            stored_url=shown(endpoint)["url"],
            health=healths.get(endpoint.id),
            origin=await read_origin(self._sources.pool, endpoint.id),
            rates=(await read_rates(self._sources.pool, endpoint.id, utc_now())).items,
            deliveries=owed.items,
            events=await self._sources.faxes.events_of(owed.items),
            outcome=outcome,
            left_to=await self._left_to(endpoint),
            entries=await self._audit.of_subject(str(endpoint.id), MOST_AUDITED),
        )

    async def _left_to(self, endpoint: Endpoint) -> str:
        if endpoint.removed_at is not None:
            return ""
        return (await preview_removal(self._sources.pool, self._sources.store, endpoint)).sentence

    def _form(
        self, visit: Visit, template: str, values: Mapping[str, str], error: BadEndpoint | None = None, **context: Any
    ) -> web.Response:
        return visit.page(
            template,
            200 if error is None else error.status,
            may_change=visit.session.may_change and not (context.get("endpoint") and context["endpoint"].removed_at),
            values=values,
            wrong={} if error is None else _by_input(error.wrong, values),
            is_duplicate=isinstance(error, Duplicate),
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


def _by_input(wrong: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong by the form's fields, in their order: the first has the focus, and is the topmost."""
    found = {_input_of(each, values): why for each, why in wrong.items()}
    order = [*LABELS, *found]
    return {each: found[each] for each in sorted(found, key=order.index)}


def _input_of(field: str, values: Mapping[str, str]) -> str:
    """Return the form's field for the API's *field*: `match` and `tokens` have others here."""
    if field == "match":
        return "number" if values.get("scope") == "number" else "fax_id"
    return {"tokens": "token"}.get(field, field)
