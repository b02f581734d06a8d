"""Connections to real relays: one a mail, bounded, encrypted, logged in; nothing in clear that must not be."""

import asyncio

import pytest
from mails import an_attempt, both, mailing, silence
from mailserver import Authority, login_of, make_authority, relaying, talking
from waiting import until

from dispatcher.channels.mail import relay as mail_relay
from dispatcher.channels.outcome import NotTried, Told


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


# ---- Connections ----------------------------------------------------------------------------------------------------


async def test_each_mail_has_its_connection_and_ends_it_with_quit() -> None:
    async with both() as (relay, channel):
        for _ in range(3):
            assert isinstance(await channel.attempt(an_attempt()), Told)
        await channel.close()
        assert (relay.connections, len(relay.mails), relay.commands.count("QUIT")) == (3, 3, 3)


async def test_a_burst_of_mails_never_has_more_connections_at_once_than_the_limit() -> None:
    async with both() as (relay, channel):
        outcomes = await asyncio.gather(*(channel.attempt(an_attempt()) for _ in range(30)))
        assert {type(outcome) for outcome in outcomes} == {Told}
        assert 1 < relay.most_open <= mail_relay.MOST_CONNECTIONS


async def test_a_connection_counts_until_quit_is_answered_and_the_outcome_does_not_wait_for_it(monkeypatch) -> None:
    monkeypatch.setattr(mail_relay, "MOST_CONNECTIONS", 1)
    async with both() as (relay, channel):
        relay.on_quit = silence
        assert isinstance(await channel.attempt(an_attempt()), Told)
        await until(lambda: "QUIT" in relay.commands, "QUIT")
        assert await channel.attempt(an_attempt(timeout_seconds=0.05)) == NotTried(error="smtp_busy")
        assert relay.connections == 1


async def test_a_relay_that_does_not_answer_quit_is_left_after_a_while(monkeypatch) -> None:
    monkeypatch.setattr(mail_relay, "MOST_CONNECTIONS", 1)
    monkeypatch.setattr(mail_relay, "QUIT_SECONDS", 0.05)
    async with both() as (relay, channel):
        relay.on_quit = silence
        assert isinstance(await channel.attempt(an_attempt()), Told)
        assert isinstance(await channel.attempt(an_attempt()), Told)
        await channel.close()
        await until(lambda: not relay.open, "both connections closed")


async def test_a_cancelled_attempt_gives_its_connection_back(monkeypatch) -> None:
    monkeypatch.setattr(mail_relay, "MOST_CONNECTIONS", 1)
    async with both() as (relay, channel):
        relay.on_data = silence
        attempt = asyncio.create_task(channel.attempt(an_attempt(timeout_seconds=60.0)))
        await until(lambda: "RCPT" in relay.commands, "a mail under way")
        attempt.cancel()
        await asyncio.wait([attempt])
        relay.on_data = None
        assert isinstance(await channel.attempt(an_attempt()), Told)
        await until(lambda: not relay.open, "both connections closed")


async def test_a_relay_that_cannot_be_used_gives_the_connection_back(monkeypatch) -> None:
    monkeypatch.setattr(mail_relay, "MOST_CONNECTIONS", 1)
    async with talking("421 4.3.2 closing") as port, mailing(f"smtp://127.0.0.1:{port}") as channel:
        for _ in range(3):
            assert await channel.attempt(an_attempt()) == NotTried(error="smtp_421")


# ---- TLS and login --------------------------------------------------------------------------------------------------


async def test_starttls_is_used_where_it_is_offered(authority: Authority) -> None:
    async with (
        relaying(tls_context=authority.server) as relay,
        mailing(f"smtp://127.0.0.1:{relay.port}", authority.client) as channel,
    ):
        assert isinstance(await channel.attempt(an_attempt()), Told)
    assert [mail.is_encrypted for mail in relay.mails] == [True]


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_tls_that_is_asked_for_and_not_to_be_had_is_not_tried_and_nothing_goes_out_in_clear(
    scheme: str, authority: Authority
) -> None:
    async with relaying() as relay, mailing(f"{scheme}://127.0.0.1:{relay.port}", authority.client) as channel:
        assert await channel.attempt(an_attempt(timeout_seconds=2.0)) == NotTried(error="smtp_tls")
    assert "MAIL" not in relay.commands


async def test_starttls_that_is_asked_for_is_used(authority: Authority) -> None:
    async with (
        relaying(tls_context=authority.server, require_starttls=True) as relay,
        mailing(f"smtp+starttls://127.0.0.1:{relay.port}", authority.client) as channel,
    ):
        assert isinstance(await channel.attempt(an_attempt()), Told)
    assert relay.mails[0].is_encrypted


async def test_smtps_is_encrypted_from_the_first_byte(authority: Authority) -> None:
    async with (
        relaying(implicit_tls=authority.server) as relay,
        mailing(f"smtps://127.0.0.1:{relay.port}", authority.client) as channel,
    ):
        assert isinstance(await channel.attempt(an_attempt()), Told)


@pytest.mark.parametrize(
    ("scheme", "options"), [("smtp", "tls_context"), ("smtp+starttls", "tls_context"), ("smtps", "implicit_tls")]
)
async def test_a_certificate_of_an_unknown_authority_is_not_tried(
    scheme: str, options: str, authority: Authority
) -> None:
    async with (
        relaying(**{options: authority.server}) as relay,
        mailing(f"{scheme}://127.0.0.1:{relay.port}") as channel,
    ):
        assert await channel.attempt(an_attempt()) == NotTried(error="smtp_tls")
    assert "MAIL" not in relay.commands


async def test_a_certificate_of_another_host_is_not_tried(authority: Authority) -> None:
    async with (
        relaying(implicit_tls=authority.server) as relay,
        mailing(f"smtps://localhost:{relay.port}", authority.client) as channel,
    ):
        assert await channel.attempt(an_attempt()) == NotTried(error="smtp_tls")


async def test_ssl_cert_file_names_an_authority_of_ones_own(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    async with (
        relaying(implicit_tls=authority.server) as relay,
        mailing(f"smtps://127.0.0.1:{relay.port}") as channel,
    ):
        assert isinstance(await channel.attempt(an_attempt()), Told)


@pytest.mark.parametrize(("password", "told"), [("s%3Acret%40%C3%BC", True), ("wrong", False)])
async def test_a_right_login_is_told_and_a_wrong_one_not_tried(password: str, told: bool, authority: Authority) -> None:
    options = login_of("me@example.com", "s:cret@ü")
    async with (
        relaying(tls_context=authority.server, require_starttls=True, **options) as relay,
        mailing(f"smtp+starttls://me%40example.com:{password}@127.0.0.1:{relay.port}", authority.client) as channel,
    ):
        outcome = await channel.attempt(an_attempt())
    assert isinstance(outcome, Told) if told else outcome == NotTried(error="smtp_login")
    assert [mail.user for mail in relay.mails] == ([b"me@example.com"] if told else [])


async def test_a_login_that_the_relay_does_not_offer_is_not_tried() -> None:
    async with relaying() as relay, mailing(f"smtp://me:secret@127.0.0.1:{relay.port}") as channel:
        assert await channel.attempt(an_attempt()) == NotTried(error="smtp_login")


async def test_a_relay_that_asks_for_a_login_we_do_not_have_is_not_tried(authority: Authority) -> None:
    options = login_of("me", "secret")
    async with (
        relaying(tls_context=authority.server, **options) as relay,
        mailing(f"smtp://127.0.0.1:{relay.port}", authority.client) as channel,
    ):
        assert await channel.attempt(an_attempt()) == NotTried(error="smtp_530")
