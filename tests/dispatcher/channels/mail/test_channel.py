"""The mail channel against real relays: what they answer decides what is told, counted, or tried again uncounted."""

import asyncio
import socket
from typing import Any

import msgspec
import pytest
import uvloop
from dispatchers import an_event
from mails import URL, an_attempt, both, mailing, silence
from mailserver import Relay, hang_up, relaying, talking
from waiting import until

from dispatcher.channels.mail import relay as mail_relay
from dispatcher.channels.mail.channel import NoMailChannel
from dispatcher.channels.outcome import NotTold, NotTried, Outcome, Told
from shared.domain import EventType, Failure, Media

SILENT_SECONDS = 4.0
"""Time for what comes before the relay falls silent, on a busy machine, too: the timeout counts from the start."""


def answered(outcome: Outcome) -> Outcome:
    """Return *outcome* without the note of what was sent, which `test_requests` compares."""
    return outcome if isinstance(outcome, NotTried) else msgspec.structs.replace(outcome, sent=None)


async def test_a_mail_that_the_relay_took_is_told_with_the_relays_answer() -> None:
    async with both() as (relay, channel):
        outcome = await channel.attempt(an_attempt())
    assert answered(outcome) == Told(url=URL, answer=b"250 2.0.0 fine")
    (mail,) = relay.mails
    assert (mail.sender, mail.recipients) == ("fax@example.net", ["faxes+in@example.com"])
    assert mail.message["To"] == "faxes+in@example.com"
    assert mail.message["From"] == "Faxes <fax@example.net>"


# ---- The mail is refused: counted -----------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["450 4.2.1 greylisted", "550 5.1.1 unknown user", "551 elsewhere", "452 full"])
@pytest.mark.parametrize("stage", ["on_rcpt", "on_data"])
async def test_a_refused_recipient_or_content_is_counted_with_its_code_and_the_next_mail_is_not_hurt(
    stage: str, answer: str
) -> None:
    async with both() as (relay, channel):
        setattr(relay, stage, lambda _relay, _server: answer)
        assert answered(await channel.attempt(an_attempt())) == NotTold(
            error=f"smtp_{answer[:3]}", url=URL, answer=answer.encode()
        )
        setattr(relay, stage, None)
        assert isinstance(await channel.attempt(an_attempt()), Told)


@pytest.mark.parametrize("stage", ["on_rcpt", "on_data"])
async def test_a_relay_that_falls_silent_over_a_mail_is_a_timeout(stage: str) -> None:
    async with both() as (relay, channel):
        setattr(relay, stage, silence)
        outcome = await channel.attempt(an_attempt(timeout_seconds=SILENT_SECONDS))
        assert answered(outcome) == NotTold(error="timeout", url=URL)
        setattr(relay, stage, None)
        assert isinstance(await channel.attempt(an_attempt()), Told)


@pytest.mark.parametrize("stage", ["on_rcpt", "on_data"])
async def test_a_relay_that_hangs_up_over_a_mail_is_counted_because_it_may_have_it(stage: str) -> None:
    async with both() as (relay, channel):
        setattr(relay, stage, hang_up)
        assert answered(await channel.attempt(an_attempt())) == NotTold(error="reset", url=URL)
        setattr(relay, stage, None)
        assert isinstance(await channel.attempt(an_attempt()), Told)


async def test_a_mail_that_is_announced_as_too_large_is_counted() -> None:
    async with both() as (relay, channel):
        relay.on_mail = lambda _relay, _server: "552 5.3.4 too large"
        assert answered(await channel.attempt(an_attempt())) == NotTold(
            error="smtp_552", url=URL, answer=b"552 5.3.4 too large"
        )


async def test_an_address_that_cannot_be_read_is_the_endpoints_fault() -> None:
    async with both() as (relay, channel):
        assert answered(await channel.attempt(an_attempt(url="mailto:a@b.example,c@d.example"))) == NotTold(
            error="bad_address", url="mailto:a@b.example,c@d.example"
        )
        assert relay.connections == 0


async def test_a_relay_that_refuses_before_it_has_heard_all_is_counted_with_its_code() -> None:
    event = an_event(1, EventType.RECEIVED, media=Media(key="k", bytes=8_000_000, content_type="application/pdf"))
    answers = ("220 hello", "250 relay", "250 ok", "250 ok", "354 go on", "552 5.3.4 that is enough")
    async with talking(*answers) as port, mailing(f"smtp://127.0.0.1:{port}") as channel:
        outcome = await channel.attempt(an_attempt(event=event, document=bytes(8_000_000)))
    assert answered(outcome) == NotTold(error="smtp_552", url=URL, answer=b"552 5.3.4 that is enough")


@pytest.mark.parametrize(
    "answers",
    [
        ("250 ok", "250 ok", "354 go on", "251 queued elsewhere"),
        ("250 ok", "252 cannot verify, will try", "354 go on", "250 ok"),
        ("250 ok", "251 will forward", "354 go on", "200 fine"),
        ("251 odd, but yes", "250 ok", "354 go on", "250 ok"),
    ],
)
async def test_any_2xx_of_the_relay_is_yes(answers: tuple[str, ...]) -> None:
    async with talking("220 hello", "250 relay", *answers) as port, mailing(f"smtp://127.0.0.1:{port}") as channel:
        assert answered(await channel.attempt(an_attempt())) == Told(url=URL, answer=answers[-1].encode())


async def test_a_line_that_begins_with_a_dot_does_not_end_the_mail() -> None:
    event = an_event(1, EventType.FAILED, failure=Failure(message="." * 200), from_number="." * 80)
    async with both() as (relay, channel):
        assert isinstance(await channel.attempt(an_attempt(event=event)), Told)
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
        assert answered(await channel.attempt(an_attempt())) == Told(url=URL, answer=b"250 2.0.0 queued as 1A2B")
        relay.on_data = None
        assert isinstance(await channel.attempt(an_attempt()), Told)


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
            outcome = await channel.attempt(an_attempt(timeout_seconds=0.095 + delay / 2_000))
            if isinstance(outcome, Told):
                assert len(sent) > before
            else:  # on a busy machine the time may be up before the recipient is named
                assert outcome.error in {"timeout", "smtp_timeout", "smtp_connect_timeout"}


# ---- Our own trouble: not counted -----------------------------------------------------------------------------------


async def test_a_relay_that_is_away_is_not_tried_and_told_when_it_is_back(unused_tcp_port: int) -> None:
    async with mailing(f"smtp://127.0.0.1:{unused_tcp_port}") as channel:
        assert await channel.attempt(an_attempt()) == NotTried(error="smtp_unreachable")
        async with relaying(port=unused_tcp_port):
            assert isinstance(await channel.attempt(an_attempt()), Told)


async def test_a_relay_whose_name_does_not_resolve_is_not_tried() -> None:
    async with mailing("smtp://relay.invalid") as channel:
        assert await channel.attempt(an_attempt(timeout_seconds=20.0)) == NotTried(error="smtp_unreachable")


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
        assert await channel.attempt(an_attempt()) == NotTried(error=code)


async def test_a_relay_that_says_nothing_at_all_is_not_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with mailing(f"smtp://127.0.0.1:{silent.getsockname()[1]}") as channel:
            outcome = await channel.attempt(an_attempt(timeout_seconds=0.8))
    assert outcome == NotTried(error="smtp_connect_timeout")


async def test_a_relay_that_falls_silent_before_it_knows_the_recipient_is_not_tried() -> None:
    async with both() as (relay, channel):
        relay.on_mail = silence
        assert await channel.attempt(an_attempt(timeout_seconds=SILENT_SECONDS)) == NotTried(error="smtp_timeout")


async def test_mails_that_wait_in_vain_for_a_connection_are_not_tried() -> None:
    async with both() as (relay, channel):
        relay.on_data = silence
        full = [
            asyncio.create_task(channel.attempt(an_attempt(timeout_seconds=SILENT_SECONDS)))
            for _ in range(mail_relay.MOST_CONNECTIONS)
        ]
        await until(lambda: relay.commands.count("RCPT") == len(full), "all connections in use")
        assert await channel.attempt(an_attempt(timeout_seconds=0.05)) == NotTried(error="smtp_busy")
        assert {outcome.error for outcome in await asyncio.gather(*full)} == {"timeout"}
        relay.on_data = None
        assert isinstance(await channel.attempt(an_attempt()), Told)


async def test_without_a_relay_nothing_is_tried() -> None:
    channel = NoMailChannel()
    assert await channel.attempt(an_attempt()) == NotTried(error="smtp_not_configured")
    assert not channel.wants_document(an_event(1, EventType.RECEIVED), "phaxio-v2.1")


# ---- Documents ------------------------------------------------------------------------------------------------------


async def test_a_document_that_the_relay_would_not_take_is_left_out_and_the_mail_says_so() -> None:
    event = an_event(1, EventType.RECEIVED, media=Media(key="k", bytes=400_000, content_type="application/pdf"))
    async with both(data_size_limit=300_000) as (relay, channel):
        assert isinstance(await channel.attempt(an_attempt(event=event, document=bytes(400_000))), Told)
        assert isinstance(await channel.attempt(an_attempt(event=event, document=bytes(100_000))), Told)
    without, with_document = (mail.message for mail in relay.mails)
    assert list(without.iter_attachments()) == []
    assert "too large for a mail" in _text(without)
    assert [part.get_content() for part in with_document.iter_attachments()] == [bytes(100_000)]


async def test_a_mail_of_ten_megabytes_arrives_byte_for_byte() -> None:
    document = bytes(range(256)) * 40_960
    event = an_event(1, EventType.RECEIVED, media=Media(key="k", bytes=len(document), content_type="image/tiff"))
    async with both(data_size_limit=None) as (relay, channel):
        assert isinstance(await channel.attempt(an_attempt(event=event, document=document, timeout_seconds=30.0)), Told)
    (part,) = relay.mails[0].message.iter_attachments()
    assert part.get_content_type() == "image/tiff"
    assert part.get_content() == document


def _text(message: Any) -> str:
    return " ".join(message.get_body(("plain",)).get_content().split())


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
