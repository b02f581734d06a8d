"""One package for each provider: verify a callback, make an event of it. Pure; `shared.callback` is the interface.

In each: `adapter` verifies and reads, `shapes` makes one report of every shape that a callback may have, `event` says
what its words mean, `errors` which failures are permanent.

To add a provider: an adapter, its secrets in `settings`, and two lines here. It is done when
tests/shared/providers/test_every_adapter.py passes with it.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shared.callback import Adapter
from shared.domain import Provider
from shared.providers.asterisk.adapter import AsteriskAdapter
from shared.providers.phaxio.adapter import PhaxioAdapter
from shared.providers.settings import ProviderSettings
from shared.providers.sinch.adapter import SinchAdapter
from shared.providers.telnyx.adapter import TelnyxAdapter

__all__ = ["ALL_ROUTES", "ProviderSettings", "make_adapters", "make_parsers"]

ALL_ROUTES: Final[frozenset[str]] = frozenset(
    route for kind in (PhaxioAdapter, TelnyxAdapter, SinchAdapter, AsteriskAdapter) for route in kind.routes
)
"""Every path that a provider may call, configured or not."""


def make_adapters(settings: ProviderSettings) -> dict[str, Adapter]:
    """Return the adapter for each path of a configured provider; a path that is missing here is answered 404.

    Raises:
        ValueError: A setting cannot be right; the sentence says which and shows no secret.
    """
    return {route: adapter for adapter in _configured(settings) for route in adapter.routes}


def make_parsers(spool_dir: Path | None) -> dict[Provider, Adapter]:
    """Return every provider's adapter for its `parse` alone: for callbacks that were verified when they came.

    Parsing needs no secrets. The adapters do, so each gets a random one: nothing verifies by them.

    Raises:
        ValueError: The spool folder's path is not absolute.
    """
    unknown = (secrets.token_hex(32),)
    adapters: tuple[Adapter, ...] = (
        PhaxioAdapter(callback_tokens=(), api_secrets=unknown, public_url=""),
        TelnyxAdapter(public_keys=()),
        SinchAdapter(users=(), passwords=(), hmac_secrets=unknown, allow_unverified=False),
        AsteriskAdapter(secrets=unknown, spool_dir=spool_dir),
    )
    return {adapter.provider: adapter for adapter in adapters}


def _configured(settings: ProviderSettings) -> Iterator[Adapter]:
    if settings.phaxio_callback_tokens or settings.phaxio_api_secrets:
        yield PhaxioAdapter(
            callback_tokens=settings.phaxio_callback_tokens,
            api_secrets=settings.phaxio_api_secrets,
            public_url=settings.public_url,
        )
    if settings.telnyx_public_keys:
        yield TelnyxAdapter(public_keys=settings.telnyx_public_keys)
    if (
        settings.sinch_users
        or settings.sinch_passwords
        or settings.sinch_hmac_secrets
        or settings.sinch_allow_unverified
    ):
        yield SinchAdapter(
            users=settings.sinch_users,
            passwords=settings.sinch_passwords,
            hmac_secrets=settings.sinch_hmac_secrets,
            allow_unverified=settings.sinch_allow_unverified,
        )
    if settings.asterisk_secrets:
        yield AsteriskAdapter(secrets=settings.asterisk_secrets, spool_dir=settings.asterisk_spool_dir)
