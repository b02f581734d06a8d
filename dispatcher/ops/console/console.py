"""The console as a part of the ops surface: its pages and their addresses."""

import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import web

from dispatcher.channels import Channel
from dispatcher.configuration.accounts import AccountMailing
from dispatcher.configuration.identity_provider import IdentityProvider
from dispatcher.ops.access.authenticator import Authenticator
from dispatcher.ops.access.pages import TokenPages
from dispatcher.ops.alerts.pages import FILTER_FIELDS as ALERT_FIELDS
from dispatcher.ops.alerts.pages import AlertPages
from dispatcher.ops.alerts.reader import AlertReader
from dispatcher.ops.alerts.trying import WaysToOperator
from dispatcher.ops.audit.entries import AuditReader
from dispatcher.ops.console.access.guard import Guard, Handler
from dispatcher.ops.console.access.login import Login
from dispatcher.ops.console.access.session import Sessions
from dispatcher.ops.console.errors import no_such_page
from dispatcher.ops.console.pages import audit, dead, faxes
from dispatcher.ops.console.pages.audit import Audit
from dispatcher.ops.console.pages.dead import DeadPages
from dispatcher.ops.console.pages.endpoints import EndpointPages
from dispatcher.ops.console.pages.faxes import FaxPages
from dispatcher.ops.console.pages.lists import accounts, attempts, deliveries, endpoints, events
from dispatcher.ops.console.pages.lists.accounts import AccountsPage
from dispatcher.ops.console.pages.lists.attempts import AttemptListPage
from dispatcher.ops.console.pages.lists.deliveries import DeliveryListPage
from dispatcher.ops.console.pages.lists.endpoints import EndpointListPage
from dispatcher.ops.console.pages.lists.events import EventListPage
from dispatcher.ops.console.pages.overview import Overview, Problems
from dispatcher.ops.console.pages.resends.deliveries import DeliveryPages
from dispatcher.ops.console.pages.resends.recovery import FIELDS as RECOVERY_FIELDS
from dispatcher.ops.console.pages.resends.recovery import RecoveryPages
from dispatcher.ops.console.render import ASSETS_PATH, Renderer
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.documents.pages import DocumentPages
from dispatcher.ops.documents.service import DocumentService
from dispatcher.ops.endpoints.changes import EndpointChanges
from dispatcher.ops.export.pages import ExportPages
from shared.domain import utc_now

if TYPE_CHECKING:
    from dispatcher.ops.console.access.sign_on import SignOn


class WaysIn(NamedTuple):
    """How people log in: by OPS_TOKEN and OPS_READ_TOKEN, by access tokens, by the identity provider."""

    authenticator: Authenticator
    tokens: tuple[str | None, str | None]
    provider: IdentityProvider | None


QUERY_NAMES: Final[Mapping[str, Collection[str]]] = {
    "/dead": dead.FILTER_NAMES,
    "/dead/list": (*dead.FILTER_NAMES, "after"),
    "/dead/preview": (*dead.FILTER_NAMES, "do", "id", "all", "selected", "to"),
    "/deliveries/resend": ("id", "provider", "fax_id", "overtaken"),
    "/faxes": ("q", *faxes.FILTER_FIELDS, "after"),
    "/endpoints": (*endpoints.FILTER_FIELDS, "after"),
    "/attempts": (*attempts.FILTER_FIELDS, "after"),
    "/events": (*events.FILTER_FIELDS, "after"),
    "/deliveries": (*deliveries.FILTER_FIELDS, "after"),
    "/endpoints/{id}/deliveries": (*deliveries.FILTER_FIELDS_OF_ENDPOINT, "after"),
    "/endpoints/{id}/recover": RECOVERY_FIELDS,
    "/endpoints/new": ("scope", "direction"),
    "/accounts": (*accounts.FILTER_FIELDS, "after"),
    "/alerts": (*ALERT_FIELDS, "after"),
    "/audit": (*audit.FILTER_FIELDS, "after"),
    "/tokens": ("after",),
    "/documents/{key:.+}": ("event_id",),
    "/documents/{key:.+}/thumbnail": ("event_id",),
}
"""What the query of a page may hold; of those that are not here, nothing."""


class Console:
    """The composition of the pages."""

    def __init__(
        self,
        sources: Sources,
        changes: EndpointChanges,
        channels: Mapping[str, Channel],
        problems: Problems,
        ways_in: WaysIn,
        documents: DocumentService,
        ways_to_operator: WaysToOperator,
        account_mailing: AccountMailing,
    ) -> None:
        authenticator, provider = ways_in.authenticator, ways_in.provider
        token, read_token = ways_in.tokens
        of_provider = None if provider is None else (provider.issuer, provider.client_id)
        sessions = Sessions(token, read_token, time.time, of_provider) if token else None
        self._renderer = Renderer(utc_now)
        self._guard = Guard(sessions, self._renderer, sources.badges, authenticator.is_valid)
        self._login = Login(self._guard, sources.pool, authenticator, time.monotonic, has_provider=provider is not None)
        self._sign_on = None if provider is None else _sign_on(self._guard, self._login, provider, authenticator)
        self._alerts = AlertPages(AlertReader(sources.pool), sources.pool, ways_to_operator)
        self._audit = Audit(AuditReader(sources.pool))
        self._overview = Overview(sources, problems, utc_now)
        self._dead = DeadPages(sources)
        self._faxes = FaxPages(sources, utc_now)
        self._deliveries = DeliveryPages(sources)
        self._tokens = TokenPages(sources.pool)
        self._documents = DocumentPages(documents)
        self._endpoint_list = EndpointListPage(sources)
        self._delivery_list = DeliveryListPage(sources, changes)
        self._events = EventListPage(sources)
        self._attempts = AttemptListPage(sources)
        self._accounts = AccountsPage(sources, account_mailing)
        self._recovery = RecoveryPages(sources, changes)
        self._exports = ExportPages(sources)
        self._endpoints = EndpointPages(sources, changes, channels, self._audit)

    def add_to(self, app: web.Application) -> None:
        """Register the pages."""
        guard = self._guard
        pages: Mapping[str, Handler] = {
            "/": self._overview.show,
            "/overview/live": self._overview.live,
            "/dead": self._dead.groups,
            "/dead/list": self._dead.list,
            "/dead/letters/{id:.+}": self._dead.show,
            "/dead/preview": self._dead.preview,
            "/dead/jobs/{id}": self._dead.job,
            "/dead/jobs/{id}/live": self._dead.job_live,
            "/faxes": self._faxes.search,
            "/faxes/{provider}/{fax_id:.+}": self._faxes.show,
            "/deliveries/resend": self._deliveries.preview,
            "/deliveries/{id}/attempts/{number}": self._deliveries.attempt,
            "/events": self._events.show,
            "/deliveries": self._delivery_list.show,
            "/attempts": self._attempts.show,
            "/endpoints": self._endpoint_list.show,
            "/endpoints/new": self._endpoints.new,
            "/endpoints/{id}": self._endpoints.show,
            "/endpoints/{id}/recover": self._recovery.preview,
            "/endpoints/{id}/deliveries": self._delivery_list.show_of_endpoint,
            "/accounts": self._accounts.show,
            "/alerts": self._alerts.show,
            "/audit": self._audit.show,
            "/tokens": self._tokens.show,
            "/documents/{key:.+}/thumbnail": self._documents.thumbnail,
            "/documents/{key:.+}": self._documents.save,
        }
        changes: Mapping[str, Handler] = {
            "/alerts/test": self._alerts.test,
            "/dead/begin": self._dead.begin,
            "/tokens": self._tokens.create,
            "/tokens/{id}/revoke": self._tokens.revoke,
            "/deliveries/resend": self._deliveries.begin,
            "/endpoints/new": self._endpoints.add,
            "/endpoints/{id}": self._endpoints.change,
            "/endpoints/{id}/enabled": self._endpoints.switch,
            "/endpoints/{id}/paused": self._endpoints.pause,
            "/endpoints/{id}/recover": self._recovery.begin,
            "/endpoints/{id}/tokens": self._endpoints.rotate,
            "/endpoints/{id}/test": self._endpoints.test,
            "/endpoints/{id}/remove": self._endpoints.remove,
        }
        for path, handler in pages.items():
            app.router.add_get(path, guard.page(handler, QUERY_NAMES.get(path, ())))
        for path, handler in changes.items():
            app.router.add_post(path, guard.change(handler))
        app.router.add_get("/exports/{name}", guard.page(self._exports.send, None))
        app.router.add_get("/login", guard.open(self._login.show))
        app.router.add_post("/login", guard.open(self._login.enter))
        app.router.add_post("/logout", guard.open(self._login.leave))
        if self._sign_on is not None:
            self._sign_on.add_to(app)
        app.router.add_get(f"{ASSETS_PATH}/{{name}}", self._renderer.asset)
        app.router.add_get("/{path:(?!v1(/|$)|openapi).*}", guard.page(_nowhere, None))


def _sign_on(guard: Guard, login: Login, provider: IdentityProvider, authenticator: Authenticator) -> "SignOn":
    from dispatcher.ops.console.access.provider import Provider  # noqa: PLC0415 - slow, and not needed by all
    from dispatcher.ops.console.access.sign_on import SignOn  # noqa: PLC0415 - slow, and not needed by all

    return SignOn(guard, login, Provider(provider), authenticator)


async def _nowhere(_visit: object) -> web.StreamResponse:
    raise no_such_page()
