"""Settings of the alerts: where the operator is told, and what webhooks to it are signed with."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

from dispatcher.channels.mail.address import address_of
from dispatcher.egress.target import parse_target
from dispatcher.formats.tokens import check_token
from shared.settings import BadSetting, Secret

MOST_CHANNELS: Final = 20

AlertUrls = Annotated[
    tuple[Secret, ...],
    Meta(
        description="where the operator is told what is wrong: `mailto:ops@example.com` by SMTP_URL, `https://…` as a "
        "Standard Webhook"
    ),
]
AlertSecrets = Annotated[
    tuple[Secret, ...],
    Meta(description="secret of the webhooks to ALERT_URLS, `whsec_…`; of several, each signs"),
]


class AlertChannel(Struct, frozen=True, kw_only=True):
    """One of ALERT_URLS.

    Attributes:
        shown: What people see of it; a path may be a secret and is left out.
        key: A digest of the URL, by which the ledger knows it.
    """

    url: str
    shown: str
    key: str

    @property
    def is_mail(self) -> bool:
        """Is it told by mail?"""
        return self.url.startswith("mailto:")

    # A frozen struct prints its fields, and it may end up in a traceback.
    def __repr__(self) -> str:
        return f"AlertChannel({self.shown})"


class Alerting(Struct, frozen=True, kw_only=True):
    """Where alerts go; *secrets* sign the webhooks."""

    channels: tuple[AlertChannel, ...] = ()
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Alerting({self.channels}, ***)"


class Alerts:
    """What follows from the variables of the alerts, for the settings that hold them."""

    __slots__ = ()

    alert_urls: AlertUrls
    alert_secret: AlertSecrets
    smtp_url: Secret | None

    def alerting(self) -> Alerting:
        """Return where the operator is told.

        Raises:
            BadSetting: A URL or a secret is wrong, or what it needs is not set.
        """
        return read_alerting(self.alert_urls, self.alert_secret, has_relay=self.smtp_url is not None)


def read_alerting(urls: Sequence[Secret], secrets: Sequence[Secret], *, has_relay: bool) -> Alerting:
    """Return what ALERT_URLS and ALERT_SECRET say.

    Raises:
        BadSetting: One of them is wrong, or what it needs is not set. The sentence shows no URL.
    """
    channels = [read_channel("ALERT_URLS", number, url.reveal()) for number, url in enumerate(urls, start=1)]
    if len({each.key for each in channels}) < len(channels):
        raise BadSetting("ALERT_URLS is wrong: it holds a URL twice")
    if len(channels) > MOST_CHANNELS:
        raise BadSetting(f"ALERT_URLS is wrong: it holds more than {MOST_CHANNELS} URLs")
    if any(each.is_mail for each in channels) and not has_relay:
        raise BadSetting("SMTP_URL is not set, but ALERT_URLS holds a mailto: URL: it is sent by that relay")
    if not all(each.is_mail for each in channels) and not secrets:
        raise BadSetting("ALERT_SECRET is not set, but ALERT_URLS holds an https: URL: what is posted there is signed")
    for secret in secrets:
        if (problem := check_token("standard-v1", secret.reveal())) is not None:
            problem = problem.replace("a token of standard-v1", "it").replace("a token", "it")
            raise BadSetting(f"ALERT_SECRET is wrong: {problem}")
    return Alerting(channels=tuple(channels), secrets=tuple(secret.reveal() for secret in secrets))


def read_channel(variable: str, number: int, url: str) -> AlertChannel:
    """Return number *number* of the URLs in *variable*, from 1.

    Raises:
        BadSetting: It cannot be read as one. The sentence does not show it.
    """
    key = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    if url.startswith("mailto:"):
        try:
            return AlertChannel(url=url, shown=f"mailto:{address_of(url)}", key=key)
        except ValueError as error:
            raise BadSetting(f"{variable} is wrong: number {number} {error}") from None
    if not url.startswith(("https://", "http://")):
        raise BadSetting(f"{variable} is wrong: number {number} must begin with mailto: or https://")
    if not (url.isascii() and url.isprintable()) or any(each in url for each in ' "<>\\^`{|}#'):
        raise BadSetting(
            f"{variable} is wrong: number {number} has characters that a URL cannot hold, or a fragment; percent-encode"
        )
    try:
        target = parse_target(url)
    except ValueError as error:
        raise BadSetting(f"{variable} is wrong: number {number}: {error}") from None
    return AlertChannel(url=url, shown=f"{url.partition(':')[0]}://{target.authority}/…", key=key)
