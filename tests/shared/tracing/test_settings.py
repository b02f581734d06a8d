"""A wrong setting of traces is named in a sentence that does not show a secret."""

import pytest

from shared.settings import BadSetting, Secret
from shared.tracing.settings import check_otlp


@pytest.mark.parametrize("endpoint", ["collector:4318", "grpc://collector:4317", "ftp://collector", "a b"])
def test_an_endpoint_that_is_no_http_url_is_named(endpoint):
    with pytest.raises(BadSetting, match=r"^OTEL_EXPORTER_OTLP_ENDPOINT "):
        check_otlp(endpoint, None)


@pytest.mark.parametrize("headers", ["secret", "=secret", "a=1,secret"])
def test_headers_that_cannot_be_read_are_named_and_not_shown(headers):
    with pytest.raises(BadSetting, match=r"^OTEL_EXPORTER_OTLP_HEADERS ") as raised:
        check_otlp("http://collector:4318", Secret(headers))
    assert "secret" not in str(raised.value)
