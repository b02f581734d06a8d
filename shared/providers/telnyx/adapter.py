"""Telnyx Programmable Fax: one signed JSON envelope for every event of a fax.

The rules are those of Telnyx's developer pages and SDKs.
"""

from collections.abc import Sequence

from shared.callback import Callback, Parsed, Verified
from shared.domain import Provider
from shared.errors import Unreadable
from shared.providers.common import read_inner, read_json_object
from shared.providers.telnyx.event import compose
from shared.signatures import load_telnyx_key, verify_telnyx


class TelnyxAdapter:
    """Telnyx's callbacks.

    Args:
        public_keys: Base64 of the raw 32 bytes, from the portal's keys page; each of them is valid.

    Raises:
        ValueError: One of them is not such a key.
    """

    provider: Provider = Provider.TELNYX
    routes: tuple[str, ...] = ("/telnyx-webhook",)

    def __init__(self, *, public_keys: Sequence[str]) -> None:
        self._public_keys = tuple(public_keys)
        try:
            for public_key in self._public_keys:
                load_telnyx_key(public_key)  # a wrong key must stop the start, not every callback
        except ValueError as error:
            raise ValueError(f"TELNYX_PUBLIC_KEY is wrong: {error}") from None

    def verify(self, callback: Callback) -> Verified:
        """Check Ed25519 over timestamp and raw body, within 300 s of the callback's arrival."""
        verify_telnyx(
            self._public_keys,
            callback.headers.get("telnyx-signature-ed25519"),
            callback.headers.get("telnyx-timestamp"),
            callback.body,
            callback.received_at.timestamp(),
        )
        return Verified(by="telnyx-ed25519")

    def parse(self, callback: Callback, verified: Verified) -> Parsed:  # noqa: ARG002 - the body says it all
        """Read the event, in its envelope or (as some of Telnyx's own samples print it) bare.

        Raises:
            Unreadable: It is not a JSON object, or lacks what Telnyx always sends: the ids of event and fax, the
                event's type.
        """
        sent = read_json_object(callback.body)
        data = read_inner(sent.get("data"))
        if isinstance(data, dict):
            # The members of `data`, and what is beside it (only `meta` so far), become the event's fields.
            sent = {name: value for name, value in sent.items() if name != "data"} | data
        payload = read_inner(sent.get("payload"))
        if not isinstance(payload, dict):
            if "fax_id" not in sent:
                raise Unreadable("there is no payload object")
            payload = sent  # flat: the fax's keys stand beside the event's
        return Parsed(event=compose(callback, sent, payload))
