"""ALERT_URLS and ALERT_SECRET: what is wrong is refused by a sentence that shows neither; what is shown hides secrets."""

import pytest

from dispatcher.configuration.alerts import read_alerting
from shared.settings import BadSetting, Secret

SECRET = "whsec_" + "QUJD" * 8


def alerting(urls: str, secrets: str = SECRET, *, has_relay: bool = True):
    return read_alerting(
        [Secret(each) for each in urls.split(",")],
        [Secret(each) for each in secrets.split(",") if each],
        has_relay=has_relay,
    )


def test_a_mail_and_a_webhook_are_shown_without_what_may_be_secret() -> None:
    made = alerting("mailto:ops@example.com,https://user:pass@hooks.example.com/T0/s3cret?key=1")
    assert [each.shown for each in made.channels] == ["mailto:ops@example.com", "https://hooks.example.com/…"]
    assert all(word not in repr(made) for word in ("pass", "s3cret", "key=1", "QUJD"))


@pytest.mark.parametrize(
    ("urls", "secrets", "relay", "words"),
    [
        ("ftp://example.com", SECRET, True, "number 1 must begin with mailto: or https://"),
        ("mailto:ops@example.com,hooks.example.com", SECRET, True, "number 2 must begin with"),
        ("mailto:ops@example.com", "", False, "SMTP_URL is not set, but ALERT_URLS holds a mailto: URL"),
        ("mailto:ops", "", True, "number 1 holds no address"),
        ("mailto:ops@example.com?bcc=x@example.com", "", True, "must not have header fields"),
        ("https://hooks.example.com/x", "", True, "ALERT_SECRET is not set"),
        ("https://hooks.example.com/x", "short", True, "ALERT_SECRET is wrong"),
        ("https://hooks.example.com/x", "whsec_QUJD", True, "ALERT_SECRET is wrong: it"),
        ("https:///s3cret", SECRET, True, "number 1: the URL names no host"),
        ("https://hooks.example.com:99999/s3cret", SECRET, True, "number 1: the URL's port"),
        ("https://hooks.example.com/s3cret#x", SECRET, True, "or a fragment"),
        ("https://hooks.example.com/s3cret\r\nHost: x", SECRET, True, "characters that a URL cannot hold"),
        ("https://hooks.example.com/s3cret,https://hooks.example.com/s3cret", SECRET, True, "holds a URL twice"),
        (",".join(f"mailto:ops{n}@example.com" for n in range(21)), "", True, "more than 20 URLs"),
    ],
)
def test_what_is_wrong_is_refused_in_a_sentence_without_the_url(
    urls: str, secrets: str, relay: bool, words: str
) -> None:
    with pytest.raises(BadSetting, match=words) as caught:
        alerting(urls, secrets, has_relay=relay)
    assert "s3cret" not in str(caught.value)


def test_one_is_known_by_the_same_key_in_every_process_and_by_no_other() -> None:
    one, two = (alerting(url).channels[0] for url in ("https://a.example/x", "https://a.example/y"))
    assert one.shown == two.shown
    assert one.key != two.key
    assert one.key == alerting("https://a.example/x").channels[0].key
