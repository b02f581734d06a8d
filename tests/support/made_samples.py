"""Sample callbacks, and adapters that verify them by the same secrets."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

from dispatcher.ops.simulator.samples import SAMPLES, make_sample
from dispatcher.ops.simulator.settings import SimulateSettings
from shared.callback import Callback
from shared.providers import ProviderSettings, make_adapters
from shared.settings import load
from shared.signatures import telnyx_public_key

NOW = datetime(2025, 10, 21, 12, 0, 0, tzinfo=UTC)
SEED = bytes(range(32))
PUBLIC_URL = "https://hooks.example.com/fax"


def settings_of(**secrets: str) -> SimulateSettings:
    """Return the settings of `faxhook simulate` with these variables, in lower case."""
    return load(SimulateSettings, {name.upper(): value for name, value in secrets.items()})


SECRETS = settings_of(
    phaxio_callback_token="phaxio-token",
    phaxio_api_secret="phaxio-api",
    telnyx_simulate_seed=base64.b64encode(SEED).decode(),
    sinch_inbound_basic_user="sinch",
    sinch_inbound_basic_pass="with:colons",
    sinch_inbound_hmac_secret="sinch-hmac",
    asterisk_inbound_secret="sekret",
)
ADAPTERS = make_adapters(
    ProviderSettings(
        phaxio_callback_tokens=("phaxio-token",),
        phaxio_api_secrets=("phaxio-api",),
        telnyx_public_keys=(telnyx_public_key(SEED),),
        sinch_users=("sinch",),
        sinch_passwords=("with:colons",),
        sinch_hmac_secrets=("sinch-hmac",),
        asterisk_secrets=("sekret",),
        asterisk_spool_dir=Path("/faxdata"),
        public_url=PUBLIC_URL,
    )
)
ALL = [(provider, event) for provider in SAMPLES for event in SAMPLES[provider]]


def make(provider, event, *, secrets=SECRETS, now=NOW, **options):
    return make_sample(secrets, PUBLIC_URL, provider, event, now=now, **options)


def receive(sample, adapters=ADAPTERS, now=NOW):
    query = {name: values[0] for name, values in parse_qs(sample.query).items()}
    callback = Callback(
        route=sample.path,
        target=sample.target,
        query=query,
        headers=sample.headers,
        body=sample.body,
        received_at=now,
    )
    adapter = adapters[sample.path]
    return adapter.parse(callback, adapter.verify(callback))


def as_dict(sample):
    return {name: getattr(sample, name) for name in type(sample).__struct_fields__}
