"""Phaxio: verifies its callbacks, by two signature schemes that share a header.

Phaxio's own covers the URL and the form's names and values; Faxbot's covers the raw body and not the URL. Neither
replaces the other, and a secret is never tried under the other's scheme.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from shared.callback import Callback, Parsed, Verified
from shared.domain import Provider
from shared.errors import SignatureInvalid, SignatureMissing
from shared.forms import JSON, Form, Part, media_type, read_form, sniff_type
from shared.providers.phaxio.event import ROUTES, compose
from shared.providers.phaxio.shapes import read_body_report, read_form_report
from shared.signatures import phaxio_file_digest, phaxio_joined, verify_body, verify_phaxio
from shared.urls import parse_url

SIGNATURE: Final = "X-Phaxio-Signature"
SIGNATURE_OF_BODY: Final = "X-Phaxio-Signature-SHA256"  # an undocumented second name of Faxbot 2025's scheme
SHA1_DIGITS: Final = 40
SHA256_DIGITS: Final = 64

_Reading = tuple[Sequence[tuple[str, str]], Sequence[tuple[Part, str]]]  # fields; files with their digests


class PhaxioAdapter:
    """Phaxio's callbacks of sent and received faxes.

    Args:
        callback_tokens: Of Phaxio's own scheme; several are all valid (rotation).
        api_secrets: Of Faxbot's scheme.
        public_url: The part before path and query of the URL that Phaxio was given: scheme, host, maybe a path.

    Raises:
        ValueError: There is no secret at all, or Phaxio cannot have signed the public URL.
    """

    provider: Provider = Provider.PHAXIO
    routes: tuple[str, ...] = tuple(ROUTES)

    def __init__(self, *, callback_tokens: Sequence[str], api_secrets: Sequence[str], public_url: str) -> None:
        self._callback_tokens = tuple(filter(None, callback_tokens))
        self._api_secrets = tuple(filter(None, api_secrets))
        self._public_url = public_url.rstrip("/")
        if not self._callback_tokens and not self._api_secrets:
            raise ValueError("Phaxio needs a callback token or an API secret")
        if self._callback_tokens and not _is_signable(public_url):
            raise ValueError("PUBLIC_URL must be scheme and host, without user, query and fragment: Phaxio signs it")

    def verify(self, callback: Callback) -> Verified:
        """Verify by the scheme that is configured; if both are, the length of the header's value decides.

        Raises:
            SignatureMissing: No signature.
            SignatureInvalid: A wrong one, one of no known length, or Phaxio's own over a JSON body.
            Malformed: Phaxio's own scheme, and the form's framing cannot be read.
            UnsupportedMediaType: Phaxio's own scheme, and the body is not a form.
        """
        given = callback.headers.get(SIGNATURE)
        if given is None and self._api_secrets:
            given = callback.headers.get(SIGNATURE_OF_BODY)
        given = (given or "").strip()
        if not given:
            raise SignatureMissing(f"no {SIGNATURE}")
        if self._callback_tokens and len(given) == SHA1_DIGITS:
            return Verified(by="phaxio-sha1", content=self._verify_form(callback, given))
        if self._api_secrets and len(given) == SHA256_DIGITS and verify_body(self._api_secrets, given, callback.body):
            return Verified(by="phaxio-sha256")
        raise SignatureInvalid(f"{SIGNATURE} does not match")

    def _verify_form(self, callback: Callback, given: str) -> Form:
        content_type = callback.headers.get("Content-Type") or sniff_type(callback.body)
        kind = media_type(content_type)
        if kind == JSON or kind.endswith("+json"):
            # The scheme covers a form's fields. Over JSON it would cover the URL alone: the signature of an empty form
            # would verify any JSON.
            raise SignatureInvalid("Phaxio's own signature does not cover a JSON body")
        form = read_form(content_type, callback.body)
        url = self._public_url + callback.target
        digests = [phaxio_file_digest(part.content) for part in form.files]
        for fields, files in _readings(form, digests):
            signed = phaxio_joined(url, fields, ((part.name, digest) for part, digest in files))
            if verify_phaxio(self._callback_tokens, given, signed):
                return Form(fields=tuple(fields), files=tuple(part for part, _ in files))
        raise SignatureInvalid(f"{SIGNATURE} does not match")

    def parse(self, callback: Callback, verified: Verified) -> Parsed:
        """Make an event of a verified callback.

        Raises:
            Unreadable: It names no fax, contradicts itself, or says a fax is completed and not how.
        """
        if isinstance(verified.content, Form):
            report = read_form_report(verified.content)
        else:
            report = read_body_report(callback.headers.get("Content-Type"), callback.body)
        return compose(report, callback)


def _is_signable(public_url: str) -> bool:
    try:
        parts = parse_url(public_url)
    except ValueError:
        return False
    return bool(parts.host) and parts.user is None and not parts.has_more


def _readings(form: Form, digests: list[str]) -> Iterator[_Reading]:
    """Yield the ways in which implementations read repeated names; Phaxio's page does not say which it signs.

    What a reading leaves out is left out of the event too, or a captured callback could be altered by adding a field.
    """
    # All values are kept. Without repeated names this is the only reading.
    files = list(zip(form.files, digests, strict=True))
    yield form.fields, files
    # The last value wins.
    last_fields, last_files = dict(form.fields), {part.name: (part, digest) for part, digest in files}
    if len(last_fields) == len(form.fields) and len(last_files) == len(files):
        return
    yield tuple(last_fields.items()), tuple(last_files.values())
    # The first value wins.
    first_files = {part.name: (part, digest) for part, digest in reversed(files)}
    yield tuple(dict(reversed(form.fields)).items()), tuple(first_files.values())
