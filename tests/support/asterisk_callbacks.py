"""Reports of Asterisk's dialplan, made for tests, and adapters that take them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

from shared.callback import Callback, Verified
from shared.providers.asterisk.adapter import AsteriskAdapter

SAMPLES = Path(__file__).parents[1] / "samples"
BODIES = json.loads((SAMPLES / "asterisk" / "inbound_bodies.json").read_text())
T30_TEXTS = json.loads((SAMPLES / "asterisk" / "t30_completion_strings.json").read_text())
SPOOL = Path("/faxdata")
SECRET = "sekret"
NOW = datetime(2025, 10, 21, 12, 0, 0, tzinfo=UTC)
FORM = "application/x-www-form-urlencoded"
ADAPTER = AsteriskAdapter(secrets=[SECRET], spool_dir=SPOOL)
WITHOUT_SPOOL = AsteriskAdapter(secrets=[SECRET], spool_dir=None)
GOOD = {
    "tiff_path": "/faxdata/inbound/1603261234.89.tiff",
    "to_number": "+15559870000",
    "from_number": "+15551230000",
    "faxstatus": "SUCCESS",
    "faxpages": "2",
    "uniqueid": "1603261234.89",
}


def callback(body, *, content_type="application/json", headers=None, query=None):
    types = {} if content_type is None else {"Content-Type": content_type}
    return Callback(
        route="/_internal/asterisk/inbound",
        target="/_internal/asterisk/inbound",
        query=query or {},
        headers={**types, **(headers or {})},
        body=body,
        received_at=NOW,
    )


def parse(content, adapter=ADAPTER, **options):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return adapter.parse(callback(body, **options), Verified(by="asterisk-secret"))


def event_of(content, **options):
    return parse(content, **options).event


def without(*names, **changed):
    return {name: value for name, value in GOOD.items() if name not in names} | changed


def as_form(content):
    return urlencode(content).encode()
