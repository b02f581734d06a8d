"""The variables of the providers' lists: half a key, a wrong base or duration stops the start with its name."""

import pytest

from dispatcher.settings import DispatcherSettings
from shared.domain import Direction, Provider
from shared.settings import BadSetting, load

NEEDED = {"AMQP_URL": "amqp://h/", "DATABASE_URL": "postgresql://h/d", "MEDIA_URL": "file:///tmp/x"}
NEEDED["SECRETS_KEY"] = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="


def test_without_keys_no_list_is_read_and_the_defaults_are_those_of_the_documentation() -> None:
    found = load(DispatcherSettings, NEEDED).reconciliation()
    assert (found.every_seconds, found.window_seconds, found.grace_seconds, found.accesses) == (900, 172_800, 600, ())


def test_a_key_gives_access_to_its_provider_alone_and_is_not_shown() -> None:
    (access,) = load(DispatcherSettings, NEEDED | {"TELNYX_API_KEY": "k-9d2"}).reconciliation().accesses
    assert (access.provider, access.url) == ("telnyx", "https://api.telnyx.com/v2")
    assert "k-9d2" not in repr(access)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"PHAXIO_API_KEY": "k"}, "PHAXIO_API_KEY and PHAXIO_API_KEY_SECRET belong together"),
        ({"PHAXIO_API_KEY_SECRET": "k"}, "PHAXIO_API_KEY and PHAXIO_API_KEY_SECRET belong together"),
        ({"SINCH_PROJECT_ID": "p", "SINCH_KEY_ID": "k"}, "SINCH_KEY_SECRET belong together"),
        ({"TELNYX_API_KEY": "k\u00e9y"}, "TELNYX_API_KEY is wrong"),
        ({"TELNYX_API_KEY": "a\nb"}, "TELNYX_API_KEY is wrong"),
        ({"TELNYX_API_URL": "ftp://x/v2"}, "TELNYX_API_URL is wrong"),
        ({"PHAXIO_API_URL": "https://u:p@x/v2.1"}, "PHAXIO_API_URL is wrong"),
        ({"SINCH_API_URL": "https://x/v3?a=b"}, "SINCH_API_URL is wrong"),
        ({"RECONCILE_EVERY": "0s"}, "RECONCILE_EVERY is wrong"),
        ({"RECONCILE_EVERY": "soon"}, "RECONCILE_EVERY is wrong: `soon` is not a duration"),
        ({"RECONCILE_EVERY": "1m,2m"}, "RECONCILE_EVERY is wrong: `1m,2m` is more than one duration"),
        ({"RECONCILE_WINDOW": "99999h"}, "RECONCILE_WINDOW is wrong"),
        ({"RECONCILE_GRACE": "-1s"}, "RECONCILE_GRACE is wrong"),
        ({"STALLED_AFTER": "6"}, "STALLED_AFTER is wrong: `6` is not a duration"),
        ({"STALLED_AFTER": "0s"}, "STALLED_AFTER is wrong"),
        ({"STALLED_AFTER": "721h"}, "STALLED_AFTER is wrong: `721h` is outside 1 ms to 30 days"),
        ({"STALLED_AFTER": "6h*2"}, "STALLED_AFTER is wrong: `6h\\*2` is more than one duration"),
        ({"STALLED_AFTER": "6h, 7h"}, "STALLED_AFTER is wrong: `7h` is a second duration for the same faxes"),
        ({"STALLED_AFTER": "telnyx=2h, telnyx=3h"}, "`telnyx=3h` is a second duration"),
        ({"STALLED_AFTER": "6h, faxio=2h"}, "STALLED_AFTER is wrong: `faxio=2h` is for none of phaxio, telnyx"),
        ({"STALLED_AFTER": "=2h"}, "STALLED_AFTER is wrong: `=2h` is for none of"),
        ({"STALLED_AFTER": "telnyx="}, "STALLED_AFTER is wrong: `` is not a duration"),
        ({"STALLED_AFTER": "6h,"}, "STALLED_AFTER is wrong: `` is"),
    ],
)
def test_what_is_wrong_is_named(changed: dict[str, str], named: str) -> None:
    with pytest.raises(BadSetting, match=named):
        load(DispatcherSettings, NEEDED | changed)


@pytest.mark.parametrize(("text", "seconds"), [("2s", 2), ("15m", 900), ("48h", 172_800), ("0.5h", 1_800)])
def test_durations_are_those_of_the_table_of_waits(text: str, seconds: float) -> None:
    found = load(DispatcherSettings, NEEDED | {"RECONCILE_EVERY": text, "RECONCILE_GRACE": "0s"}).reconciliation()
    assert (found.every_seconds, found.grace_seconds) == (seconds, 0)


@pytest.mark.parametrize(
    ("text", "sent", "telnyx", "received"),
    [
        (None, 21_600, 21_600, 3_600),
        ("2s", 2, 2, 3_600),
        ("6h, telnyx=2h", 21_600, 7_200, 3_600),
        (" telnyx = 90m ", 21_600, 5_400, 3_600),
        ("received=30m,4h", 14_400, 14_400, 1_800),
    ],
)
def test_a_fax_stalls_after_six_hours_a_received_one_after_one_or_as_it_is_set(
    text: str | None, sent: float, telnyx: float, received: float
) -> None:
    limits = load(DispatcherSettings, NEEDED | ({} if text is None else {"STALLED_AFTER": text})).stalled_limits()
    assert {limits[each, Direction.SENT] for each in Provider if each is not Provider.TELNYX} == {sent}
    assert limits[Provider.TELNYX, Direction.SENT] == telnyx
    assert {limits[each, Direction.RECEIVED] for each in Provider} == {received}
