"""A fax at a provider of ours: as the list APIs of Telnyx, Phaxio and Sinch give it, and as its callback tells it."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import callbacks
from callbacks import Outgoing
from documents import PDF

from shared.callback import Callback, Verified
from shared.domain import Event, Provider, utc_now
from shared.providers import make_parsers

SINCH_PROJECT = "project-9d2"

WORDS = {
    "phaxio": {
        "fax.delivered": "success",
        "fax.failed": "failure",
        "fax.partially_delivered": "partialsuccess",
        "fax.received": "success",
        "fax.receive_failed": "failure",
        "under way": "inprogress",
    },
    "telnyx": {
        "fax.delivered": "delivered",
        "fax.failed": "failed",
        "fax.received": "received",
        "fax.receive_failed": "failed",
        "under way": "sending",
    },
    "sinch": {
        "fax.delivered": "COMPLETED",
        "fax.failed": "FAILURE",
        "fax.received": "COMPLETED",
        "fax.receive_failed": "FAILURE",
        "under way": "IN_PROGRESS",
    },
}
"""Each provider's word for how a fax stands. All types of ours that a finished fax of it can have are in it."""


@dataclass
class ProviderFax:
    """A fax at the provider. *ending* is the type of its event, or `under way`."""

    provider: str
    fax_id: str
    ending: str
    created_at: datetime
    finished_at: datetime | None
    from_number: str = "+15550100101"
    to_number: str = "+15550100102"
    document: bytes | None = PDF
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def is_received(self) -> bool:
        return self.ending in {"fax.received", "fax.receive_failed"}

    @property
    def word(self) -> str:
        return WORDS[self.provider][self.ending]

    def listed(self) -> dict[str, Any]:
        """Return the fax object of the list."""
        return {"phaxio": self._phaxio, "telnyx": self._telnyx, "sinch": self._sinch}[self.provider]() | self.more

    def callback(self) -> Outgoing:
        """Return the callback that tells its ending, signed now."""
        if self.provider == "phaxio":
            return callbacks.phaxio_fax(self._phaxio(), is_received=self.is_received)
        if self.provider == "telnyx":
            payload = {
                "direction": "inbound" if self.is_received else "outbound",
                "from": self.from_number,
                "to": self.to_number,
                "page_count": 3,
            }
            if self.word == "failed":
                payload["failure_reason"] = "user_busy"
            word = f"fax.{self.word}"
            return callbacks.telnyx(f"event-of-{self.fax_id}", self.fax_id, word, **payload)
        body = {"event": "INCOMING_FAX" if self.is_received else "FAX_COMPLETED", "fax": self._sinch()}
        return callbacks.sinch_body(body | {"eventTime": _iso(self.finished_at)})

    def event_of_callback(self) -> Event:
        """Return the event that the ingress makes of its callback."""
        sent = self.callback()
        received = Callback(
            route=sent.target, target=sent.target, query={}, headers=sent.headers, body=sent.body, received_at=utc_now()
        )
        return make_parsers(None)[Provider(self.provider)].parse(received, Verified(by="test")).event

    def _phaxio(self) -> dict[str, Any]:
        is_failed = self.ending in {"fax.failed", "fax.receive_failed"}
        return {
            "id": int(self.fax_id),
            "direction": "received" if self.is_received else "sent",
            "num_pages": 3,
            "status": self.word,
            "is_test": False,
            "created_at": _iso(self.created_at),
            "completed_at": None if self.finished_at is None else _iso(self.finished_at),
            "caller_id": None if self.is_received else self.from_number,
            "from_number": self.from_number if self.is_received else None,
            "to_number": self.to_number if self.is_received else None,
            "cost": 7,
            "tags": {"order_id": "1234"},
            "recipients": []
            if self.is_received
            else [{"phone_number": self.to_number, "status": self.word, "retry_count": 0}],
            "error_type": "lineError" if is_failed else None,
            "error_id": 17 if is_failed else None,
            "error_message": "Busy" if is_failed else None,
        }

    def _telnyx(self) -> dict[str, Any]:
        return {
            "record_type": "fax",
            "id": self.fax_id,
            "connection_id": "c-1",
            "direction": "inbound" if self.is_received else "outbound",
            "from": self.from_number,
            "to": self.to_number,
            "status": self.word,
            "client_state": None,
            "failure_reason": "user_busy" if self.word == "failed" else None,
            "created_at": _iso(self.created_at),
            "updated_at": _iso(self.finished_at or self.created_at),
        }

    def _sinch(self) -> dict[str, Any]:
        fax = {
            "id": self.fax_id,
            "direction": "INBOUND" if self.is_received else "OUTBOUND",
            "from": self.from_number,
            "to": self.to_number,
            "numberOfPages": 3,
            "status": self.word,
            "createTime": _iso(self.created_at),
            "projectId": SINCH_PROJECT,
        }
        if self.finished_at is not None:
            fax["completedTime"] = _iso(self.finished_at)
        if self.word == "FAILURE":
            fax |= {"errorType": "CALL_ERROR", "errorCode": 17, "errorMessage": "Busy"}
        return fax


def _iso(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_json(fax: ProviderFax) -> bytes:
    """Return the fax object of the list as JSON."""
    return json.dumps(fax.listed()).encode()
