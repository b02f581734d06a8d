"""Why a fax failed, in plain English: reasons for the providers' most common codes. Pure.

A code that is not in a table is shown as the provider wrote it.
"""

import unicodedata
from typing import Final

from shared.domain import Failure

# Phaxio's lineError and Sinch's CALL_ERROR are the same numbers; so are their document and fax errors.
_CALL: Final = {
    "11": "call dropped",
    "15": "telephone network busy",
    "16": "no answer",
    "17": "line busy",
    "19": "the other side hung up at once",
    "30": "no fax machine answered",
    "32": "incompatible number",
    "34": "number not in service",
    "43": "the call could not be set up",
    "49": "number not in service",
    "50": "call rejected",
    "52": "no route to this number",
    "73": "the number has changed",
}
_DOCUMENT: Final = {
    "4": "the document could not be converted",
    "54": "the document could not be fetched",
    "55": "the document could not be fetched",
    "57": "the provider could not store the document",
    "69": "the provider could not store the document",
    "128": "unknown file type",
    "129": "this file type cannot be faxed",
    "130": "this file type cannot be faxed",
    "133": "the PDF could not be read",
}
_FAX: Final = {
    **dict.fromkeys(("6", "82"), "the fax machines lost each other"),
    **dict.fromkeys(("31", "68"), "the fax machines do not understand each other"),
    **dict.fromkeys(("13", "14", "26"), "the other machine did not respond"),
    **dict.fromkeys(("40", "44"), "telephone trouble"),
    "7": "page size not accepted at the other end",
    "25": "resolution not accepted at the other end",
    "38": "the other side hung up",
    "46": "not enough funds in the provider's account",
    "48": "no response after a page; paper may be out",
    "75": "cancelled",
    "76": "cancelled, it took too long",
    "117": "no pages came",
    "131": "transmission incomplete",
    "132": "no fax tone",
    "133": "number not permitted",
}
_PLAIN: Final = {
    "account_disabled": "the provider's account is disabled",
    "busy": "line busy",
    "carrier_lost": "connection lost",
    "connection_channel_limit_exceeded": "too many faxes at once",
    "destination_invalid": "invalid number",
    "destination_not_in_countries_whitelist": "faxes to this country are not allowed",
    "destination_not_in_service_plan": "number not in the service plan",
    "destination_unreachable": "number unreachable",
    "fax_initial_communication_timeout": "the other machine did not respond",
    "fax_signaling_error": "the fax machines do not understand each other",
    "file_download_failed": "the document could not be fetched",
    "file_format_invalid": "this file type cannot be faxed",
    "file_size_limit_exceeded": "the document is too large",
    "no_answer": "no answer",
    "outbound_profile_channel_limit_exceeded": "too many faxes at once",
    "outbound_profile_daily_spend_limit_exceeded": "daily spending limit reached",
    "page_count_limit_exceeded": "too many pages",
    "receiver_call_dropped": "the other side hung up",
    "receiver_communication_error": "the fax machines lost each other",
    "receiver_decline": "call rejected",
    "receiver_incompatible_destination": "incompatible number",
    "receiver_invalid_number_format": "invalid number",
    "receiver_no_answer": "no answer",
    "receiver_no_response": "the other machine did not respond",
    "receiver_unallocated_number": "number not in service",
    "sender_call_dropped": "the sender hung up",
    "sender_canceled": "cancelled by the sender",
    "sender_communication_error": "the fax machines lost each other",
    "service_unavailable": "the provider's service was unavailable",
    "unverified_destination_not_allowed": "number not verified with the provider",
    "unverified_origination_number": "our number is not verified with the provider",
    "user_busy": "line busy",
    "user_channel_limit_exceeded": "too many faxes at once",
}
_NUMBERED: Final = {
    "lineerror": _CALL,
    "call_error": _CALL,
    "line_error": _CALL,
    "documentconversionerror": _DOCUMENT,
    "document_conversion_error": _DOCUMENT,
    "faxerror": _FAX,
    "fax_error": _FAX,
}

_UNWRITABLE: Final = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Control characters, lone surrogates, unassigned, line and paragraph separators: a blank takes their place."""

_INVISIBLE: Final = "Cf"
"""Soft hyphens, directions of writing, marks without width: the text reads the same without them."""

_JOINERS: Final = "\u200c\u200d"
_JOINED: Final = frozenset({"Lo", "Mc", "Mn", "Sk", "So"})
"""Letters of scripts without cases, their marks, and emoji: between two of them a joiner is a part of the writing."""


def plain(text: str, most_characters: int = 300) -> str:
    r"""Return one line of what may be shown: nothing that ends a line, hides, or turns the direction of writing.

    >>> plain("busy\r\nBcc: everybody@example.com")
    'busy Bcc: everybody@example.com'
    """
    if not (text.isascii() and text.isprintable()):
        text = "".join(_shown(text, at) for at in range(len(text)))
    text = " ".join(text.split())
    return text if len(text) <= most_characters else text[: most_characters - 1] + "…"


def _shown(text: str, at: int) -> str:
    """Return the character at *at* as it may be shown."""
    category = unicodedata.category(text[at])
    if category == _INVISIBLE:
        beside = {unicodedata.category(letter) for letter in (text[at - 1 : at] + text[at + 1 : at + 2])}
        is_joining = text[at] in _JOINERS and 0 < at < len(text) - 1 and beside <= _JOINED
        return text[at] if is_joining else ""
    return " " if category in _UNWRITABLE else text[at]


def reason(failure: Failure | None) -> str | None:
    """Return why, in plain words: a table's, else the provider's own; None if the provider gave none.

    >>> reason(Failure(type="lineError", code="17", message="Busy signal")), reason(Failure(code="user_busy"))
    ('line busy', 'line busy')
    >>> reason(Failure(type="lineError", code="999", message="Something odd"))
    'Something odd'
    """
    if failure is None:
        return None
    code, message = (failure.code or "").strip(), (failure.message or "").strip()
    known = _NUMBERED.get((failure.type or "").strip().lower(), _PLAIN).get(code.lower())
    said = known or _PLAIN.get(message.lower()) or message or code or (failure.type or "")
    return plain(said) or None


def own_words(failure: Failure | None) -> str | None:
    """Return what the provider wrote, for questions to it: message, type and code; None if that adds nothing."""
    if failure is None:
        return None
    code = " ".join(part for part in (failure.type, failure.code) if part)
    message = failure.message or ""
    said = plain(f"{message} ({code})" if message and code and message != code else message or code)
    return None if said == reason(failure) else said or None


def advice(failure: Failure | None) -> str | None:
    """Return whether another try may help; None if that is not known."""
    if failure is None or failure.permanent is None:
        return None
    return "The same fax would fail again." if failure.permanent else "Trying again later may help."


def number(text: str | None) -> str:
    """Return a telephone number for people.

    >>> number("+15551230000"), number("+4722334455"), number(None)
    ('+1 555 123 0000', '+4722334455', 'unknown number')
    """
    if not text or not (shown := plain(text, 80)):
        return "unknown number"
    digits = shown.removeprefix("+1")
    if shown.startswith("+1") and len(digits) == 10 and digits.isascii() and digits.isdigit():  # noqa: PLR2004 - a North American number
        return f"+1 {digits[:3]} {digits[3:6]} {digits[6:]}"
    return shown
