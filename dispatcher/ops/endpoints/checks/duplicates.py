"""Whether two endpoints get the same faxes at the same place: an application then gets everything twice."""

from collections.abc import Iterable
from typing import Any, Final

from yarl import URL

from dispatcher.channels.mail.address import address_of
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.locks import Lock
from dispatcher.ops.endpoints.urls import BadEndpoint, is_mail, masked_url
from dispatcher.policy.endpoint import Endpoint

_TURN: Final = "SELECT pg_advisory_xact_lock($1, hashtext($2))"
"""Of two that are added at once, the second sees the first."""


class Duplicate(BadEndpoint):
    """Another endpoint gets the same faxes at the same URL; nothing was written."""

    code = "duplicate_endpoint"
    status = 409


async def check_duplicate(connection: Any, store: EndpointStore, endpoint: Endpoint) -> None:
    """Refuse *endpoint*, about to be written in the caller's transaction, if another one is the same.

    Raises:
        Duplicate: Names the other one.
    """
    await connection.execute(_TURN, Lock.ADD_ENDPOINT, target_of(endpoint.url))
    if (other := find_duplicate(endpoint, await store.peers(connection, endpoint))) is not None:
        state = "" if other.enabled else ", which is disabled,"
        raise Duplicate(
            "url",
            f"the endpoint {other.id}{state} gets the same faxes at {masked_url(other.url)}, so the application would "
            "get them twice; change that one, or set allow_duplicate to have both",
        )


def find_duplicate(endpoint: Endpoint, peers: Iterable[Endpoint]) -> Endpoint | None:
    """Return the first of *peers*, those of the same scope and match, that gets the same at the same place.

    Pure.
    """
    for other in peers:
        same_faxes = "any" in {endpoint.direction, other.direction} or endpoint.direction == other.direction
        if (
            other.id != endpoint.id
            and (same_faxes or endpoint.scope != "global")
            and not (endpoint.types and other.types and set(endpoint.types).isdisjoint(other.types))
            and target_of(other.url) == target_of(endpoint.url)
        ):
            return other
    return None


def target_of(url: str) -> str:
    """Return what two URLs share that lead to the same place; a password does not make another one.

    >>> target_of("https://user:a@App.example.com:443/hook?x=1") == target_of("https://user:b@app.example.com/hook?x=1")
    True
    >>> target_of("mailto:Desk@example.com") == target_of("mailto:desk%40EXAMPLE.com")
    True
    """
    if is_mail(url):
        return f"mailto:{address_of(url).lower()}"
    target = URL(url, encoded=True)
    user = "" if target.raw_user is None else f"{target.raw_user}@"
    return f"{target.scheme}://{user}{(target.raw_host or '').lower()}:{target.port}{target.raw_path_qs}"
