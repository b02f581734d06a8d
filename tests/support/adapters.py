"""Every provider's adapter with test secrets, and what holds for each of its events."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path

from shared.callback import Callback, Document, Parsed, SpoolFile
from shared.domain import Direction, EventType, decode_event, encode_event
from shared.errors import Unreadable
from shared.providers import ProviderSettings, make_adapters
from shared.signatures import basic_header, sign_body, sign_telnyx, telnyx_public_key

SEED = bytes(range(32))
NOW = datetime(2025, 10, 21, 12, 0, 0, tzinfo=UTC)
PUBLIC_URL = "https://hooks.example.com"
SECRETS = {
    "phaxio_callback_tokens": ("phaxio-token-secret",),
    "phaxio_api_secrets": ("phaxio-api-secret",),
    "telnyx_public_keys": (telnyx_public_key(SEED),),
    "sinch_users": ("sinch-user",),
    "sinch_passwords": ("sinch-password-secret",),
    "sinch_hmac_secrets": ("sinch-hmac-secret",),
    "asterisk_secrets": ("asterisk-secret-text",),
}
ADAPTERS = make_adapters(ProviderSettings(**SECRETS, asterisk_spool_dir=Path("/faxdata"), public_url=PUBLIC_URL))
ROUTES = sorted(ADAPTERS)
HEADERS = ("Content-Type", "Authorization", "X-Phaxio-Signature", "X-Phaxio-Signature-SHA256", "X-Sinch-Signature")
HEADERS += ("X-Internal-Secret", "telnyx-signature-ed25519", "telnyx-timestamp")
TYPES = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain")


def callback(route, body, headers=None, query=None):
    return Callback(route=route, target=route, query=query or {}, headers=headers or {}, body=body, received_at=NOW)


def credentials(route, body):
    """Return the headers that open *route* for *body*, whatever it is."""
    return {
        "/phaxio-callback": {"X-Phaxio-Signature": sign_body("phaxio-api-secret", body)},
        "/phaxio-inbound": {"X-Phaxio-Signature": sign_body("phaxio-api-secret", body)},
        "/telnyx-webhook": {
            "telnyx-signature-ed25519": sign_telnyx(SEED, int(NOW.timestamp()), body),
            "telnyx-timestamp": str(int(NOW.timestamp())),
        },
        "/sinch-inbound": {
            "Authorization": basic_header("sinch-user", "sinch-password-secret"),
            "X-Sinch-Signature": sign_body("sinch-hmac-secret", body),
        },
        "/_internal/asterisk/inbound": {"X-Internal-Secret": "asterisk-secret-text"},
    }[route]


def judge(route, body, *, content_type=None, query=None):
    """Send a rightly signed callback through both halves; return what is parsed, or None if it is unreadable."""
    headers = credentials(route, body) | ({} if content_type is None else {"Content-Type": content_type})
    made = callback(route, body, headers, query)
    verified = ADAPTERS[route].verify(made)
    try:
        parsed = ADAPTERS[route].parse(made, verified)
    except Unreadable:
        return None
    assert_storable(parsed)
    return parsed


def _texts(value):
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def assert_storable(parsed):
    """What goes on to the broker and the ledger must be JSON that PostgreSQL can hold, and one event throughout."""
    assert isinstance(parsed, Parsed)
    assert isinstance(parsed.document, Document | SpoolFile | None)
    event = parsed.event
    body = encode_event(event)
    assert decode_event(body) == event
    assert not any("\0" in text for text in _texts(json.loads(body)))
    assert event.phase == event.type.phase
    assert event.id.startswith(f"{event.provider}:")
    assert event.fax_id == event.fax_id.strip() != ""
    assert len(event.id.encode()) < 2000
    assert event.pages is None or 0 <= event.pages < 2**31
    assert event.attempt is None or 1 <= event.attempt < 2**31
    assert event.occurred_at is None or event.occurred_at.utcoffset().total_seconds() == 0
    one_sided = {
        **dict.fromkeys((EventType.DELIVERED, EventType.PARTIALLY_DELIVERED, EventType.FAILED), Direction.SENT),
        **dict.fromkeys((EventType.RECEIVED, EventType.RECEIVE_FAILED, EventType.RECEIVING), Direction.RECEIVED),
    }
    assert event.direction is one_sided.get(event.type, event.direction)


GENUINE = {
    "/telnyx-webhook": {
        "data": {
            "event_type": "fax.received",
            "id": "e1",
            "occurred_at": "2024-01-01T00:00:00Z",
            "payload": {
                "fax_id": "f1",
                "direction": "inbound",
                "from": "+15551234567",
                "to": "+15557654321",
                "page_count": 1,
                "partial_content": False,
                "media_url": "https://a.example/",
                "status": "received",
                "client_state": "s",
            },
        },
        "meta": {"attempt": 1},
    },
    "/sinch-inbound": {
        "event": "FAX_COMPLETED",
        "eventTime": "2024-01-01T00:00:00Z",
        "fax": {
            "id": "f1",
            "direction": "OUTBOUND",
            "from": "+15551234567",
            "to": "+15557654321",
            "numberOfPages": 2,
            "pagesSentSuccessfully": 1,
            "status": "FAILURE",
            "errorType": "CALL_ERROR",
            "errorCode": 17,
            "errorMessage": "Busy",
            "completedTime": "2024-01-01T00:00:00Z",
        },
        "file": "JVBERi0=",
        "files": [{"file": "JVBERi0=", "fileType": "PDF"}],
        "fileType": "PDF",
    },
    "/_internal/asterisk/inbound": {
        "tiff_path": "/faxdata/in.tiff",
        "to_number": "+15557654321",
        "from_number": "+15551234567",
        "faxstatus": "SUCCESS",
        "faxpages": "2",
        "uniqueid": "1603261234.89",
    },
    "/phaxio-callback": {
        "event_type": "fax_completed",
        "direction": "sent",
        "fax": {
            "id": 1,
            "status": "failure",
            "num_pages": 2,
            "to_number": "+15557654321",
            "completed_at": "2024-01-01T00:00:00Z",
            "recipients": [{"phone_number": "+15557654321", "status": "failure", "error_id": 17}],
            "error_id": 17,
            "error_type": "lineError",
        },
    },
}
GENUINE["/phaxio-inbound"] = GENUINE["/phaxio-callback"]


def places(value, path=()):
    """Yield the path of everything in a JSON value, itself included."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from places(item, (*path, name))


def replaced(whole, path, value):
    if not path:
        return value
    whole = copy.deepcopy(whole)
    holder = whole
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value
    return whole
