"""What the dispatcher reads from its environment."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from dispatcher.channels.mail.address import Mailbox, Relay, parse_mailbox, parse_relay
from dispatcher.configuration import accounts, alerts, lists
from dispatcher.configuration.broker import AmqpUrl, Backoff, Broker, OpsAmqpUrl, RabbitmqApiUrl
from dispatcher.configuration.identity_provider import RIGHTS, IdentityProvider, read_provider
from dispatcher.egress.guard import Network, parse_networks
from shared.backoff import DEFAULT_BACKOFF
from shared.seal import Seal
from shared.settings import BadSetting, Secret, Settings, check_url
from shared.sql.certificates import check_certificates
from shared.tracing.settings import OtlpEndpoint, OtlpHeaders, check_otlp


class LedgerSettings(Settings, frozen=True, kw_only=True):
    """Variables of everything that needs the ledger only, such as `faxhook faxes`."""

    database_url: Annotated[
        Secret,
        Meta(
            description="PostgreSQL 15 or newer, `postgresql://…`; `?sslmode=verify-full&sslrootcert=` names "
            "a private CA; a pooler in between must be in session mode"
        ),
    ]

    def check(self) -> None:
        """Check the ledger's URL."""
        check_url("DATABASE_URL", self.database_url.reveal(), ("postgresql", "postgres"))
        check_certificates("DATABASE_URL", self.database_url.reveal())


class StoreSettings(LedgerSettings, Broker, frozen=True, kw_only=True):
    """Variables of the commands that reach both stores."""

    amqp_url: AmqpUrl
    backoff: Backoff = DEFAULT_BACKOFF
    ops_amqp_url: OpsAmqpUrl = None
    rabbitmq_api_url: RabbitmqApiUrl = None

    def check(self) -> None:
        """Check the stores' URLs and the table of waits."""
        super().check()
        self.check_broker()


class MigrateSettings(LedgerSettings, frozen=True, kw_only=True):
    """Variables of `faxhook migrate`."""

    database_application_role: Annotated[
        str | None,
        Meta(description="role that the services connect as, if it is not the owner: it is granted what they need"),
    ] = None


class DeadSettings(StoreSettings, frozen=True, kw_only=True):
    """Variables of `faxhook dead`; the last three only for callbacks, as the ingress has them."""

    media_url: Annotated[str | None, Meta(description="where callbacks' bodies and documents are kept")] = None
    asterisk_spool_dir: Annotated[Path | None, Meta(description="folder of Asterisk's TIFFs, absolute")] = None
    max_body_bytes: Annotated[int, Meta(ge=1024, description="largest document")] = 32 * 1024 * 1024

    def check(self) -> None:
        """Check the spool folder, too."""
        super().check()
        _check_spool_dir(self.asterisk_spool_dir)


class EndpointSettings(LedgerSettings, frozen=True, kw_only=True):
    """Variables of everything that reads or sets endpoints: dispatcher and `faxhook endpoints`. It needs no broker."""

    secrets_key: Annotated[
        tuple[Secret, ...],
        Meta(
            min_length=1,
            description="encrypts endpoint tokens at rest: URL-safe base64 of 32 bytes; of several, the first encrypts",
        ),
    ]
    egress_allow_networks: Annotated[
        tuple[str, ...],
        Meta(description="networks that webhooks may reach though they are not public, e.g. `10.1.0.0/16`"),
    ] = ()
    egress_proxy: Annotated[
        Secret | None,
        Meta(
            description="proxy that webhooks and fetched documents go through, `http://user:password@host:port`; names "
            "are resolved by it, and it must refuse inner addresses itself"
        ),
    ] = None

    def check(self) -> None:
        """Check the ledger, the keys, the networks and the proxy."""
        super().check()
        self.seal()
        self.allowed_networks()
        self.proxy()

    def seal(self) -> Seal:
        """Return what encrypts tokens.

        Raises:
            BadSetting: SECRETS_KEY holds no usable key.
        """
        return Seal([key.reveal() for key in self.secrets_key])

    def allowed_networks(self) -> tuple[Network, ...]:
        """Return the networks of EGRESS_ALLOW_NETWORKS.

        Raises:
            BadSetting: One of them is not a network.
        """
        try:
            return parse_networks(self.egress_allow_networks)
        except ValueError as error:
            raise BadSetting(f"EGRESS_ALLOW_NETWORKS is wrong: {error}") from None

    def proxy(self) -> str | None:
        """Return the URL of EGRESS_PROXY; None if it is not set.

        Raises:
            BadSetting: It is not the URL of a proxy.
        """
        if self.egress_proxy is None:
            return None
        url = self.egress_proxy.reveal()
        parts = check_url("EGRESS_PROXY", url, ("http",))
        if not (parts.host and parts.port and parts.is_bare):
            raise BadSetting("EGRESS_PROXY is wrong: it must be `http://host:port`, with `user:password@` if it asks")
        return url


class ChannelSettings(EndpointSettings, frozen=True, kw_only=True):
    """Variables of everything that tells applications: dispatcher and `faxhook endpoints test`."""

    smtp_url: Annotated[
        Secret | None,
        Meta(
            description="relay for mailto endpoints: `smtp://` (STARTTLS if offered), `smtp+starttls://` (or nothing), "
            "`smtps://`; `user:password@host:port`, percent-encoded"
        ),
    ] = None
    mail_from: Annotated[
        str | None, Meta(description="sender of all mail, `fax@example.com` or `Faxes <fax@example.com>`")
    ] = None

    def check(self) -> None:
        """Check the way of mail, too."""
        super().check()
        self.mail()

    def mail(self) -> tuple[Relay, Mailbox] | None:
        """Return the relay for mail and who it is from; None if neither is set.

        Raises:
            BadSetting: One of them is wrong, or is set alone.
        """
        if self.smtp_url is None and self.mail_from is None:
            return None
        if self.smtp_url is None:
            raise BadSetting("SMTP_URL is not set, but MAIL_FROM is: mail needs both")
        if self.mail_from is None:
            raise BadSetting("MAIL_FROM is not set, but SMTP_URL is: mail needs both")
        try:
            relay = parse_relay(self.smtp_url.reveal())
        except ValueError as error:
            raise BadSetting(f"SMTP_URL is wrong: {error}") from None
        try:
            return relay, parse_mailbox(self.mail_from)
        except ValueError as error:
            raise BadSetting(f"MAIL_FROM is wrong: {error}") from None


class DispatcherSettings(
    ChannelSettings, Broker, lists.Lists, alerts.Alerts, accounts.AccountMails, frozen=True, kw_only=True
):
    """Variables of `python -m dispatcher`."""

    amqp_url: AmqpUrl
    backoff: Backoff = DEFAULT_BACKOFF
    ops_amqp_url: OpsAmqpUrl = None
    rabbitmq_api_url: RabbitmqApiUrl = None
    media_url: Annotated[str, Meta(description="where documents are kept: `file:///…` or `s3://bucket/prefix`")]
    asterisk_spool_dir: Annotated[
        Path | None, Meta(description="folder of Asterisk's TIFFs, as the ingress has it: for replayed callbacks")
    ] = None
    max_body_bytes: Annotated[int, Meta(ge=1024, description="largest document of a replayed callback")] = (
        32 * 1024 * 1024
    )
    retention_days: Annotated[
        int,
        Meta(
            ge=1,
            le=36_500,
            description="days that payloads, attempts and documents are kept after all of an event is settled; what is "
            "owed or dead is never pruned",
        ),
    ] = 30
    telnyx_api_key: lists.TelnyxKey = None
    phaxio_api_key: lists.PhaxioKey = None
    phaxio_api_key_secret: lists.PhaxioKeySecret = None
    sinch_project_id: lists.SinchProject = None
    sinch_key_id: lists.SinchKeyId = None
    sinch_key_secret: lists.SinchKeySecret = None
    telnyx_api_url: lists.TelnyxUrl = lists.TELNYX_URL
    phaxio_api_url: lists.PhaxioUrl = lists.PHAXIO_URL
    sinch_api_url: lists.SinchUrl = lists.SINCH_URL
    reconcile_every: lists.ReconcileEvery = "15m"
    reconcile_window: lists.ReconcileWindow = "48h"
    reconcile_grace: lists.ReconcileGrace = "10m"
    alert_urls: alerts.AlertUrls = ()
    alert_secret: alerts.AlertSecrets = ()
    account_mail: accounts.AccountMailUrls = ()
    account_mail_at: accounts.AccountMailAt = accounts.DEFAULT_AT
    stalled_after: lists.StalledAfter = "6h"
    ops_host: Annotated[str, Meta(description="address of health, metrics and operations")] = "127.0.0.1"
    ops_port: Annotated[int, Meta(ge=0, le=65_535, description="port of health, metrics and operations")] = 8081
    ops_token: Annotated[Secret | None, Meta(description="token of console and HTTP API; unset: both are off")] = None
    ops_read_token: Annotated[Secret | None, Meta(description="token that may read and change nothing")] = None
    oidc_issuer: Annotated[
        str | None,
        Meta(description="identity provider for log-ins to the console, as its discovery names it; unset: tokens only"),
    ] = None
    oidc_client_id: Annotated[str | None, Meta(description="of the console at the identity provider")] = None
    oidc_client_secret: Annotated[
        Secret | None, Meta(description="of the console at the identity provider; unset: a public client, PKCE alone")
    ] = None
    oidc_roles_claim: Annotated[
        str, Meta(min_length=1, description="claim with a person's roles; `a.b` is `b` inside of `a`")
    ] = "roles"
    oidc_roles: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description="what each role may do: `its-name=read|documents|operate|admin`"),
    ] = tuple(f"{right}={right}" for right in RIGHTS)
    console_url: Annotated[
        str | None,
        Meta(description="public URL of the console; the identity provider leads back to `…/login/oidc/callback`"),
    ] = None
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Meta(description="lowest level that is logged")
    ] = "INFO"
    log_format: Annotated[Literal["json", "console"], Meta(description="`json` for machines, `console` for people")] = (
        "json"
    )
    otel_exporter_otlp_endpoint: OtlpEndpoint = None
    otel_exporter_otlp_headers: OtlpHeaders = None

    def check(self) -> None:
        """Check the broker, the spool folder, the lists, the alerts and the collector of traces, too."""
        super().check()
        self.check_broker()
        _check_spool_dir(self.asterisk_spool_dir)
        self.reconciliation()
        self.alerting()
        self.account_mailing()
        self.stalled_limits()
        check_otlp(*self.otlp())
        if self.identity_provider() is not None and self.ops_token is None:
            raise BadSetting("OPS_TOKEN is not set, but OIDC_ISSUER is: without it the console is off")

    def otlp(self) -> tuple[str | None, Secret | None]:
        """Return the collector of traces and the headers for it."""
        return self.otel_exporter_otlp_endpoint, self.otel_exporter_otlp_headers

    def identity_provider(self) -> IdentityProvider | None:
        """Return where people log in to the console; None if it is not set.

        Raises:
            BadSetting: A variable is missing or wrong.
        """
        return read_provider(
            self.oidc_issuer,
            self.oidc_client_id,
            self.oidc_client_secret,
            self.console_url,
            self.oidc_roles_claim,
            self.oidc_roles,
        )

    def ops_tokens(self) -> tuple[str | None, str | None]:
        """Return the token that may do everything, and the one that may read."""
        return (
            None if self.ops_token is None else self.ops_token.reveal(),
            None if self.ops_read_token is None else self.ops_read_token.reveal(),
        )


def _check_spool_dir(folder: Path | None) -> None:
    if folder is not None and not folder.is_absolute():
        raise BadSetting("ASTERISK_SPOOL_DIR must be an absolute path")
