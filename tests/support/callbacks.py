"""Callbacks to send: the samples, and generated ones signed with the test secrets."""

import json
import time
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from shared.signatures import sign_body, sign_phaxio, sign_telnyx

SAMPLES = Path(__file__).parent.parent / "samples"
PHAXIO_TOKEN = "0123456789"
PUBLIC_URL = "https://hooks.example.com"
TELNYX_SEED = b64decode("4CMw19gXfEdG9XQ1uAsHCCXB3VU2NuA7iGLRvZBq/8U=")


@dataclass(frozen=True)
class Outgoing:
    """One request that a provider would make."""

    target: str
    headers: dict[str, str]
    body: bytes

    async def send(self, session: aiohttp.ClientSession, base_url: str) -> tuple[int, dict[str, Any]]:
        async with session.post(base_url + self.target, data=self.body, headers=self.headers) as response:
            return response.status, await response.json()


def phaxio(fax_id: int, status: str = "success", *, job_id: str | None = None, **fields: Any) -> Outgoing:
    """A sent fax's completion as Phaxio posts it, urlencoded for brevity, signed with its own scheme."""
    fax = {"id": fax_id, "direction": "sent", "status": status, "num_pages": 2, "from_number": "+15551230000"}
    fax |= {"completed_at": "2026-10-03T08:00:00.000-06:00", **fields}
    return phaxio_form([("fax", json.dumps(fax)), ("event_type", "fax_completed")], job_id=job_id)


def phaxio_form(
    fields: list[tuple[str, str]], *, path: str = "/phaxio-callback", job_id: str | None = None
) -> Outgoing:
    target = path if job_id is None else f"{path}?job_id={job_id}"
    boundary = "testboundary"
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields]
    return Outgoing(
        target,
        {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "X-Phaxio-Signature": sign_phaxio(PHAXIO_TOKEN, PUBLIC_URL + target, fields, []),
        },
        "".join([*parts, f"--{boundary}--\r\n"]).encode(),
    )


def phaxio_fax(fax: dict[str, Any], *, is_received: bool) -> Outgoing:
    """The completion of a fax object, on the route of its direction."""
    fields = [("fax", json.dumps(fax)), ("event_type", "fax_completed")]
    return phaxio_form(fields, path="/phaxio-inbound" if is_received else "/phaxio-callback")


def phaxio_page(fax_id: int, page: int) -> Outgoing:
    """An inflight callback: a page went out."""
    fax = {"id": fax_id, "direction": "sent", "status": "inprogress"}
    fields = [("fax", json.dumps(fax)), ("event_type", "transmitting_page"), ("page", str(page))]
    return phaxio_form([*fields, ("recipient_phone_number", "+15559870000")])


def phaxio_json(body: bytes, secret: str = "phaxio-api-secret", path: str = "/phaxio-inbound") -> Outgoing:
    """JSON in Faxbot's scheme."""
    return Outgoing(path, {"Content-Type": "application/json", "X-Phaxio-Signature": sign_body(secret, body)}, body)


def sinch(fax_id: int, status: str = "COMPLETED", content: bytes = b"%PDF-1.4 a fax") -> Outgoing:
    """A fax received by Sinch, its document inside."""
    fax = {"id": f"sinch-{fax_id}", "direction": "INBOUND", "from": "+14155552222", "to": "+14155553333"}
    fax |= {"numberOfPages": 1, "status": status, "completedTime": "2026-10-03T14:00:00Z"}
    document = {"file": b64encode(content + str(fax_id).encode()).decode(), "fileType": "PDF"}
    body = json.dumps({"event": "INCOMING_FAX", "eventTime": "2026-10-03T14:00:01Z", "fax": fax, **document}).encode()
    return _by_sinch(body)


def sinch_body(content: dict[str, Any]) -> Outgoing:
    """Any callback of Sinch."""
    return _by_sinch(json.dumps(content).encode())


def _by_sinch(body: bytes) -> Outgoing:
    credentials = b64encode(b"sinch:s3cret:with:colons").decode()
    return Outgoing(
        "/sinch-inbound", {"Content-Type": "application/json", "Authorization": f"Basic {credentials}"}, body
    )


def asterisk(fax_id: int, status: str = "SUCCESS") -> Outgoing:
    """A fax received by an Asterisk of one's own."""
    report = {"tiff_path": f"/faxdata/{fax_id}.tiff", "to_number": "+15559870000", "from_number": "+15551230000"}
    report |= {"faxstatus": status, "faxpages": "2", "uniqueid": f"1603261234.{fax_id}"}
    headers = {"Content-Type": "application/json", "X-Internal-Secret": "sekret"}
    return Outgoing("/_internal/asterisk/inbound", headers, json.dumps(report).encode())


def telnyx(event_id: str, fax_id: str, event_type: str = "fax.delivered", **payload: Any) -> Outgoing:
    """A Telnyx event, signed now."""
    body = json.dumps(
        {
            "data": {
                "record_type": "event",
                "event_type": event_type,
                "id": event_id,
                "occurred_at": "2026-10-03T08:00:00.000000Z",
                "payload": {
                    "direction": "outbound",
                    "fax_id": fax_id,
                    "from": "+19459457421",
                    "to": "+13129457420",
                    "status": event_type.removeprefix("fax."),
                    **payload,
                },
            },
            "meta": {"attempt": 1, "delivered_to": "https://hooks.example.com/telnyx-webhook"},
        }
    ).encode()
    now = int(time.time())
    return Outgoing(
        "/telnyx-webhook",
        {
            "Content-Type": "application/json",
            "telnyx-timestamp": str(now),
            "telnyx-signature-ed25519": sign_telnyx(TELNYX_SEED, now, body),
        },
        body,
    )
