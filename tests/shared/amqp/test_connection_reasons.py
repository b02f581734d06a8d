"""Who cannot connect to the broker hears why, without the password; of several addresses any that answers will do."""

from urllib.parse import urlsplit, urlunsplit

import pytest
from certificates import certificates
from proxy import proxied
from tls import behind_tls

from shared.amqp.connection import connected
from shared.amqp.errors import ConnectionLost
from shared.amqp.publisher import Publisher
from shared.amqp.session import broker_session
from shared.broker import FAX_IN


def at(amqp_url: str, **parts: str) -> str:
    """Return the URL with other parts: scheme, password, host, port, path."""
    url = urlsplit(amqp_url)
    user = f"{url.username}:{parts.get('password', url.password)}"
    netloc = f"{user}@{parts.get('host', url.hostname)}:{parts.get('port', url.port)}"
    return urlunsplit(
        url._replace(scheme=parts.get("scheme", url.scheme), netloc=netloc, path=parts.get("path", url.path))
    )


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"password": "wrong-one"}, "user or password are refused"),
        ({"path": "/no-such-vhost"}, "its vhost is refused"),
        ({"host": "no-such-host.invalid"}, "its host name cannot be resolved"),
        ({"port": "1"}, "the connection is refused"),
        ({"scheme": "amqps"}, "TLS fails"),
    ],
    ids=str,
)
async def test_why_there_is_no_connection_is_said_and_the_password_is_not(amqp_url, parts, reason):
    with pytest.raises(ConnectionLost, match=reason) as caught:
        async with broker_session(at(amqp_url, **parts), "test"):
            pass
    assert str(urlsplit(amqp_url).password) not in str(caught.value)
    assert "wrong-one" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("right", None),
        ("expired", "certificate has expired"),
        ("other_host", "IP address mismatch"),
        ("stranger", "unable to get local issuer certificate"),
    ],
)
async def test_a_broker_with_a_certificate_that_is_not_right_is_refused_with_the_reason(
    amqp_url, tmp_path, kind, reason
):
    authority, issued = certificates(tmp_path)
    async with behind_tls(amqp_url, issued[kind]) as url:
        publisher = Publisher(f"{url}?cafile={authority.path}", "test", confirm_timeout_seconds=10.0)
        if reason is None:
            async with publisher.connected_once():
                await publisher.publish(FAX_IN, "phaxio.fax.sent", b"{}", {})
        else:
            with pytest.raises(ConnectionLost, match=f"its certificate is not accepted: .*{reason}"):
                async with publisher.connected_once():
                    pass


async def test_without_the_private_ca_even_its_right_certificate_is_refused(amqp_url, tmp_path):
    _, issued = certificates(tmp_path)
    async with behind_tls(amqp_url, issued["right"]) as url:
        with pytest.raises(ConnectionLost, match="its certificate is not accepted"):
            async with broker_session(url, "test"):
                pass


async def test_tls_that_is_wanted_and_not_spoken_is_said(amqp_url, tmp_path):
    _, issued = certificates(tmp_path)
    async with behind_tls(amqp_url, issued["right"]) as url:
        with pytest.raises(ConnectionLost, match=r"wants TLS \(amqps://\)|may want TLS"):
            async with broker_session(url.replace("amqps://", "amqp://"), "test"):
                pass


@pytest.mark.parametrize("how", ["refused", "black hole", "wrong password"])
async def test_an_address_that_does_not_answer_is_passed_over(amqp_url, how):
    async with proxied(amqp_url) as (proxy, through):
        if how == "black hole":
            proxy.stall()
        dead = {"refused": at(amqp_url, port="1"), "black hole": through, "wrong password": at(amqp_url, password="x")}
        for _ in range(4):  # in random order
            async with broker_session(f"{dead[how]},{amqp_url}", "test") as broker:
                assert await broker.has_exchange(FAX_IN)


async def test_each_of_several_addresses_is_chosen_now_and_then(amqp_url):
    async with proxied(amqp_url) as (one, first), proxied(amqp_url) as (other, second):
        chosen = set()
        for _ in range(40):  # by chance the same one forty times: once in 500 billion runs
            async with connected(f"{first},{second}", "test") as connection:
                chosen.add(connection.url.port)
            if len(chosen) > 1:
                break
        assert chosen == {one.port, other.port}


async def test_if_none_answers_each_is_named_with_its_reason(amqp_url):
    wrong = at(amqp_url, password="x")
    with pytest.raises(ConnectionLost) as caught:
        async with broker_session(f"{at(amqp_url, port='1')},{wrong}", "test"):
            pass
    assert "127.0.0.1:1: the connection is refused" in str(caught.value)
    assert "user or password are refused" in str(caught.value)
