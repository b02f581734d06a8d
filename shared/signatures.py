"""Every provider's signature scheme, to verify and to sign. Pure functions; which scheme applies is decided elsewhere.

Where several secrets are valid (rotation), all are compared before anything is decided (`True in [...]`: the list is
complete before it is searched), each in constant time and on bytes: the time tells neither which secret matched nor how
much of it. An empty secret never matches. A header's value may hold anything, lone surrogates included (aiohttp decodes
with `surrogateescape`): what cannot be a signature does not match. No exception holds a secret or a signature.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared.errors import SignatureInvalid, SignatureMissing, TimestampExpired

TOLERANCE_SECONDS: Final = 300
"""How far a signed timestamp may be from our clock, both ways; exactly 300 is allowed (Telnyx, Standard Webhooks)."""

_KEY_BYTES: Final = 32  # Ed25519, seed and public key alike
_UNIX_SECONDS = re.compile(r"[0-9]{1,15}")
_STANDARD_PREFIX: Final = "whsec_"


# ---- Phaxio: HMAC-SHA1 over URL, sorted fields, sorted files ---------------------------------------------------------


def phaxio_signed_bytes(url: str, fields: Iterable[tuple[str, str]], files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return what Phaxio signs.

    Args:
        url: Exactly as it is posted to, query and trailing slash included.
        fields: Name and value in wire order; blank values and repeated names count.
        files: Part name and content in wire order.

    >>> phaxio_signed_bytes("https://a.example/", [("b", ""), ("a", "1")], [("file", b"")])
    b'https://a.example/a1bfileda39a3ee5e6b4b0d3255bfef95601890afd80709'
    """
    return phaxio_joined(url, fields, [(name, phaxio_file_digest(content)) for name, content in files])


def phaxio_joined(url: str, fields: Iterable[tuple[str, str]], file_digests: Iterable[tuple[str, str]]) -> bytes:
    """Return what Phaxio signs, from digests of the files: several readings of one form hash its files once."""
    parts = [url]
    # Fields come first, files after them, each sorted by name.
    for pairs in (fields, file_digests):
        for pair in sorted(pairs, key=_name_octets):  # stable: equal names keep their wire order
            parts += pair
    return _octets("".join(parts))


def phaxio_file_digest(content: bytes) -> str:
    """Return what Phaxio signs of a file: the hex SHA-1 of its content."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def sign_phaxio(
    token: str, url: str, fields: Iterable[tuple[str, str]], files: Iterable[tuple[str, bytes]] = ()
) -> str:
    """Return `X-Phaxio-Signature`: 40 lower-case hex digits."""
    return hmac.digest(_octets(token), phaxio_signed_bytes(url, fields, files), "sha1").hex()


def verify_phaxio(tokens: Sequence[str], given: str | None, signed: bytes) -> bool:
    """Return True if *given*, in either case of hex, signs *signed* (see `phaxio_signed_bytes`) by one of *tokens*."""
    return _hex_matches(tokens, given, signed, "sha1")


# ---- Faxbot: HMAC-SHA256 of the raw body, for Phaxio and Sinch -------------------------------------------------------


def sign_body(secret: str, body: bytes) -> str:
    """Return the hex HMAC-SHA256 of the raw body: 64 lower-case digits."""
    return hmac.digest(_octets(secret), body, "sha256").hex()


def verify_body(secrets: Sequence[str], given: str | None, body: bytes) -> bool:
    """Return True if *given*, in either case of hex, is the HMAC-SHA256 of the raw body by one of *secrets*."""
    return _hex_matches(secrets, given, body, "sha256")


def _hex_matches(secrets: Sequence[str], given: str | None, signed: bytes, digest: str) -> bool:
    wanted = _octets((given or "").strip().lower())
    return True in [
        hmac.compare_digest(_hmac_hex(secret, signed, digest), wanted) and bool(secret) for secret in secrets
    ]


def _hmac_hex(secret: str, signed: bytes, digest: str) -> bytes:
    """Return what `hmac.digest(…).hex()` does, faster: that looks the digest up and keys it each time."""
    keyed = _keyed(secret, digest).copy()
    keyed.update(signed)
    return keyed.hexdigest().encode()


@lru_cache(maxsize=64)
def _keyed(secret: str, digest: str) -> hmac.HMAC:
    """Return an HMAC with its key in it; it is copied, never changed."""
    return hmac.new(_octets(secret), digestmod=digest)


# ---- Telnyx: Ed25519 over timestamp, bar, raw body -------------------------------------------------------------------


def telnyx_public_key(seed: bytes) -> str:
    """Return the public key of a 32-byte seed as Telnyx shows it: base64 of the raw 32 bytes."""
    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()).decode()


def sign_telnyx(seed: bytes, timestamp: int, body: bytes) -> str:
    """Return `telnyx-signature-ed25519`: base64 of 64 bytes. *timestamp* is the attempt's, in unix seconds."""
    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(seed).sign(b"%d|%b" % (timestamp, body))).decode()


@lru_cache(maxsize=64)
def load_telnyx_key(public_key: str) -> Ed25519PublicKey:
    """Read a public key from its base64. For settings to check; the verifier keeps what was read.

    Raises:
        ValueError: It is not the base64 of 32 bytes.
    """
    raw = _from_base64(public_key.strip())
    if raw is None or len(raw) != _KEY_BYTES:
        raise ValueError("a Telnyx public key is the base64 of 32 bytes (44 characters)")
    return Ed25519PublicKey.from_public_bytes(raw)


def verify_telnyx(
    public_keys: Sequence[str], signature: str | None, timestamp: str | None, body: bytes, now: float
) -> None:
    """Verify a Telnyx callback by one of *public_keys*; *now* in unix seconds.

    Raises:
        SignatureMissing: One of the two headers is absent or empty.
        SignatureInvalid: The signature is malformed or wrong, or the timestamp is not all digits.
        TimestampExpired: Correctly signed, more than 300 s ago or ahead.
    """
    # Both headers must be there and well-formed.
    if not signature or not timestamp:
        raise SignatureMissing("telnyx-signature-ed25519 and telnyx-timestamp are both needed")
    made = _from_base64(signature)
    if made is None or not _UNIX_SECONDS.fullmatch(timestamp):
        raise SignatureInvalid("the Telnyx signature or its timestamp is not in the right form")
    # The timestamp is signed with the body.
    signed = b"%b|%b" % (timestamp.encode(), body)
    if True not in [_is_signed_by(load_telnyx_key(key), made, signed) for key in public_keys]:
        raise SignatureInvalid("the Telnyx signature does not match")
    # The clock comes last: only a sender with the key learns about ours.
    _check_clock(timestamp, now)


def _is_signed_by(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


# ---- Basic credentials and shared secrets (Sinch, Asterisk) ---------------------------------------------------------


def basic_header(user: str, password: str) -> str:
    """Return an `Authorization` value.

    >>> basic_header("sinch", "a:b")
    'Basic c2luY2g6YTpi'
    """
    return "Basic " + base64.b64encode(_octets(f"{user}:{password}")).decode()


def basic_credentials(header: str | None) -> tuple[bytes, bytes] | None:
    """Return user and password of an `Authorization: Basic` header, split at the first colon; None for any other."""
    scheme, _, rest = (header or "").strip().partition(" ")
    decoded = _from_base64(rest.strip()) if scheme.lower() == "basic" else None
    if decoded is None or b":" not in decoded:
        return None
    user, _, password = decoded.partition(b":")
    return user, password


def verify_basic(pairs: Sequence[tuple[str, str]], header: str | None) -> bool:
    """Return True if the `Authorization` header holds one of *pairs* (user, password)."""
    given_user, given_password = basic_credentials(header) or (b"", b"")
    return True in [
        # Not `and`: both halves are always compared.
        _is_same(_octets(user), given_user) & _is_same(_octets(password), given_password) and bool(user or password)
        for user, password in pairs
    ]


def same_secret(secrets: Sequence[str], given: str | None) -> bool:
    """Return True if *given* is one of *secrets*."""
    wanted = _octets(given or "")
    return True in [_is_same(_octets(secret), wanted) and bool(secret) for secret in secrets]


# ---- Standard Webhooks v1: HMAC-SHA256 over id, timestamp, body ------------------------------------------------------


def standard_key(secret: str) -> bytes:
    """Return the key in a `whsec_…` secret: its decoded bytes. Prefix and padding may be missing.

    Raises:
        ValueError: It is not base64, or holds nothing.
    """
    text = secret.strip().removeprefix(_STANDARD_PREFIX).rstrip("=")
    key = _from_base64(text + "=" * (-len(text) % 4))
    if not key:
        raise ValueError("a Standard Webhooks secret is base64, with or without whsec_ before it")
    return key


def sign_standard(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return one item of `webhook-signature`: `v1,` and base64. *timestamp* is the attempt's, in unix seconds."""
    return "v1," + _standard_digest(standard_key(secret), message_id, str(timestamp), body)


def verify_standard(
    secrets: Sequence[str],
    message_id: str | None,
    timestamp: str | None,
    signature: str | None,
    body: bytes,
    now: float,
) -> None:
    """Verify a Standard Webhook: any `v1` item by any of *secrets* suffices, other versions are ignored.

    Raises:
        SignatureMissing: One of the three headers is absent or empty.
        SignatureInvalid: No item matches, or the timestamp is not all digits.
        TimestampExpired: Correctly signed, more than 300 s ago or ahead.
    """
    if not message_id or not timestamp or not signature:
        raise SignatureMissing("webhook-id, webhook-timestamp and webhook-signature are all needed")
    if not _UNIX_SECONDS.fullmatch(timestamp):
        raise SignatureInvalid("webhook-timestamp is not in the right form")
    items = [_octets(item[3:]) for item in signature.split() if item.startswith("v1,")]
    made = [_standard_digest(standard_key(secret), message_id, timestamp, body).encode() for secret in secrets]
    if True not in [hmac.compare_digest(digest, item) for digest in made for item in items]:
        raise SignatureInvalid("no item of webhook-signature matches")
    _check_clock(timestamp, now)


def _standard_digest(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = b"%b.%b.%b" % (_octets(message_id), timestamp.encode(), body)
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


# ---- Small parts ----------------------------------------------------------------------------------------------------


def _octets(text: str) -> bytes:
    """Return the bytes that *text* was decoded from. Never fails, so that no header value can raise."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that our decoding does not make: it only has to be unequal
        return text.encode("utf-8", "surrogatepass")


def _name_octets(pair: tuple[str, str]) -> bytes:
    """Return what to sort by: the bytes of the name, whose order differs from the text's where it is not UTF-8."""
    return _octets(pair[0])


def _is_same(ours: bytes, given: bytes) -> bool:
    """Compare in a time that does not tell the lengths either."""
    return hmac.compare_digest(hashlib.sha256(ours).digest(), hashlib.sha256(given).digest())


def _from_base64(text: str) -> bytes | None:
    """Decode standard base64, strictly; None if it is not."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


def _check_clock(timestamp: str, now: float) -> None:
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        raise TimestampExpired(f"the signed timestamp is more than {TOLERANCE_SECONDS} s from our clock")
