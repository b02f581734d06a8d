"""What the ingress reads from its environment. It knows no `DATABASE_URL`."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from shared.amqp.addresses import AMQP_URL_DESCRIPTION, check_addresses
from shared.providers import ProviderSettings
from shared.settings import BadSetting, Secret, Settings
from shared.tracing.settings import OtlpEndpoint, OtlpHeaders, check_otlp

Secrets = tuple[Secret, ...]
Port = Annotated[int, Meta(ge=0, le=65_535)]


class IngressSettings(Settings, frozen=True, kw_only=True):
    """Variables of `python -m ingress`."""

    amqp_url: Annotated[Secret, Meta(description=AMQP_URL_DESCRIPTION)]
    media_url: Annotated[str, Meta(description="where documents are kept: `file:///…` or `s3://bucket/prefix`")]
    public_url: Annotated[
        str,
        Meta(
            description="our address as the providers know it, without path of a route; "
            "Phaxio signs it, so it must be exact"
        ),
    ] = ""
    ingress_host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    ingress_port: Annotated[Port, Meta(description="port to listen on")] = 8080
    phaxio_callback_token: Annotated[
        Secrets, Meta(description="Phaxio's callback tokens: switches its own HMAC-SHA1 scheme on")
    ] = ()
    phaxio_api_secret: Annotated[
        Secrets, Meta(description="secrets of Faxbot's scheme for Phaxio (HMAC-SHA256 of the body): switches it on")
    ] = ()
    telnyx_public_key: Annotated[
        tuple[str, ...], Meta(description="Telnyx's public keys (base64 of 32 bytes): switches Telnyx on")
    ] = ()
    sinch_inbound_basic_user: Annotated[
        tuple[str, ...], Meta(description="users of Sinch's callback URL, paired with the passwords by position")
    ] = ()
    sinch_inbound_basic_pass: Annotated[Secrets, Meta(description="passwords of Sinch's callback URL")] = ()
    sinch_inbound_hmac_secret: Annotated[
        Secrets, Meta(description="secrets of `X-Sinch-Signature`, where a proxy of yours signs")
    ] = ()
    sinch_inbound_allow_unverified: Annotated[
        bool, Meta(description="accept Sinch callbacks that nothing verifies; only behind your own address filter")
    ] = False
    asterisk_inbound_secret: Annotated[
        Secrets, Meta(description="secrets of `X-Internal-Secret`: switches your own Asterisk on")
    ] = ()
    asterisk_spool_dir: Annotated[
        Path | None, Meta(description="folder of Asterisk's TIFFs; unset: paths are kept as text, no file is read")
    ] = None
    max_body_bytes: Annotated[int, Meta(ge=1024, description="largest callback")] = 32 * 1024 * 1024
    max_admitted_bytes: Annotated[
        int, Meta(ge=1024, description="body bytes held at once by this process; past it 503")
    ] = 256 * 1024 * 1024
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Meta(description="lowest level that is logged")
    ] = "INFO"
    log_format: Annotated[Literal["json", "console"], Meta(description="`json` for machines, `console` for people")] = (
        "json"
    )
    otel_exporter_otlp_endpoint: OtlpEndpoint = None
    otel_exporter_otlp_headers: OtlpHeaders = None

    def check(self) -> None:
        """Check the URLs, and what belongs together."""
        check_addresses("AMQP_URL", self.amqp_url.reveal())
        self.providers()
        check_otlp(*self.otlp())

    def otlp(self) -> tuple[str | None, Secret | None]:
        """Return the collector of traces and the headers for it."""
        return self.otel_exporter_otlp_endpoint, self.otel_exporter_otlp_headers

    def providers(self) -> ProviderSettings:
        """Return what the adapters need, checked.

        Raises:
            BadSetting: Secrets that only make sense together do not fit.
        """
        if self.phaxio_callback_token and not self.public_url:
            raise BadSetting("PUBLIC_URL is not set, but PHAXIO_CALLBACK_TOKEN is: Phaxio signs the URL it calls")
        if len(self.sinch_inbound_basic_user) != len(self.sinch_inbound_basic_pass):
            raise BadSetting(
                "SINCH_INBOUND_BASIC_PASS and SINCH_INBOUND_BASIC_USER must hold as many values as each other: "
                "they are paired by position"
            )
        return ProviderSettings(
            public_url=self.public_url.rstrip("/"),
            phaxio_callback_tokens=_revealed(self.phaxio_callback_token),
            phaxio_api_secrets=_revealed(self.phaxio_api_secret),
            telnyx_public_keys=self.telnyx_public_key,
            sinch_users=self.sinch_inbound_basic_user,
            sinch_passwords=_revealed(self.sinch_inbound_basic_pass),
            sinch_hmac_secrets=_revealed(self.sinch_inbound_hmac_secret),
            sinch_allow_unverified=self.sinch_inbound_allow_unverified,
            asterisk_secrets=_revealed(self.asterisk_inbound_secret),
            asterisk_spool_dir=self.asterisk_spool_dir,
        )


def _revealed(secrets: Secrets) -> tuple[str, ...]:
    return tuple(secret.reveal() for secret in secrets)
