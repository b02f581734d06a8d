"""Settings of the mail with the daily account: to whom it goes, and when."""

from collections.abc import Sequence
from datetime import time
from typing import Annotated, Final

from msgspec import Meta, Struct

from dispatcher.configuration.alerts import MOST_CHANNELS, AlertChannel, read_channel
from shared.settings import BadSetting, Secret

VARIABLE: Final = "ACCOUNT_MAIL"
DEFAULT_AT: Final = "06:00"

AccountMailUrls = Annotated[
    tuple[Secret, ...],
    Meta(description="who gets a mail with yesterday's account each day, `mailto:ops@example.com`; by SMTP_URL"),
]
AccountMailAt = Annotated[str, Meta(description="when that mail is sent: `HH:MM`, UTC")]


class AccountMailing(Struct, frozen=True, kw_only=True):
    """To whom the mail goes, and at which time of day in UTC."""

    channels: tuple[AlertChannel, ...]
    at: time


class AccountMails:
    """What follows from the variables of the mail, for the settings that hold them."""

    __slots__ = ()

    account_mail: AccountMailUrls
    account_mail_at: AccountMailAt
    smtp_url: Secret | None

    def account_mailing(self) -> AccountMailing:
        """Return who gets the daily account, and when.

        Raises:
            BadSetting: An address or the time is wrong, or there is no relay.
        """
        return read_account_mailing(self.account_mail, self.account_mail_at, has_relay=self.smtp_url is not None)


def read_account_mailing(urls: Sequence[Secret], at: str, *, has_relay: bool) -> AccountMailing:
    """Return what ACCOUNT_MAIL and ACCOUNT_MAIL_AT say.

    Raises:
        BadSetting: One of them is wrong, or there is no relay.

    >>> read_account_mailing([Secret("mailto:ops@example.com")], "06:30", has_relay=True).at
    datetime.time(6, 30)
    """
    channels = [read_channel(VARIABLE, number, url.reveal()) for number, url in enumerate(urls, start=1)]
    if not all(each.is_mail for each in channels):
        raise BadSetting(f"{VARIABLE} is wrong: each must be an address like mailto:ops@example.com")
    if len({each.key for each in channels}) < len(channels):
        raise BadSetting(f"{VARIABLE} is wrong: it holds an address twice")
    if len(channels) > MOST_CHANNELS:
        raise BadSetting(f"{VARIABLE} is wrong: it holds more than {MOST_CHANNELS} addresses")
    if channels and not has_relay:
        raise BadSetting(f"SMTP_URL is not set, but {VARIABLE} is: the mail is sent by that relay")
    return AccountMailing(channels=tuple(channels), at=_time(at))


def _time(text: str) -> time:
    hour, colon, minute = text.strip().partition(":")
    is_time = colon and all(each.isascii() and each.isdigit() and len(each) == 2 for each in (hour, minute))  # noqa: PLR2004 - digits
    if is_time:
        try:
            return time(int(hour), int(minute))
        except ValueError:
            pass
    raise BadSetting(f"ACCOUNT_MAIL_AT is wrong: `{text}` is no time of day like {DEFAULT_AT}")
