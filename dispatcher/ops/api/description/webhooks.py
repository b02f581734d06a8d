"""What an endpoint gets, for each format, as OpenAPI's webhooks; the examples are rendered. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.formats import FORMATS, Facts
from shared.domain import Direction, Event, EventType, Phase, Provider
from shared.forms import read_form

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"

_AT: Final = datetime(2026, 11, 29, 8, 0, tzinfo=UTC)
_EXAMPLE: Final = Event(
    id="phaxio:1234567-fax.delivered",
    provider=Provider.PHAXIO,
    type=EventType.DELIVERED,
    phase=Phase.POSTFLIGHT,
    direction=Direction.SENT,
    fax_id="1234567",
    occurred_at=_AT,
    received_at=_AT,
    from_number="+15550100101",
    to_number="+15550100102",
    pages=3,
    job_id="referral-4711",
)
_DELIVERY_ID: Final = UUID("0199d2a1-4c3e-7b52-9f10-6a3c55e0d1aa")

_TEXT: Final = {"type": "string"}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
_FLAG: Final = {"type": "string", "enum": ["true", "false"]}


def _object(required: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def _phaxio(file: str, **more: Any) -> dict[str, Any]:
    fax = {"type": "string", "contentMediaType": JSON, "description": "the fax as a JSON object"}
    required = {"fax": fax, "direction": {"type": "string", "enum": ["sent", "received"]}, "is_test": _FLAG, **more}
    document = {"type": "string", "contentMediaType": "application/octet-stream", "description": "of a received fax"}
    return _object(required, success=_FLAG, **{file: document})


_SCHEMAS: Final[Mapping[str, dict[str, Any]]] = {
    "phaxio-v2.1": _phaxio(
        "file", event_type={"type": "string", "enum": ["fax_completed", "transmitting_page", "retry_scheduled"]}
    ),
    "phaxio-v2": _phaxio("file", message=_TEXT),
    "phaxio-v1": _phaxio("filename", message=_TEXT),
    "telnyx-v2": _object(
        {
            "data": _object({"record_type": {"const": "event"}, "event_type": _TEXT, "payload": {"type": "object"}}),
            "meta": _object({"attempt": {"type": "integer", "minimum": 1}, "delivered_to": _TEXT}),
        }
    ),
    "sinch-v3": _object(
        {
            "event": {"type": "string", "enum": ["FAX_COMPLETED", "INCOMING_FAX"]},
            "fax": _object(
                {
                    "direction": {"type": "string", "enum": ["OUTBOUND", "INBOUND"]},
                    "status": {"type": "string", "enum": ["COMPLETED", "FAILURE"]},
                }
            ),
        },
        file={"type": "string", "contentEncoding": "base64", "description": "the document of a received fax"},
    ),
    "standard-v1": _object(
        {
            "type": {"type": "string", "enum": list(EventType)},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": _object(
                {
                    "id": _TEXT,
                    "provider": {"type": "string", "enum": list(Provider)},
                    "direction": {"type": "string", "enum": list(Direction)},
                    "fax_id": _TEXT,
                    "from_number": _TEXT_OR_NULL,
                    "to_number": _TEXT_OR_NULL,
                    "pages": {"type": ["integer", "null"]},
                    "job_id": _TEXT_OR_NULL,
                }
            ),
        }
    ),
}
"""What every webhook of a format has; the provider's own fields come on top where the format passes them through."""

_PHAXIO_SIGNATURE: Final = {"X-Phaxio-Signature": "HMAC-SHA1, hex, of URL, fields and files with the first token"}
_SIGNATURES: Final[Mapping[str, Mapping[str, str]]] = {
    "phaxio-v2.1": _PHAXIO_SIGNATURE,
    "phaxio-v2": _PHAXIO_SIGNATURE,
    "phaxio-v1": _PHAXIO_SIGNATURE,
    "telnyx-v2": {
        "telnyx-timestamp": "unix seconds of the attempt",
        "telnyx-signature-ed25519": "base64 of Ed25519 over `timestamp|body`; the endpoint shows the public key",
    },
    "sinch-v3": {"X-Sinch-Signature": "HMAC-SHA256, hex, of the body with the first token"},
    "standard-v1": {
        "webhook-id": "the delivery's id",
        "webhook-timestamp": "unix seconds of the attempt",
        "webhook-signature": "`v1,` and base64 of HMAC-SHA256, one for each token",
    },
}
_ALWAYS: Final = frozenset({"webhook-id", "webhook-timestamp"})


def webhooks() -> dict[str, Any]:
    """Return what is posted to endpoints, by format."""
    return {name: {"post": _described(name)} for name in FORMATS}


def _described(name: str) -> dict[str, Any]:
    media_type = FORM if name.startswith("phaxio") else JSON
    content = {"schema": _SCHEMAS[name], "example": _example(name, media_type)}
    return {
        "operationId": "receive" + "".join(part.capitalize() for part in name.replace(".", "-").split("-")),
        "summary": f"A fax's event in the format {name}",
        "description": "Posted to the endpoint's URL until it is answered 2xx, by the backoff table. Bears Basic "
        "credentials if the URL has some, and the signature if the endpoint has a token.",
        "tags": ["webhooks"],
        "security": [],
        "parameters": [
            {
                "name": header,
                "in": "header",
                "required": header in _ALWAYS,
                "description": description,
                "schema": _TEXT,
            }
            for header, description in _SIGNATURES[name].items()
        ],
        "requestBody": {"required": True, "content": {media_type: content}},
        "responses": {
            "2XX": {"description": "Delivered: it is not sent again"},
            "410": {"description": "Not wanted any more: the endpoint is disabled"},
            "default": {"description": "Not delivered: it is tried again by the backoff table"},
        },
    }


def _example(name: str, media_type: str) -> Any:
    facts = Facts(url="https://app.example/faxes", tokens=(), delivery_id=_DELIVERY_ID, attempt=1, now=_AT)
    webhook = FORMATS[name].render(_EXAMPLE, None, facts)
    if media_type == JSON:
        return msgspec.json.decode(webhook.body)
    return dict(read_form(webhook.headers["Content-Type"], webhook.body).fields)
