"""The callbacks that the bench sends: each of a fax of its own, signed as Phaxio signs."""

import itertools
import json

import callbacks
from wire import request_of

_numbers = itertools.count(100_000_000)
"""Of faxes: no run of the bench sends the same one twice."""


def next_number() -> int:
    """Return the number of a fax that was never sent."""
    return next(_numbers)


def json_callback(number: int, to_number: str | None = None) -> bytes:
    """A sent fax's completion as JSON, signed with HMAC-SHA256 of the body; with *to_number* a received fax's."""
    direction = {"direction": "sent"} if to_number is None else {"direction": "received", "to_number": to_number}
    fax = {"id": number, **direction, "status": "success", "num_pages": 2, "from_number": "+15550100101"}
    body = json.dumps({"event_type": "fax_completed", "fax": {**fax, "completed_at": "2026-10-03T08:00:00.000Z"}})
    path = "/phaxio-callback" if to_number is None else "/phaxio-inbound"
    sent = callbacks.phaxio_json(body.encode(), path=path)
    return request_of(sent.target, sent.headers, sent.body)


def page_callback(number: int) -> bytes:
    """A page of a sent fax that is under way, of which nothing was told before."""
    fax = {"id": number, "direction": "sent", "status": "inprogress", "num_pages": 2, "from_number": "+15550100101"}
    page = {"event_type": "transmitting_page", "page": 1, "recipient_phone_number": "+15550100102", "fax": fax}
    sent = callbacks.phaxio_json(json.dumps(page).encode(), path="/phaxio-callback")
    return request_of(sent.target, sent.headers, sent.body)


def form_callback(number: int) -> bytes:
    """The same as a multipart form of ten fields, signed over URL and fields."""
    fax = {"id": number, "direction": "sent", "status": "success", "num_pages": 2, "from_number": "+15550100101"}
    fields = [("fax", json.dumps({**fax, "completed_at": "2026-10-03T08:00:00.000Z"})), ("event_type", "fax_completed")]
    fields += [("success", "true"), ("direction", "sent"), ("is_test", "false"), ("message", "Fax completed")]
    fields += [(f"metadata_{letter}", f"a value of {letter}") for letter in "abcd"]
    sent = callbacks.phaxio_form(fields)
    return request_of(sent.target, sent.headers, sent.body)


def json_callbacks(count: int) -> list[bytes]:
    """Return *count* callbacks of new faxes."""
    return [json_callback(next_number()) for _ in range(count)]
