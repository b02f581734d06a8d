"""What several adapters need: storable text, JSON, ids, numbers, times, documents. Pure, and on the hot path.

Each reader takes what JSON or a form may hold (text, integer, null, nonsense) and returns None for what it cannot read:
one odd value must not cost an application its event. What was sent stays in the event's `fields`.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from shared.codings import is_packed
from shared.domain import Media, Provider
from shared.errors import Unreadable

MAX_ID_LENGTH: Final = 200
"""Of a provider's id, in characters: it is indexed, and an index of PostgreSQL takes 2,704 bytes of a row."""

MAX_DEPTH: Final = 64
"""Of nesting in JSON. Providers need four; a thousand would end the interpreter's recursion on the next encoding."""

MAX_BRACKETS: Final = 10_000
"""Objects and arrays in one JSON. Providers send some ten for each recipient; each costs a microsecond to look into."""

PACKED: Final = "the body is packed (gzip)"
UTF_8_BOM: Final = b"\xef\xbb\xbf"
_UTF_16_MARKS: Final = frozenset({b"\xff\xfe", b"\xfe\xff"})

_MAX_COUNT: Final = 2_147_483_647  # PostgreSQL's integer
_UNSTORABLE = re.compile("[\ud800-\udfff\0]")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")  # at most 15 digits
_SEPARATORS = str.maketrans(
    "",
    "",
    " \t-.()/\u00a0\u2007\u2009\u202f\u2010\u2011\u2012\u2013\u2014\u2212"
    "\u00ad\u200b\u200e\u200f\u202a\u202c\u2060\ufeff",
)
"""What stands between digits, and what is invisible and comes along when a number is copied."""
_decode_json = msgspec.json.Decoder().decode


def clean_text(text: str) -> str:
    r"""Replace NUL and lone surrogates by U+FFFD: neither PostgreSQL nor msgspec can hold them.

    >>> clean_text("caf\udce9\0") == "caf" + 2 * chr(0xFFFD)
    True
    """
    if text.isascii() and "\0" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def clean(value: Any, depth: int = 0) -> Any:
    """Return JSON-like *value* with every text in it cleaned, names of objects too.

    Raises:
        Unreadable: It is nested deeper than `MAX_DEPTH`.
    """
    if isinstance(value, str):
        return clean_text(value)
    if not isinstance(value, dict | list | tuple):
        return value
    if depth >= MAX_DEPTH:
        raise Unreadable(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return {clean(name): clean(item, depth + 1) for name, item in value.items()}
    return [clean(item, depth + 1) for item in value]


def first_of(source: Mapping[str, Any], names: Iterable[str]) -> Any:
    """Return the first of the named values that is there and not empty, or None."""
    for name in names:  # a generator takes twice as long
        value = source.get(name)
        if value is not None and value != "":
            return value
    return None


def read_json(source: str | bytes) -> Any:
    """Read JSON into plain Python values that an event can hold. Bytes that are not UTF-8 become U+FFFD.

    A byte order mark is no part of it; that of UTF-16 says how it is written.

    Raises:
        Unreadable: It is not JSON, is nested too deep, or has too many parts. The sentence does not quote it.
    """
    text = clean_text(source.removeprefix("\ufeff") if isinstance(source, str) else _text_in(source))
    brackets = text.count("{") + text.count("[")
    if brackets > MAX_BRACKETS:
        raise Unreadable(f"the JSON has more than {MAX_BRACKETS} brackets")
    try:
        value = _decode_json(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the JSON cannot be read: {error}") from error
    # Only an escape can still make a NUL, and few brackets cannot be nested deep: most JSON needs no second pass.
    if "\\u" in text or brackets > MAX_DEPTH:
        return clean(value)
    return value


def _text_in(octets: bytes) -> str:
    if octets[:1] == b"{":  # nearly always
        return octets.decode("utf-8", "replace")
    if is_packed(octets):
        raise Unreadable(PACKED)
    if octets[:2] in _UTF_16_MARKS:
        return octets.decode("utf-16", "replace")
    return octets.removeprefix(UTF_8_BOM).decode("utf-8", "replace")


def read_json_object(source: str | bytes) -> dict[str, Any]:
    """Read a body that is a JSON object, or an array that holds one, as `read_json` does.

    Raises:
        Unreadable: Likewise, or it is other JSON.
    """
    content = read_json(source)
    if not isinstance(content, dict) and not isinstance(content := only(content), dict):
        raise Unreadable("the body is JSON but not an object")
    return content


def read_inner(value: Any) -> Any:
    """Return an object inside of JSON that was written as a text, or alone in a list; anything else as it is.

    Raises:
        Unreadable: It looks like an object and cannot be read as one.
    """
    value = only(value)
    return read_json(value) if isinstance(value, str) and value.lstrip().startswith("{") else value


def only(value: Any) -> Any:
    """Return the one element of a list; anything else as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def text_of(value: Any) -> str:
    """Return a scalar as trimmed text, as ids and digests need it; empty for null, and for what is not a scalar.

    >>> [text_of(value) for value in (" 7 ", 7, 7.0, True, None, [7])]
    ['7', '7', '7', 'true', '', '']
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else ""


def read_id(value: Any) -> str:
    """Return a provider's id (text or integer) as text, or empty.

    Raises:
        Unreadable: It is longer than `MAX_ID_LENGTH`.
    """
    if isinstance(value, bool | float):
        return ""
    text = clean_text(text_of(value))
    if len(text) > MAX_ID_LENGTH:
        raise Unreadable(f"the id is longer than {MAX_ID_LENGTH} characters")
    return text


def read_job_id(value: str | None) -> str | None:
    """Return the application's `job_id` from the query; None if it is empty, or too long for any to be registered."""
    text = clean_text(value or "").strip()
    return text if 0 < len(text) <= MAX_ID_LENGTH else None


_NOTHING_YET: Final = hashlib.sha256()
"""To copy: the library looks the digest up each time that one is made."""


def digest_id(provider: Provider, parts: Iterable[str]) -> str:
    """Return an event id made of what makes the event itself: `<provider>:` and 32 hex digits of a SHA-256.

    Each part goes in with its length (a netstring, in characters), so that no two lists of parts join to the same text.
    """
    digest = _NOTHING_YET.copy()
    digest.update("".join([f"{len(part)}:{part}," for part in parts]).encode("utf-8", "surrogatepass"))
    return f"{provider}:{digest.hexdigest()[:32]}"


def e164(value: Any, *, ten_digits: str | None = None) -> str | None:
    r"""Return a telephone number in E.164, or the text as it is where it is not one (a SIP URI, a short extension).

    A lost plus is restored: form decoding makes a blank of it, and some senders leave it out.

    Args:
        value: Text or integer; None for all else.
        ten_digits: The prefix of ten digits without a plus, where the provider documents such numbers (Phaxio: `+1`).

    >>> [e164(text) for text in ("+1 (555) 123-4567", " 4722334455", "15551234567", "sip:a@b", "321", "")]
    ['+15551234567', '+4722334455', '+15551234567', 'sip:a@b', '321', None]
    >>> e164("\u202a+49\u00a030\u2011123456\u202c")
    '+4930123456'
    """
    if isinstance(value, str) and _E164.fullmatch(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not (text := value.strip()):
        return None
    text = clean_text(text)
    digits = text.translate(_SEPARATORS)
    had_plus = digits.startswith("+") or value[0] == " "
    digits = digits.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or digits[0] == "0":
        return text
    if ten_digits and not had_plus and len(digits) == 10:  # noqa: PLR2004 - ten digits are ten
        return ten_digits + digits
    # Without any trace of a plus, fewer than 11 digits may as well be a national number or an extension.
    return "+" + digits if (7 if had_plus else 11) <= len(digits) <= 15 else text  # noqa: PLR2004 - digits of E.164


def read_time(value: Any) -> datetime | None:
    """Return an instant as aware UTC, from RFC 3339 with an offset or unix seconds or milliseconds (number or digits).

    None for everything else, a time without an offset included: its time zone is not known.
    """
    try:
        if isinstance(value, str):
            text = value.strip()
            if not text.isdigit():
                moment = datetime.fromisoformat(text)
                return moment.astimezone(UTC) if moment.tzinfo else None
            value = int(text)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if value >= _SECONDS_OF_YEAR_10_000:
                value /= 1000
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass  # a word, or a year that no calendar has
    return None


_SECONDS_OF_YEAR_10_000: Final = 253_402_300_800
"""More of them are milliseconds, of 1978 and later."""


def read_count(value: Any) -> int | None:
    """Return a number of things, at least 0, from an integer or its digits; None for all else."""
    text = text_of(value)
    if not (text.isascii() and text.isdigit()) or len(text) > 10:  # noqa: PLR2004 - longer is over the limit anyway
        return None
    count = int(text)
    return count if count <= _MAX_COUNT else None


def read_flag(value: Any) -> bool | None:
    """Return a truth from `true`, `1`, `false`, `0` in any case and type; None for all else."""
    return _FLAGS.get(text_of(value).lower())


_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


_RTF_MARK: Final = b"{\\rtf"
_DOCUMENT_MARKS: Final = (b"%PDF-", b"II*\0", b"MM\0*", _RTF_MARK)


def is_document(content: bytes) -> bool:
    """Return True if *content* begins as a PDF, a TIFF or an RTF does."""
    return content.startswith(_DOCUMENT_MARKS)


def document_type(content: bytes, sent: str) -> str:
    """Return the media type of a fax's document.

    Known first bytes decide: they are signed, the type that was sent with them is not.
    """
    if content.startswith(b"%PDF-"):
        return "application/pdf"
    if content.startswith((b"II*\0", b"MM\0*")):
        return "image/tiff"
    if content.startswith(_RTF_MARK):
        return "application/rtf"
    return sent or "application/pdf"


def named_media(*urls: Any) -> Media | None:
    """Return the document that a provider only names: by the first of *urls* that is a web URL."""
    for url in urls:
        if isinstance(url, str) and (url := url.strip())[:8].lower().startswith(("https://", "http://")):
            return Media(url=url)
    return None
