"""The settings of traces, which both services read."""

from typing import Annotated
from urllib.parse import unquote

import msgspec

from shared.settings import BadSetting, Secret, check_url

OtlpEndpoint = Annotated[
    str | None,
    msgspec.Meta(
        description="switches traces on: an OpenTelemetry collector, `http://host:4318`; needs `faxhook[otel]`, whose "
        "SDK reads the other standard variables, such as OTEL_TRACES_SAMPLER"
    ),
]
OtlpHeaders = Annotated[
    Secret | None, msgspec.Meta(description="headers for that collector, `name=value,…`, percent-encoded")
]


def check_otlp(endpoint: str | None, headers: Secret | None) -> None:
    """Check what OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS say.

    Raises:
        BadSetting: One of them is wrong.
    """
    if endpoint is not None:
        check_url("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint, ("http", "https"))
    parse_headers(headers)


def parse_headers(headers: Secret | None) -> dict[str, str]:
    """Return the names and values of OTEL_EXPORTER_OTLP_HEADERS."""
    pairs = [] if headers is None else [each.partition("=") for each in headers.reveal().split(",") if each.strip()]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise BadSetting("OTEL_EXPORTER_OTLP_HEADERS is wrong: it must be `name=value,name=value`")
    return {unquote(name.strip()): unquote(value.strip()) for name, _, value in pairs}
