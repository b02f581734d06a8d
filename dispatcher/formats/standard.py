"""Standard Webhooks 1.0.0 with our own event in it: nothing that we know is left unsaid.

| ours | standard-v1 |
|---|---|
| type | `type` |
| occurred_at, else received_at | `timestamp` |
| the whole event but `fields` | `data`, by the names of `shared.domain.Event`; what is not known is null |
| the delivery's id | header `webhook-id` |
| the time of the attempt | header `webhook-timestamp` |
| every token | header `webhook-signature`: one `v1` for each, so that either secret verifies during a rotation |
| the document | not carried; `data.media` says which it is |
"""

from typing import Final

import msgspec

from dispatcher.formats.base import Facts, Webhook
from shared.domain import Event
from shared.signatures import sign_standard

_NAMES: Final = tuple(name for name in Event.__struct_fields__ if name != "fields")
_encode = msgspec.json.Encoder().encode


class StandardV1:
    """The format `standard-v1`."""

    def has_word_for(self, event: Event) -> bool:  # noqa: ARG002 - it has a word for all
        """Everything can be said."""
        return True

    def wants_document(self, event: Event) -> bool:  # noqa: ARG002 - no event does
        """Payloads are to stay small."""
        return False

    def render(self, event: Event, document: bytes | None, facts: Facts) -> Webhook:  # noqa: ARG002 - see above
        """Return the JSON, signed with every token that is a secret of this kind."""
        data = {name: getattr(event, name) for name in _NAMES}
        body = _encode({"type": event.type, "timestamp": event.occurred_at or event.received_at, "data": data})
        timestamp = int(facts.now.timestamp())
        message_id = str(facts.delivery_id)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
        }
        signatures = [made for token in facts.tokens if (made := _signature(token, message_id, timestamp, body))]
        if signatures:
            headers["webhook-signature"] = " ".join(signatures)
        return Webhook(body=body, headers=headers)


def _signature(token: str, message_id: str, timestamp: int, body: bytes) -> str | None:
    try:
        return sign_standard(token, message_id, timestamp, body)
    except ValueError:  # not a secret of this kind: the other tokens still sign
        return None
