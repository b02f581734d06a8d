"""Telnyx's callbacks, made for tests, and an adapter that takes them."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

from shared.callback import Callback, Verified
from shared.providers.telnyx.adapter import TelnyxAdapter
from shared.signatures import sign_telnyx

SAMPLES = Path(__file__).parents[1] / "samples" / "telnyx"
VECTORS = json.loads((SAMPLES / "vectors.json").read_text())
REASONS = json.loads((SAMPLES / "failure_reasons.json").read_text())
SEED = base64.b64decode(VECTORS["private_seed_b64"])
KEY = VECTORS["public_key_b64"]
OTHER_KEY = VECTORS["other_public_key_b64"]
NOW = datetime(2025, 10, 21, 12, 0, 0, tzinfo=UTC)
ADAPTER = TelnyxAdapter(public_keys=[KEY])


def sample(name):
    return json.loads((SAMPLES / "payloads" / name).read_text())


def callback(content, *, headers=None, received_at=NOW, query=None):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Callback(
        route="/telnyx-webhook",
        target="/telnyx-webhook",
        query=query or {},
        headers=headers or {},
        body=body,
        received_at=received_at,
    )


def signed(content, *, at=NOW, received_at=NOW):
    unsigned = callback(content)
    timestamp = int(at.timestamp())
    headers = {
        "telnyx-signature-ed25519": sign_telnyx(SEED, timestamp, unsigned.body),
        "telnyx-timestamp": str(timestamp),
    }
    return callback(unsigned.body, headers=headers, received_at=received_at)


def parse(content, **options):
    parsed = ADAPTER.parse(callback(content, **options), Verified(by="telnyx-ed25519"))
    assert parsed.document is None
    return parsed.event


def envelope(event_type, payload, *, event_id="e-1", meta=None, **data):
    payload = {"fax_id": "f-1", **payload}
    whole = {"data": {"event_type": event_type, "id": event_id, "payload": payload, **data}}
    return whole if meta is None else {**whole, "meta": meta}
