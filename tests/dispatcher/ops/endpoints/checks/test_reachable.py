"""An endpoint's host is checked when it is set: resolved here, or behind a proxy only as the URL says it."""

import pytest

from dispatcher.egress.guard import parse_networks
from dispatcher.ops.endpoints.checks.reachable import check_reachable
from dispatcher.ops.endpoints.urls import BadEndpoint

ANYWHERE = ("http://no-such-host.invalid/", "https://only.the-proxy.knows/hook")
INSIDE = (
    "http://10.0.0.1/",
    "http://169.254.169.254/latest",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://localhost/",
    "http://user:password@192.168.0.1/",
)


@pytest.mark.parametrize("url", ANYWHERE)
async def test_a_name_that_only_the_proxy_can_resolve_is_taken_where_there_is_one(url: str) -> None:
    await check_reachable("url", url, (), proxied=True)


async def test_without_a_proxy_a_name_that_does_not_resolve_is_refused() -> None:
    with pytest.raises(BadEndpoint, match="does not resolve"):
        await check_reachable("url", ANYWHERE[0], ())


@pytest.mark.parametrize("url", INSIDE)
@pytest.mark.parametrize("proxied", [False, True])
async def test_an_inner_address_in_any_coat_is_refused_with_a_proxy_and_without_and_no_password_shown(
    url: str, proxied: bool
) -> None:
    with pytest.raises(BadEndpoint, match=r"^failover_url: .*EGRESS_ALLOW_NETWORKS") as refused:
        await check_reachable("failover_url", url, (), proxied=proxied)
    assert "password" not in str(refused.value)


@pytest.mark.parametrize("proxied", [False, True])
async def test_a_network_that_is_named_may_be_reached(proxied: bool) -> None:
    await check_reachable("url", "http://10.1.2.3/", parse_networks(["10.1.0.0/16"]), proxied=proxied)
    await check_reachable("url", "mailto:desk@example.com", (), proxied=proxied)
