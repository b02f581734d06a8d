"""The broker's users as a deployment has them: each with its rights and no more."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from deploy.services.broker import call_api
from shared.amqp.addresses import split_addresses, vhost_of
from shared.amqp.rights import RIGHTS, TAGS


@contextmanager
def users_of(amqp_url: str, api_url: str | None, *, are_kept: bool = False) -> Iterator[dict[str, str]]:
    """Make the users in the vhost of *amqp_url*, their names followed by ours; yield the URL of each.

    *are_kept*: they end with the broker, which another node may answer for by then. Without the management API (stores
    given by URL) each is the user of *amqp_url*.
    """
    if api_url is None:
        yield dict.fromkeys(RIGHTS, amqp_url)
        return
    vhost, addresses = vhost_of(amqp_url), [urlsplit(address) for address in split_addresses(amqp_url)]
    urls = {}
    names = {role: f"{role}-{os.getpid()}-{secrets.token_hex(3)}" for role in RIGHTS}
    for role, name in names.items():
        password = secrets.token_hex(8)
        call_api(api_url, "PUT", f"/api/users/{name}", {"password": password, "tags": ",".join(TAGS.get(role, []))})
        path = f"/api/permissions/{quote(vhost, safe='')}/{name}"
        call_api(api_url, "PUT", path, msgspec.structs.asdict(RIGHTS[role]))
        own = [each._replace(netloc=f"{name}:{password}@{each.hostname}:{each.port}") for each in addresses]
        urls[role] = ",".join(urlunsplit(each) for each in own)
    try:
        yield urls
    finally:
        for name in () if are_kept else names.values():
            call_api(api_url, "DELETE", f"/api/users/{name}")
