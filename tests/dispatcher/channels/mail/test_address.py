"""Addresses, `mailto:` URLs, SMTP_URL and MAIL_FROM: what is right is taken, all else refused with a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.channels.mail.address import Mailbox, address_of, parse_mailbox, parse_relay
from dispatcher.ops.endpoints.urls import BadEndpoint, checked_url
from dispatcher.settings import DispatcherSettings
from shared.settings import BadSetting, load, masked

STORES = {
    "AMQP_URL": "amqp://a/v",
    "DATABASE_URL": "postgresql://d/b",
    "MEDIA_URL": "file:///media",
    "SECRETS_KEY": "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=",
}


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mailto:a@example.com", "a@example.com"),
        ("mailto:first.last+tag@mail.example.com", "first.last+tag@mail.example.com"),
        ("mailto:o'brien@example.com", "o'brien@example.com"),
        ("mailto:a%2Bb%25c@example.com", "a+b%c@example.com"),
        ("mailto:a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("mailto:root@localhost", "root@localhost"),
    ],
)
def test_one_plain_address_is_an_endpoint_byte_for_byte(url: str, address: str) -> None:
    assert checked_url("url", url) == url
    assert address_of(url) == address


@pytest.mark.parametrize(
    ("url", "because"),
    [
        ("mailto:", "no @"),
        ("mailto:nobody", "no @"),
        ("mailto:@example.com", "left of the @"),
        ("mailto:a@", "right of the @"),
        ("mailto:a@b@example.com", "left of the @"),
        ("mailto:a@example.com,b@example.com", "one address only"),
        ("mailto:a@example.com%2Cb@example.com", "one address only"),
        ("mailto:a@example.com;b@example.com", "one address only"),
        ("mailto:a@example.com?subject=hello", "header fields"),
        ("mailto:a@example.com?", "header fields"),
        ("mailto:?to=a@example.com", "header fields"),
        ("mailto:a%0D%0ABcc:b@example.com", "left of the @"),
        ("mailto:a@example.com%0D%0ABcc:b@example.com", "left of the @"),
        ("mailto:a@example.com%0A", "right of the @"),
        ("mailto:a%00@example.com", "left of the @"),
        ("mailto:a%20b@example.com", "left of the @"),
        ("mailto:%22a%20b%22@example.com", "left of the @"),
        ("mailto:A%20%3Ca@example.com%3E", "left of the @"),
        ("mailto:j%C3%B6rg@example.com", "left of the @"),
        ("mailto:a@b%C3%BCcher.example", "xn--"),
        ("mailto:a@[127.0.0.1]", "right of the @"),
        ("mailto:a@-example.com", "right of the @"),
        ("mailto:a@example..com", "right of the @"),
        ("mailto:.a@example.com", "left of the @"),
        ("mailto:a%zz@example.com", "two hex digits"),
        ("mailto://a@example.com", "without slashes"),
        ("mailto:a@example.com#top", "fragment"),
        ("mailto:a b@example.com", "printable ASCII"),
        ("mailto:a@example.com\r\nBcc:b@example.com", "printable ASCII"),
        ("mailto:jörg@example.com", "printable ASCII"),
        (f"mailto:{'a' * 65}@example.com", "longer"),
        (f"mailto:a@{'a.' * 126}com", "longer"),
        (f"mailto:{'%61' * 1000}@example.com", "longer"),
        ("MAILTO:a@example.com", "must begin with"),
        ("ftp://example.com/", "must begin with http://, https:// or mailto:"),
        ("HTTP://example.com/", "must begin with"),
    ],
)
def test_all_else_is_refused_with_a_sentence_that_names_the_field(url: str, because: str) -> None:
    with pytest.raises(BadEndpoint, match=r"^failover_url: ") as refused:
        checked_url("failover_url", url)
    assert because in str(refused.value)


@given(st.text(max_size=40))
def test_whatever_is_taken_as_a_mailto_url_holds_one_address_and_nothing_else(text: str) -> None:
    url = f"mailto:{text}"
    try:
        address = address_of(checked_url("url", url))
    except BadEndpoint:
        return
    assert address.count("@") == 1
    assert address.isascii()
    assert address.isprintable()
    assert not set(address) & set(' ,;:<>()[]"\\')


# ---- Settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "port", "use_tls", "starttls"),
    [
        ("smtp://relay.example.com", 25, False, None),
        ("smtp+starttls://relay.example.com", 587, False, True),
        ("smtps://relay.example.com/", 465, True, False),
        ("smtp://relay.example.com:2525", 2525, False, None),
    ],
)
def test_the_scheme_says_how_the_relay_is_spoken_to(url: str, port: int, use_tls: bool, starttls: bool | None) -> None:
    relay = parse_relay(url)
    assert (relay.host, relay.port, relay.use_tls, relay.starttls) == ("relay.example.com", port, use_tls, starttls)
    assert (relay.user, relay.password) == (None, None)


def test_user_and_password_are_percent_decoded() -> None:
    relay = parse_relay("smtp+starttls://me%40example.com:p%2Fw%3A%40%C3%BC@relay.example.com:26")
    assert (relay.user, relay.password, relay.host, relay.port) == ("me@example.com", "p/w:@ü", "relay.example.com", 26)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"SMTP_URL": "smtp://relay"}, "MAIL_FROM is not set"),
        ({"MAIL_FROM": "fax@example.com"}, "SMTP_URL is not set"),
        ({"SMTP_URL": "http://relay", "MAIL_FROM": "fax@example.com"}, "SMTP_URL is wrong: it must begin with smtp://"),
        ({"SMTP_URL": "smtp://", "MAIL_FROM": "fax@example.com"}, "SMTP_URL is wrong: it names no host"),
        ({"SMTP_URL": "smtp://relay:x", "MAIL_FROM": "fax@example.com"}, "SMTP_URL is wrong"),
        ({"SMTP_URL": "smtp://relay:70000", "MAIL_FROM": "fax@example.com"}, "SMTP_URL is wrong"),
        ({"SMTP_URL": "smtp://me@relay", "MAIL_FROM": "fax@example.com"}, "SMTP_URL is wrong: a user needs a password"),
        ({"SMTP_URL": "smtp://me:hunter2/x@relay", "MAIL_FROM": "fax@example.com"}, "SMTP_URL is wrong"),
        ({"SMTP_URL": "smtp://me:hunter2?x@relay", "MAIL_FROM": "fax@example.com"}, "SMTP_URL is wrong"),
        ({"SMTP_URL": "smtp://me:hunter 2@relay", "MAIL_FROM": "fax@example.com"}, "SMTP_URL is wrong"),
        ({"SMTP_URL": "smtp://relay", "MAIL_FROM": "fax"}, "MAIL_FROM is wrong: holds no address"),
        ({"SMTP_URL": "smtp://relay", "MAIL_FROM": "a@x.example, b@x.example"}, "MAIL_FROM is wrong: one address"),
        ({"SMTP_URL": "smtp://relay", "MAIL_FROM": "Fa\nx <a@x.example>"}, "MAIL_FROM is wrong: the name"),
        ({"SMTP_URL": "smtp://relay", "MAIL_FROM": "Fa\u2028x <a@x.example>"}, "MAIL_FROM is wrong: the name"),
        ({"SMTP_URL": "smtp://relay", "MAIL_FROM": "Fa\u202ex <a@x.example>"}, "MAIL_FROM is wrong: the name"),
        ({"SMTP_URL": "smtp://relay", "MAIL_FROM": "<a@x.example> <b@x.example>"}, "MAIL_FROM is wrong: the name"),
    ],
)
def test_a_setting_that_is_wrong_or_alone_is_named_and_no_password_shown(variables: dict[str, str], says: str) -> None:
    with pytest.raises(BadSetting) as refused:
        load(DispatcherSettings, {**STORES, **variables})
    assert says in str(refused.value)
    assert "hunter" not in str(refused.value)


def test_both_or_neither_are_right_and_the_password_is_masked() -> None:
    assert load(DispatcherSettings, STORES).mail() is None
    settings = load(DispatcherSettings, {**STORES, "SMTP_URL": "smtps://me:hunter2@relay", "MAIL_FROM": "a@x.example"})
    relay, mail_from = settings.mail() or (None, None)
    assert relay is not None
    assert (relay.password, mail_from) == ("hunter2", Mailbox("a@x.example"))
    assert masked(settings)["SMTP_URL"] == "***"


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("fax@example.com", Mailbox("fax@example.com")),
        ("<fax@example.com>", Mailbox("fax@example.com")),
        ("Our Faxes <fax@example.com>", Mailbox("fax@example.com", "Our Faxes")),
        ('"Büro, Fax" <fax@example.com>', Mailbox("fax@example.com", "Büro, Fax")),
        ("病院\u3000受信 <fax@example.com>", Mailbox("fax@example.com", "病院\u3000受信")),
        ("👨\u200d👩\u200d👧 <fax@example.com>", Mailbox("fax@example.com", "👨\u200d👩\u200d👧")),
        ("Clinique\u00a0: fax <fax@example.com>", Mailbox("fax@example.com", "Clinique\u00a0: fax")),
    ],
)
def test_mail_from_may_bear_a_name(text: str, mailbox: Mailbox) -> None:
    assert parse_mailbox(text) == mailbox
