"""Makes and checks the tokens of endpoints, and derives public keys, by format. Pure but for randomness."""

import base64
import secrets
from typing import Final

from shared.signatures import standard_key, telnyx_public_key

LEAST_BYTES: Final = 6
"""Below, a signature proves nothing: with one webhook at hand, all such tokens are tried in a moment."""

MOST_CHARACTERS: Final = 500
_SEED_BYTES: Final = 32


def new_token(format_name: str) -> str:
    """Return a random token of 32 bytes, as the receivers of *format_name* write theirs."""
    if format_name.startswith("telnyx-"):
        return base64.b64encode(secrets.token_bytes(_SEED_BYTES)).decode()
    if format_name.startswith("standard-"):
        return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_urlsafe(32)


def check_token(format_name: str, token: str) -> str | None:
    """Return a sentence that says why *token* cannot sign; None if it can. The sentence does not show it.

    >>> check_token("phaxio-v2.1", "")
    'a token must not be empty'
    """
    if not token:
        return "a token must not be empty"
    if len(token) > MOST_CHARACTERS:
        return f"a token has at most {MOST_CHARACTERS} characters"
    if not token.isprintable() or token != token.strip():
        return "a token must not begin or end with a blank, nor hold control characters"
    return _check_secret(format_name, token)


def _check_secret(format_name: str, token: str) -> str | None:
    if format_name.startswith("telnyx-") and telnyx_seed(token) is None:
        return "a token of telnyx-v2 is the base64 of an Ed25519 seed of 32 bytes (44 characters)"
    if format_name.startswith("standard-") and not _is_standard_secret(token):
        return "a token of standard-v1 is base64, with or without whsec_ before it"
    secret = standard_key(token) if format_name.startswith("standard-") else token.encode()
    if len(secret) < LEAST_BYTES:
        return f"a token holds at least {LEAST_BYTES} bytes: a shorter one can be guessed"
    return None


def public_key(format_name: str, token: str) -> str | None:
    """Return what the application verifies by, where that is not the token itself; else None.

    For telnyx-v2: the public key as Telnyx shows it, base64 of the raw 32 bytes.
    """
    seed = telnyx_seed(token) if format_name.startswith("telnyx-") else None
    return None if seed is None else telnyx_public_key(seed)


def telnyx_seed(token: str) -> bytes | None:
    """Return the seed in a token of telnyx-v2, or None."""
    try:
        seed = base64.b64decode(token, validate=True)
    except ValueError:
        return None
    return seed if len(seed) == _SEED_BYTES else None


def _is_standard_secret(token: str) -> bool:
    try:
        standard_key(token)
    except ValueError:
        return False
    return True
