"""Connections to real relays: kept, made anew, encrypted, logged in; never in clear what was not to be."""

import asyncio

import pytest
from mails import an_attempt, both, mailing, silence
from mailserver import Authority, login_of, make_authority, relaying
from waiting import until

from dispatcher.channels.mail import relay as mail_relay
from dispatcher.channels.outcome import NotTried, Told


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


# ---- Connections ----------------------------------------------------------------------------------------------------


async def test_mails_after_each_other_share_a_connection_and_leave_is_taken_at_the_end() -> None:
    async with both() as (relay, channel):
        for _ in range(3):
            assert isinstance(await channel.attempt(an_attempt()), Told)
        assert (relay.connections, len(relay.mails)) == (1, 3)
        await channel.close()
        assert relay.commands[-1] == "QUIT"


async def test_mails_at_once_have_a_connection_each_up_to_the_limit() -> None:
    async with both() as (relay, channel):
        outcomes = await asyncio.gather(*(channel.attempt(an_attempt()) for _ in range(30)))
        assert {type(outcome) for outcome in outcomes} == {Told}
        assert 1 < relay.connections <= mail_relay.MOST_CONNECTIONS


async def test_a_connection_that_the_relay_closed_meanwhile_is_made_anew_within_the_attempt() -> None:
    async with both() as (relay, channel):
        await channel.attempt(an_attempt())
        for transport in list(relay.open):
            transport.abort()
        assert isinstance(await channel.attempt(an_attempt()), Told)
        assert relay.connections == 2


@pytest.mark.parametrize("answer", ["421 4.7.0 enough of you", "500 what?"])
async def test_a_kept_connection_that_refuses_rset_is_made_anew_within_the_attempt(answer: str) -> None:
    async with both() as (relay, channel):
        await channel.attempt(an_attempt())
        relay.on_rset = lambda _relay, _server: answer
        assert isinstance(await channel.attempt(an_attempt()), Told)
        assert relay.connections == 2


async def test_a_kept_connection_that_refuses_one_mail_too_many_is_made_anew_within_the_attempt() -> None:
    async with both() as (relay, channel):
        relay.on_mail = lambda here, _server: (
            "452 4.5.3 too many mails" if len(here.mails) == here.connections else "250 fine"
        )
        for _ in range(3):
            assert isinstance(await channel.attempt(an_attempt()), Told)
        assert (relay.connections, len(relay.mails)) == (3, 3)


async def test_a_kept_connection_that_no_longer_answers_is_made_anew_within_the_attempt(monkeypatch) -> None:
    monkeypatch.setattr(mail_relay, "PROBE_SECONDS", 0.05)
    async with both() as (relay, channel):
        await channel.attempt(an_attempt())
        relay.on_rset = silence
        assert isinstance(await channel.attempt(an_attempt()), Told)
        assert relay.connections == 2


async def test_a_connection_without_work_is_given_back(monkeypatch) -> None:
    monkeypatch.setattr(mail_relay, "KEPT_SECONDS", 0.02)
    async with both() as (relay, channel):
        await channel.attempt(an_attempt())
        await until(lambda: "QUIT" in relay.commands and not relay.open, "given back")
        assert isinstance(await channel.attempt(an_attempt()), Told)
        assert relay.connections == 2


# ---- TLS and login --------------------------------------------------------------------------------------------------


async def test_starttls_is_used_where_it_is_offered(authority: Authority) -> None:
    async with (
        relaying(tls_context=authority.server) as relay,
        mailing(f"smtp://127.0.0.1:{relay.port}", authority.client) as channel,
    ):
        assert isinstance(await channel.attempt(an_attempt()), Told)
        assert isinstance(await channel.attempt(an_attempt()), Told)
    assert [mail.is_encrypted for mail in relay.mails] == [True, True]
    assert relay.connections == 1


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
async def test_a_certificate_of_nobody_we_know_is_not_tried(scheme: str, options: str, authority: Authority) -> None:
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


async def test_an_authority_of_ones_own_is_named_by_ssl_cert_file(
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
