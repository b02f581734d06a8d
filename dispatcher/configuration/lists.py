"""Settings of the providers' lists: keys, addresses, and how often and how far back they are read."""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct

from shared.backoff import parse_backoff
from shared.domain import Direction, Provider
from shared.settings import BadSetting, Secret, check_url

MOST_WINDOW_SECONDS: Final = 30 * 86_400.0
SHORTEST_EVERY_SECONDS: Final = 1.0
SENT_SECONDS: Final = 6 * 3600.0
RECEIVED_SECONDS: Final = 3600.0
_RECEIVED: Final = "received"

TelnyxKey = Annotated[Secret | None, Meta(description="API key of Telnyx: faxes that no callback told are found")]
PhaxioKey = Annotated[Secret | None, Meta(description="API key of Phaxio, with PHAXIO_API_KEY_SECRET: the same")]
PhaxioKeySecret = Annotated[Secret | None, Meta(description="secret of PHAXIO_API_KEY")]
SinchProject = Annotated[
    str | None, Meta(description="project of Sinch, with SINCH_KEY_ID and SINCH_KEY_SECRET: the same")
]
SinchKeyId = Annotated[Secret | None, Meta(description="id of the access key of SINCH_PROJECT_ID")]
SinchKeySecret = Annotated[Secret | None, Meta(description="secret of the access key")]
TelnyxUrl = Annotated[str, Meta(description="base of Telnyx's API")]
PhaxioUrl = Annotated[str, Meta(description="base of Phaxio's API")]
SinchUrl = Annotated[str, Meta(description="base of Sinch's fax API")]
ReconcileEvery = Annotated[str, Meta(description="how often the providers' lists are read; a number with s, m or h")]
ReconcileWindow = Annotated[
    str, Meta(description="how far back they are read, at most 720h: as long as a fax may live, redials included")
]
ReconcileGrace = Annotated[
    str, Meta(description="how long after a fax ended its callback is waited for before the list tells it")
]
StalledAfter = Annotated[
    str,
    Meta(
        description="after how long without an ending a sent fax counts as stalled, at most 720h; `telnyx=2h` behind a "
        "comma for one provider, `received=30m` for received faxes, which have 1h otherwise"
    ),
]

TELNYX_URL: Final = "https://api.telnyx.com/v2"
PHAXIO_URL: Final = "https://api.phaxio.com/v2.1"
SINCH_URL: Final = "https://fax.api.sinch.com/v3"


class Access(Struct, frozen=True, kw_only=True):
    """The way to one provider's list. *account* is Sinch's project; *user* is empty where the key is one text."""

    provider: Provider
    url: str
    user: str = ""
    secret: str
    account: str = ""

    # A frozen struct prints its fields, and it may end up in a traceback.
    def __repr__(self) -> str:
        return f"Access({self.provider}, ***)"


class Reconciliation(Struct, frozen=True, kw_only=True):
    """How the lists are read, and which. Seconds."""

    every_seconds: float
    window_seconds: float
    grace_seconds: float
    accesses: tuple[Access, ...]


class Lists:
    """What follows from the variables of the lists, for the settings that hold them."""

    __slots__ = ()

    telnyx_api_key: TelnyxKey
    phaxio_api_key: PhaxioKey
    phaxio_api_key_secret: PhaxioKeySecret
    sinch_project_id: SinchProject
    sinch_key_id: SinchKeyId
    sinch_key_secret: SinchKeySecret
    telnyx_api_url: TelnyxUrl
    phaxio_api_url: PhaxioUrl
    sinch_api_url: SinchUrl
    reconcile_every: ReconcileEvery
    reconcile_window: ReconcileWindow
    reconcile_grace: ReconcileGrace
    stalled_after: StalledAfter

    def reconciliation(self) -> Reconciliation:
        """Return what the variables say; a provider without its key has no access.

        Raises:
            BadSetting: A duration, an address or half a key is wrong.
        """
        accesses = (_telnyx(self), _phaxio(self), _sinch(self))
        return Reconciliation(
            every_seconds=_seconds("RECONCILE_EVERY", self.reconcile_every, SHORTEST_EVERY_SECONDS),
            window_seconds=_seconds("RECONCILE_WINDOW", self.reconcile_window, SHORTEST_EVERY_SECONDS),
            grace_seconds=_seconds("RECONCILE_GRACE", self.reconcile_grace, 0.0),
            accesses=tuple(each for each in accesses if each is not None),
        )

    def stalled_limits(self) -> Mapping[tuple[Provider, Direction], float]:
        """Return after how many seconds without an ending a fax counts as stalled.

        Raises:
            BadSetting: A duration is wrong, or is for what does not exist.
        """
        return parse_stalled_after(self.stalled_after)


def parse_stalled_after(text: str) -> Mapping[tuple[Provider, Direction], float]:
    """Return the limits in seconds that `STALLED_AFTER` names, all others by default.

    Raises:
        BadSetting: A sentence that says what is wrong.

    >>> limits = parse_stalled_after("4h, telnyx=90m")
    >>> [limits[provider, Direction.SENT] for provider in (Provider.PHAXIO, Provider.TELNYX)]
    [14400.0, 5400.0]
    >>> limits[Provider.TELNYX, Direction.RECEIVED]
    3600.0
    """
    given: dict[str, float] = {}
    for item in text.split(","):
        name, _, duration = (part.strip() for part in item.rpartition("="))
        if name not in {"", _RECEIVED, *Provider} or (not name and "=" in item):
            known = ", ".join([*Provider, _RECEIVED])
            raise BadSetting(f"STALLED_AFTER is wrong: `{item.strip()}` is for none of {known}")
        if name in given:
            raise BadSetting(f"STALLED_AFTER is wrong: `{item.strip()}` is a second duration for the same faxes")
        given[name] = _seconds("STALLED_AFTER", duration, SHORTEST_EVERY_SECONDS)
    sent_seconds, received_seconds = given.get("", SENT_SECONDS), given.get(_RECEIVED, RECEIVED_SECONDS)
    return {
        (provider, direction): given.get(provider, sent_seconds) if direction is Direction.SENT else received_seconds
        for provider in Provider
        for direction in Direction
    }


def _telnyx(settings: Lists) -> Access | None:
    url = _base("TELNYX_API_URL", settings.telnyx_api_url)
    key = settings.telnyx_api_key
    return None if key is None else Access(provider=Provider.TELNYX, url=url, secret=_header("TELNYX_API_KEY", key))


def _phaxio(settings: Lists) -> Access | None:
    url = _base("PHAXIO_API_URL", settings.phaxio_api_url)
    key, secret = settings.phaxio_api_key, settings.phaxio_api_key_secret
    if key is None and secret is None:
        return None
    if key is None or secret is None:
        raise BadSetting("PHAXIO_API_KEY and PHAXIO_API_KEY_SECRET belong together: set both, or neither")
    return Access(provider=Provider.PHAXIO, url=url, user=key.reveal(), secret=secret.reveal())


def _sinch(settings: Lists) -> Access | None:
    url = _base("SINCH_API_URL", settings.sinch_api_url)
    project, key_id, secret = settings.sinch_project_id, settings.sinch_key_id, settings.sinch_key_secret
    if project is None and key_id is None and secret is None:
        return None
    if project is None or key_id is None or secret is None:
        raise BadSetting("SINCH_PROJECT_ID, SINCH_KEY_ID and SINCH_KEY_SECRET belong together: set all, or none")
    return Access(provider=Provider.SINCH, url=url, user=key_id.reveal(), secret=secret.reveal(), account=project)


def _base(variable: str, url: str) -> str:
    parts = check_url(variable, url, ("http", "https"))
    if not parts.host or parts.user is not None or parts.has_more:
        raise BadSetting(f"{variable} is wrong: it must be scheme, host and path, like `https://api.example.com/v2`")
    return url.rstrip("/")


def _header(variable: str, key: Secret) -> str:
    if not (key.reveal().isascii() and key.reveal().isprintable()):
        raise BadSetting(f"{variable} is wrong: it holds characters that a header cannot carry")
    return key.reveal()


def _seconds(variable: str, text: str, least: float) -> float:
    """Return one duration, by the grammar of `BACKOFF`; `0s` where *least* is 0."""
    if least == 0.0 and text.strip() in {"0", "0s", "0m", "0h"}:
        return 0.0
    if "," in text or "*" in text:
        raise BadSetting(f"{variable} is wrong: `{text}` is more than one duration")
    try:
        (seconds,) = parse_backoff(text)
    except ValueError as error:
        raise BadSetting(f"{variable} is wrong: {error}".replace("is not a wait", "is not a duration")) from None
    if not least <= seconds <= MOST_WINDOW_SECONDS:
        raise BadSetting(f"{variable} is wrong: `{text}` is outside {least:.0f}s to {MOST_WINDOW_SECONDS / 3600:.0f}h")
    return seconds
