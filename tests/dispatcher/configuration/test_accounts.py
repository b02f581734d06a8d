"""ACCOUNT_MAIL and ACCOUNT_MAIL_AT: what is wrong is refused by a sentence, before the dispatcher starts."""

from datetime import time

import pytest

from dispatcher.configuration.accounts import read_account_mailing
from shared.settings import BadSetting, Secret


def mailing(urls: str, at: str = "06:00", *, has_relay: bool = True):
    return read_account_mailing([Secret(each) for each in urls.split(",") if each], at, has_relay=has_relay)


def test_addresses_and_time_are_read_and_no_one_is_mailed_by_default() -> None:
    made = mailing("mailto:ops@example.com,mailto:desk@example.com", " 23:59 ")
    assert [each.shown for each in made.channels] == ["mailto:ops@example.com", "mailto:desk@example.com"]
    assert made.at == time(23, 59)
    assert mailing("", has_relay=False).channels == ()


@pytest.mark.parametrize(
    ("urls", "at", "relay", "words"),
    [
        ("https://hooks.example.com/s3cret", "06:00", True, "ACCOUNT_MAIL is wrong: each must be an address"),
        ("ops@example.com", "06:00", True, "ACCOUNT_MAIL is wrong: number 1 must begin with mailto:"),
        ("mailto:ops", "06:00", True, "ACCOUNT_MAIL is wrong: number 1 holds no address"),
        ("mailto:ops@example.com,mailto:ops@example.com", "06:00", True, "holds an address twice"),
        ("mailto:ops@example.com", "06:00", False, "SMTP_URL is not set, but ACCOUNT_MAIL is"),
        (",".join(f"mailto:ops{n}@example.com" for n in range(21)), "06:00", True, "more than 20 addresses"),
        *(
            ("", at, True, "ACCOUNT_MAIL_AT is wrong: `")
            for at in ("", "6", "6:00", "24:00", "06:60", "06:00:00", "-1:00", "06.00", "\uff106:00", "07:00 CET")
        ),
    ],
)
def test_what_is_wrong_is_refused_in_a_sentence(urls: str, at: str, relay: bool, words: str) -> None:
    with pytest.raises(BadSetting, match=words) as caught:
        mailing(urls, at, has_relay=relay)
    assert "s3cret" not in str(caught.value)
