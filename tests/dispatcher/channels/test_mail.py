"""The mail channel against real relays: what they answer decides what is told, counted, or tried again uncounted."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
import uvloop
from dispatchers import RECEIVED_AT, an_event
from mailserver import Authority, Relay, hang_up, login_of, make_authority, relaying, talking
from waiting import until

from dispatcher.channels import Attempt, mail_relay
from dispatcher.channels.mail import MailChannel, NoMailChannel
from dispatcher.channels.mail_address import Mailbox, parse_relay
from dispatcher.outcome import NotTold, NotTried, Told
from shared.domain import EventType, Failure, Media

DELIVERY_ID = UUID("01999d3c-8a40-7c11-9d0e-0f4b7f6a9e51")
URL = "mailto:faxes%2Bin@example.com"


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


def attempt(**fields: Any) -> Attempt:
    fixed = {
        "event": an_event(1),
        "document": None,
        "url": URL,
        "format": "phaxio-v2.1",
        "tokens": (),
        "timeout_seconds": 5.0,
        "delivery_id": DELIVERY_ID,
        "command_id": "00000000-0000-5000-8000-000000000000",
        "number": 1,
        "now": RECEIVED_AT,
    }
    return Attempt(**{**fixed, **fields})


@asynccontextmanager
async def mailing(url: str, tls_context: Any = None) -> AsyncIterator[MailChannel]:
    channel = MailChannel(parse_relay(url), Mailbox("fax@example.net", "Faxes"), tls_context)
    try:
        yield channel
    finally:
        await channel.close()


@asynccontextmanager
async def both(**options: Any) -> AsyncIterator[tuple[Relay, MailChannel]]:
    async with relaying(**options) as relay, mailing(f"smtp://127.0.0.1:{relay.port}") as channel:
        yield relay, channel


async def test_a_mail_that_the_relay_took_is_told_with_the_relays_answer() -> None:
    async with both() as (relay, channel):
        outcome = await channel.attempt(attempt())
    assert outcome == Told(url=URL, answer=b"250 2.0.0 fine")
    (mail,) = relay.mails
    assert (mail.sender, mail.recipients) == ("fax@example.net", ["faxes+in@example.com"])
    assert mail.message["To"] == "faxes+in@example.com"
    assert mail.message["From"] == "Faxes <fax@example.net>"


# ---- Connections ----------------------------------------------------------------------------------------------------


async def test_mails_after_each_other_share_a_connection_and_leave_is_taken_at_the_end() -> None:
    async with both() as (relay, channel):
        for _ in range(3):
            assert isinstance(await channel.attempt(attempt()), Told)
        assert (relay.connections, len(relay.mails)) == (1, 3)
        await channel.close()
        assert relay.commands[-1] == "QUIT"


async def test_mails_at_once_have_a_connection_each_up_to_the_limit() -> None:
    async with both() as (relay, channel):
        outcomes = await asyncio.gather(*(channel.attempt(attempt()) for _ in range(30)))
        assert {type(outcome) for outcome in outcomes} == {Told}
        assert 1 < relay.connections <= mail_relay.MOST_CONNECTIONS


async def test_a_connection_that_the_relay_closed_meanwhile_is_made_anew_within_the_attempt() -> None:
    async with both() as (relay, channel):
        await channel.attempt(attempt())
        for transport in list(relay.open):
            transport.abort()
        assert isinstance(await channel.attempt(attempt()), Told)
        assert relay.connections == 2


@pytest.mark.parametrize("answer", ["421 4.7.0 enough of you", "500 what?"])
async def test_a_kept_connection_that_refuses_rset_is_made_anew_within_the_attempt(answer: str) -> None:
    async with both() as (relay, channel):
        await channel.attempt(attempt())
        relay.on_rset = lambda _relay, _server: answer
        assert isinstance(await channel.attempt(attempt()), Told)
        assert relay.connections == 2


async def test_a_kept_connection_that_refuses_one_mail_too_many_is_made_anew_within_the_attempt() -> None:
    async with both() as (relay, channel):
        relay.on_mail = lambda here, _server: (
            "452 4.5.3 too many mails" if len(here.mails) == here.connections else "250 fine"
        )
        for _ in range(3):
            assert isinstance(await channel.attempt(attempt()), Told)
        assert (relay.connections, len(relay.mails)) == (3, 3)


async def test_a_kept_connection_that_no_longer_answers_is_made_anew_within_the_attempt(monkeypatch) -> None:
    monkeypatch.setattr(mail_relay, "PROBE_SECONDS", 0.05)
    async with both() as (relay, channel):
        await channel.attempt(attempt())
        relay.on_rset = _silence
        assert isinstance(await channel.attempt(attempt()), Told)
        assert relay.connections == 2


async def test_a_connection_without_work_is_given_back(monkeypatch) -> None:
    monkeypatch.setattr(mail_relay, "KEPT_SECONDS", 0.02)
    async with both() as (relay, channel):
        await channel.attempt(attempt())
        await until(lambda: "QUIT" in relay.commands and not relay.open, "given back")
        assert isinstance(await channel.attempt(attempt()), Told)
        assert relay.connections == 2


# ---- The mail is refused: counted -----------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["450 4.2.1 greylisted", "550 5.1.1 unknown user", "551 elsewhere", "452 full"])
@pytest.mark.parametrize("stage", ["on_rcpt", "on_data"])
async def test_a_refused_recipient_or_content_is_counted_with_its_code_and_the_next_mail_is_not_hurt(
    stage: str, answer: str
) -> None:
    async with both() as (relay, channel):
        setattr(relay, stage, lambda _relay, _server: answer)
        assert await channel.attempt(attempt()) == NotTold(error=f"smtp_{answer[:3]}", url=URL, answer=answer.encode())
        setattr(relay, stage, None)
        assert isinstance(await channel.attempt(attempt()), Told)
        assert relay.connections == 1


@pytest.mark.parametrize("stage", ["on_rcpt", "on_data"])
async def test_a_relay_that_falls_silent_over_a_mail_is_a_timeout(stage: str) -> None:
    async with both() as (relay, channel):
        setattr(relay, stage, _silence)
        outcome = await channel.attempt(attempt(timeout_seconds=0.2))
        assert outcome == NotTold(error="timeout", url=URL)
        setattr(relay, stage, None)
        assert isinstance(await channel.attempt(attempt()), Told)


@pytest.mark.parametrize("stage", ["on_rcpt", "on_data"])
async def test_a_relay_that_hangs_up_over_a_mail_is_counted_because_it_may_have_it(stage: str) -> None:
    async with both() as (relay, channel):
        setattr(relay, stage, hang_up)
        assert await channel.attempt(attempt()) == NotTold(error="reset", url=URL)
        setattr(relay, stage, None)
        assert isinstance(await channel.attempt(attempt()), Told)


async def test_an_address_that_is_none_is_the_endpoints_fault() -> None:
    async with both() as (relay, channel):
        assert await channel.attempt(attempt(url="mailto:a@b.example,c@d.example")) == NotTold(
            error="bad_address", url="mailto:a@b.example,c@d.example"
        )
        assert relay.connections == 0


async def test_a_relay_that_refuses_before_it_has_heard_all_is_counted_with_its_code() -> None:
    event = an_event(1, EventType.RECEIVED, media=Media(key="k", bytes=8_000_000, content_type="application/pdf"))
    answers = ("220 hello", "250 relay", "250 ok", "250 ok", "354 go on", "552 5.3.4 that is enough")
    async with talking(*answers) as port, mailing(f"smtp://127.0.0.1:{port}") as channel:
        outcome = await channel.attempt(attempt(event=event, document=bytes(8_000_000)))
    assert outcome == NotTold(error="smtp_552", url=URL, answer=b"552 5.3.4 that is enough")


async def test_a_line_that_begins_with_a_dot_does_not_end_the_mail() -> None:
    event = an_event(1, EventType.FAILED, failure=Failure(message="." * 200), from_number="." * 80)
    async with both() as (relay, channel):
        assert isinstance(await channel.attempt(attempt(event=event)), Told)
    (mail,) = relay.mails
    assert b"\r\n." in mail.content  # else nothing was tried
    bodies = [mail.message.get_body((kind,)).get_content() for kind in ("plain", "html")]
    assert [body.count("." * 200) for body in bodies] == [1, 1]
    assert bodies[1].rstrip().endswith("</html>")


# ---- Told stays told ------------------------------------------------------------------------------------------------


async def test_what_comes_after_the_250_changes_nothing() -> None:
    async with both() as (relay, channel):

        async def take_and_die(_relay: Relay, server: Any) -> str:
            await server.push("250 2.0.0 queued as 1A2B")
            server.transport.abort()
            return "451 never heard"

        relay.on_data = take_and_die
        assert await channel.attempt(attempt()) == Told(url=URL, answer=b"250 2.0.0 queued as 1A2B")
        relay.on_data = None
        assert isinstance(await channel.attempt(attempt()), Told)


async def test_a_250_in_the_moment_of_the_timeout_is_told_or_was_not_sent() -> None:
    async with both() as (relay, channel):
        sent = []

        async def on_the_edge(_relay: Relay, server: Any) -> str:
            await asyncio.sleep(0.1)  # the moment itself is what is tested
            await server.push("250 2.0.0 just so")
            sent.append(1)
            await asyncio.Event().wait()
            return ""

        relay.on_data = on_the_edge
        for delay in range(20):
            before = len(sent)
            outcome = await channel.attempt(attempt(timeout_seconds=0.095 + delay / 2_000))
            assert isinstance(outcome, Told) or outcome == NotTold(error="timeout", url=URL)
            assert isinstance(outcome, NotTold) or len(sent) > before


# ---- Our own trouble: not counted -----------------------------------------------------------------------------------


async def test_a_relay_that_is_away_is_not_tried_and_told_when_it_is_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with mailing(f"smtp://127.0.0.1:{port}") as channel:
        assert await channel.attempt(attempt()) == NotTried(error="smtp_unreachable")
        async with relaying(port=port):
            assert isinstance(await channel.attempt(attempt()), Told)


async def test_a_relay_whose_name_nobody_knows_is_not_tried() -> None:
    async with mailing("smtp://relay.invalid") as channel:
        assert await channel.attempt(attempt(timeout_seconds=20.0)) == NotTried(error="smtp_unreachable")


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        (("421 4.3.2 closing",), "smtp_421"),
        (("554 5.3.2 no service here",), "smtp_554"),
        (("220 hello", "421 not now"), "smtp_421"),
        (("220 hello", "250 relay", "421 not now"), "smtp_421"),
        (("220 hello", "250 relay", "550 5.7.1 not from you"), "smtp_550"),
        (("220 hello", "250 relay", "530 5.7.0 log in first"), "smtp_530"),
        (("220 hello", "250 relay", "250 ok", "421 not now"), "smtp_421"),
        (("220 hello", "250 relay", "250 ok", "250 ok", "421 not now"), "smtp_421"),
        (("220 hello", "250 relay"), "smtp_disconnected"),
        (("220 hello",), "smtp_unreachable"),
        (("I speak no SMTP",), "smtp_-1"),
    ],
)
async def test_a_relay_that_does_not_want_us_is_not_tried(answers: tuple[str, ...], code: str) -> None:
    async with talking(*answers) as port, mailing(f"smtp://127.0.0.1:{port}") as channel:
        assert await channel.attempt(attempt()) == NotTried(error=code)


async def test_a_relay_that_says_nothing_at_all_is_not_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with mailing(f"smtp://127.0.0.1:{silent.getsockname()[1]}") as channel:
            outcome = await channel.attempt(attempt(timeout_seconds=0.2))
    assert outcome == NotTried(error="smtp_connect_timeout")


async def test_a_relay_that_falls_silent_before_it_knows_the_recipient_is_not_tried() -> None:
    async with both() as (relay, channel):
        relay.on_mail = _silence
        assert await channel.attempt(attempt(timeout_seconds=0.2)) == NotTried(error="smtp_timeout")


async def test_mails_that_wait_in_vain_for_a_connection_are_not_tried() -> None:
    async with both() as (relay, channel):
        relay.on_data = _silence
        full = [
            asyncio.create_task(channel.attempt(attempt(timeout_seconds=0.6)))
            for _ in range(mail_relay.MOST_CONNECTIONS)
        ]
        await until(lambda: relay.commands.count("RCPT") == len(full), "all connections in use")
        assert await channel.attempt(attempt(timeout_seconds=0.05)) == NotTried(error="smtp_busy")
        assert {outcome.error for outcome in await asyncio.gather(*full)} == {"timeout"}
        relay.on_data = None
        assert isinstance(await channel.attempt(attempt()), Told)


async def test_without_a_relay_nothing_is_tried() -> None:
    channel = NoMailChannel()
    assert await channel.attempt(attempt()) == NotTried(error="smtp_not_configured")
    assert not channel.wants_document(an_event(1, EventType.RECEIVED), "phaxio-v2.1")


# ---- TLS and login --------------------------------------------------------------------------------------------------


async def test_starttls_is_used_where_it_is_offered(authority: Authority) -> None:
    async with (
        relaying(tls_context=authority.server) as relay,
        mailing(f"smtp://127.0.0.1:{relay.port}", authority.client) as channel,
    ):
        assert isinstance(await channel.attempt(attempt()), Told)
        assert isinstance(await channel.attempt(attempt()), Told)
    assert [mail.is_encrypted for mail in relay.mails] == [True, True]
    assert relay.connections == 1


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_tls_that_is_asked_for_and_not_to_be_had_is_not_tried_and_nothing_goes_out_in_clear(
    scheme: str, authority: Authority
) -> None:
    async with relaying() as relay, mailing(f"{scheme}://127.0.0.1:{relay.port}", authority.client) as channel:
        assert await channel.attempt(attempt(timeout_seconds=2.0)) == NotTried(error="smtp_tls")
    assert "MAIL" not in relay.commands


async def test_starttls_that_is_asked_for_is_used(authority: Authority) -> None:
    async with (
        relaying(tls_context=authority.server, require_starttls=True) as relay,
        mailing(f"smtp+starttls://127.0.0.1:{relay.port}", authority.client) as channel,
    ):
        assert isinstance(await channel.attempt(attempt()), Told)
    assert relay.mails[0].is_encrypted


async def test_smtps_is_encrypted_from_the_first_byte(authority: Authority) -> None:
    async with (
        relaying(implicit_tls=authority.server) as relay,
        mailing(f"smtps://127.0.0.1:{relay.port}", authority.client) as channel,
    ):
        assert isinstance(await channel.attempt(attempt()), Told)


@pytest.mark.parametrize(
    ("scheme", "options"), [("smtp", "tls_context"), ("smtp+starttls", "tls_context"), ("smtps", "implicit_tls")]
)
async def test_a_certificate_of_nobody_we_know_is_not_tried(scheme: str, options: str, authority: Authority) -> None:
    async with (
        relaying(**{options: authority.server}) as relay,
        mailing(f"{scheme}://127.0.0.1:{relay.port}") as channel,
    ):
        assert await channel.attempt(attempt()) == NotTried(error="smtp_tls")
    assert "MAIL" not in relay.commands


async def test_a_certificate_of_another_host_is_not_tried(authority: Authority) -> None:
    async with (
        relaying(implicit_tls=authority.server) as relay,
        mailing(f"smtps://localhost:{relay.port}", authority.client) as channel,
    ):
        assert await channel.attempt(attempt()) == NotTried(error="smtp_tls")


async def test_an_authority_of_ones_own_is_named_by_ssl_cert_file(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    async with (
        relaying(implicit_tls=authority.server) as relay,
        mailing(f"smtps://127.0.0.1:{relay.port}") as channel,
    ):
        assert isinstance(await channel.attempt(attempt()), Told)


@pytest.mark.parametrize(("password", "told"), [("s%3Acret%40%C3%BC", True), ("wrong", False)])
async def test_a_right_login_is_told_and_a_wrong_one_not_tried(password: str, told: bool, authority: Authority) -> None:
    options = login_of("me@example.com", "s:cret@ü")
    async with (
        relaying(tls_context=authority.server, require_starttls=True, **options) as relay,
        mailing(f"smtp+starttls://me%40example.com:{password}@127.0.0.1:{relay.port}", authority.client) as channel,
    ):
        outcome = await channel.attempt(attempt())
    assert isinstance(outcome, Told) if told else outcome == NotTried(error="smtp_login")
    assert [mail.user for mail in relay.mails] == ([b"me@example.com"] if told else [])


async def test_a_login_that_the_relay_does_not_offer_is_not_tried() -> None:
    async with relaying() as relay, mailing(f"smtp://me:secret@127.0.0.1:{relay.port}") as channel:
        assert await channel.attempt(attempt()) == NotTried(error="smtp_login")


async def test_a_relay_that_asks_for_a_login_we_do_not_have_is_not_tried(authority: Authority) -> None:
    options = login_of("me", "secret")
    async with (
        relaying(tls_context=authority.server, **options) as relay,
        mailing(f"smtp://127.0.0.1:{relay.port}", authority.client) as channel,
    ):
        assert await channel.attempt(attempt()) == NotTried(error="smtp_530")


# ---- Documents ------------------------------------------------------------------------------------------------------


async def test_a_document_that_the_relay_would_not_take_is_left_out_and_the_mail_says_so() -> None:
    event = an_event(1, EventType.RECEIVED, media=Media(key="k", bytes=400_000, content_type="application/pdf"))
    async with both(data_size_limit=300_000) as (relay, channel):
        assert isinstance(await channel.attempt(attempt(event=event, document=bytes(400_000))), Told)
        assert isinstance(await channel.attempt(attempt(event=event, document=bytes(100_000))), Told)
    without, with_document = (mail.message for mail in relay.mails)
    assert list(without.iter_attachments()) == []
    assert "too large for a mail" in _text(without)
    assert [part.get_content() for part in with_document.iter_attachments()] == [bytes(100_000)]


async def test_a_mail_of_ten_megabytes_arrives_byte_for_byte() -> None:
    document = bytes(range(256)) * 40_960
    event = an_event(1, EventType.RECEIVED, media=Media(key="k", bytes=len(document), content_type="image/tiff"))
    async with both(data_size_limit=None) as (relay, channel):
        assert isinstance(await channel.attempt(attempt(event=event, document=document, timeout_seconds=30.0)), Told)
    (part,) = relay.mails[0].message.iter_attachments()
    assert part.get_content_type() == "image/tiff"
    assert part.get_content() == document


def _text(message: Any) -> str:
    return " ".join(message.get_body(("plain",)).get_content().split())


async def _silence(_relay: Relay, _server: Any) -> str:
    await asyncio.Event().wait()
    return ""


@pytest.mark.parametrize(
    "work",
    [
        lambda: test_a_relay_that_falls_silent_over_a_mail_is_a_timeout("on_data"),
        lambda: test_a_relay_that_hangs_up_over_a_mail_is_counted_because_it_may_have_it("on_data"),
        test_a_relay_that_falls_silent_before_it_knows_the_recipient_is_not_tried,
        test_a_250_in_the_moment_of_the_timeout_is_told_or_was_not_sent,
        test_mails_that_wait_in_vain_for_a_connection_are_not_tried,
        test_what_comes_after_the_250_changes_nothing,
    ],
)
def test_it_holds_on_the_loop_of_the_services_too(work: Any) -> None:
    """uvloop's connections end in their own way."""
    uvloop.run(work())
