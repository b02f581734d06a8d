"""The settings form sets what it shows; a masked password is neither lost nor sent to another host."""

import pytest

from dispatcher.ops.console.pages.endpoint_form import fields_of, values_of
from dispatcher.ops.endpoints.model import apply_fields, new_endpoint
from dispatcher.ops.endpoints.urls import BadEndpoint
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from shared.domain import Provider
from shared.ids import uuid7


def an_endpoint(**fields: object) -> Endpoint:
    return Endpoint(
        **{"id": uuid7(), "url": "https://user:pa:ss@example.com:8443/hook?a=1", "tokens": ("t",), **fields}
    )


@pytest.mark.parametrize(
    "endpoint",
    [
        an_endpoint(direction="sent", inflight=True, overtaken="deliver", failover_url="https://u:p@b.example/"),
        an_endpoint(scope="number", match="+15551234567", direction="received", timeout_seconds=2.5, max_concurrent=99),
        an_endpoint(scope="fax", match=FaxMatch(job_id="j1"), direction="sent", format="standard-v1", tokens=()),
        an_endpoint(scope="fax", match=FaxMatch(provider=Provider.SINCH, fax_id="f"), direction="sent", enabled=False),
        an_endpoint(url="mailto:a@example.com", tokens=()),
        an_endpoint(url="https://a.example/", types=("fax.failed", "fax.sending"), description="Desk"),
        an_endpoint(url="https://a.example/", headers=(("X-Key", "secret"), ("Authorization", "Bearer x: y"))),
    ],
)
def test_a_form_sent_back_as_it_was_changes_nothing(endpoint: Endpoint) -> None:
    sent = {
        name: value for name, value in values_of(endpoint).items() if value or name not in {"inflight", "overtaken"}
    }
    assert apply_fields(endpoint, fields_of(sent, endpoint)) == endpoint


def test_a_masked_password_follows_to_another_path_of_the_same_host() -> None:
    endpoint = an_endpoint()
    form = {**values_of(endpoint), "url": "https://user:***@example.com:8443/other"}
    assert fields_of(form, endpoint).values["url"] == "https://user:pa:ss@example.com:8443/other"


@pytest.mark.parametrize(
    "url",
    [
        "https://user:***@evil.example/hook?a=1",
        "https://user:***@example.com.evil.example/hook",
        "https://user:***@example.com:8443.evil.example/hook",
        "https://user:***@example.com:84430/hook",
        "https://other:***@example.com:8443/hook",
        "http://user:***@example.com:8443/hook?a=1",
        "https://x@user:***@example.com:8443/hook",
    ],
)
def test_a_masked_password_never_goes_to_another_host_user_or_scheme(url: str) -> None:
    endpoint = an_endpoint()
    with pytest.raises(BadEndpoint, match="enter the password again"):
        apply_fields(endpoint, fields_of({**values_of(endpoint), "url": url}, endpoint))


def test_a_password_entered_again_is_taken() -> None:
    endpoint = an_endpoint()
    form = {**values_of(endpoint), "url": "https://user:new@evil.example/"}
    assert fields_of(form, endpoint).values["url"] == "https://user:new@evil.example/"


def test_a_new_endpoint_gets_a_token_its_own_one_or_none() -> None:
    form = {**values_of(an_endpoint(url="https://example.com/", tokens=())), "direction": "sent"}
    assert len(new_endpoint(fields_of({**form, "signing": "generate"}, None)).tokens) == 1
    assert new_endpoint(fields_of({**form, "signing": "own", "token": "my-own-token"}, None)).tokens == (
        "my-own-token",
    )
    assert new_endpoint(fields_of({**form, "signing": "unsigned"}, None)).tokens == ()


def test_a_masked_header_keeps_its_value_and_a_line_that_cannot_be_read_is_refused() -> None:
    endpoint = an_endpoint(url="https://a.example/", headers=(("X-Key", "secret"),))
    form = values_of(endpoint)
    assert "secret" not in str(form)
    after = apply_fields(endpoint, fields_of({**form, "headers": "X-Key: ***\r\n\r\n X-New : a: b "}, endpoint))
    assert after.headers == (("X-Key", "secret"), ("X-New", "a: b"))
    for wrong in ("X-Key", ": x", "X-A: 1\nX-A: 2", "X-New: ***"):
        with pytest.raises(BadEndpoint, match="headers: "):
            apply_fields(endpoint, fields_of({**form, "headers": wrong}, endpoint))


def test_saving_settings_never_touches_tokens_or_the_switch() -> None:
    endpoint = an_endpoint(enabled=False)
    fields = fields_of({**values_of(endpoint), "token": "x", "signing": "own", "enabled": "on"}, endpoint)
    assert not {"tokens", "enabled"} & set(fields.values)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("timeout_seconds", "soon", "timeout_seconds"),
        ("max_concurrent", "1.5", "max_concurrent"),
        ("timeout_seconds", "nan", "timeout_seconds"),
        ("scope", "universe", "scope"),
        ("direction", "up", "direction"),
        ("format", "v9", "format"),
        ("url", "ftp://x/", "url"),
    ],
)
def test_what_is_wrong_is_refused_by_the_name_of_its_field(field: str, value: str, named: str) -> None:
    endpoint = an_endpoint(direction="sent")
    with pytest.raises(BadEndpoint) as refused:
        apply_fields(endpoint, fields_of({**values_of(endpoint), field: value}, endpoint))
    assert refused.value.field == named
