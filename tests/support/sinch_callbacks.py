"""Sinch's callbacks, made for tests, and adapters that take them."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

from shared.callback import Callback, Verified
from shared.providers.sinch.adapter import SinchAdapter

SAMPLES = Path(__file__).parents[1] / "samples"
SINCH = SAMPLES / "sinch"
META = json.loads((SINCH / "incoming_fax.multipart.meta.json").read_text())
USER, PASSWORD = META["basic_auth"]["user"], META["basic_auth"]["password"]
HMAC_VECTORS = json.loads((SINCH / "faxbot_hmac_vectors.json").read_text())["vectors"]
OTHER_APIS = json.loads((SINCH / "sinch_other_api_signature_vectors.json").read_text())
CODES = json.loads((SINCH / "error_codes.json").read_text())["codes"]
SECRET = "sinch-hmac-secret"
NOW = datetime(2025, 10, 21, 12, 0, 0, tzinfo=UTC)
PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n\r\n\x00\xff\xfe--end"
ENCODED = base64.b64encode(PDF).decode()
FAX = {"id": "F1", "direction": "INBOUND", "status": "COMPLETED", "from": "+15550100101", "to": "+15550100102"}


def adapter(*, users=(), passwords=(), secrets=(), allow_unverified=False):
    return SinchAdapter(users=users, passwords=passwords, hmac_secrets=secrets, allow_unverified=allow_unverified)


BASIC = adapter(users=[USER], passwords=[PASSWORD])
SIGNED = adapter(secrets=[SECRET])
BOTH = adapter(users=[USER], passwords=[PASSWORD], secrets=[SECRET])
PROVEN = Verified(by="sinch-basic")


def sample(name, folder=SINCH):
    return json.loads((folder / name).read_text())


def callback(content, *, content_type="application/json", headers=None, query=None):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    types = {} if content_type is None else {"Content-Type": content_type}
    return Callback(
        route="/sinch-inbound",
        target="/sinch-inbound",
        query=query or {},
        headers={**types, **(headers or {})},
        body=body,
        received_at=NOW,
    )


def parse(content, verified=PROVEN, **options):
    return BASIC.parse(callback(content, **options), verified)


def event_of(content, **options):
    return parse(content, **options).event


def multipart(fields, files=()):
    boundary = "x-boundary"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    ]
    body = "".join(parts).encode()
    for name, content_type, content in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="fax"\r\n'
        head += f"Content-Type: {content_type}\r\n\r\n" if content_type else "\r\n"
        body += head.encode() + content + b"\r\n"
    return {
        "content": body + f"--{boundary}--\r\n".encode(),
        "content_type": f"multipart/form-data; boundary={boundary}",
    }


def incoming(**fax):
    return {"event": "INCOMING_FAX", "fax": {"id": "F1", "direction": "INBOUND", "status": "COMPLETED", **fax}}


def completed(**fax):
    return {"event": "FAX_COMPLETED", "fax": {"id": "F1", "direction": "OUTBOUND", "status": "COMPLETED", **fax}}
