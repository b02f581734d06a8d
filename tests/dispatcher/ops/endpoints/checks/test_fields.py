"""Every wrong field of an endpoint is named at once, and only what changes is judged."""

from datetime import timedelta
from typing import Any

import pytest

from dispatcher.ops.endpoints.model import apply_fields, new_endpoint, read_fields, rotate_tokens
from dispatcher.ops.endpoints.urls import BadEndpoint
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from shared.domain import utc_now
from shared.ids import uuid7

URL = "https://app.example.com/hook"


def wrong(given: dict[str, Any], endpoint: Endpoint | None = None) -> dict[str, str]:
    fields = read_fields(given)
    with pytest.raises(BadEndpoint) as refused:
        new_endpoint(fields) if endpoint is None else apply_fields(endpoint, fields)
    assert refused.value.field == next(iter(refused.value.wrong))
    return dict(refused.value.wrong)


def test_all_wrong_fields_are_named_at_once_wrong_types_and_wrong_values_alike() -> None:
    named = wrong(
        {
            "url": "ftp://x/",
            "failover_url": "http://h/#x",
            "format": "fax-v9",
            "tokens": ["x" * 501],
            "inflight": "yes",
            "timeout_seconds": 61,
            "max_concurrent": 0,
            "scope": "number",
            "match": "5551234",
            "direction": "sent",
            "colour": "red",
        }
    )
    assert set(named) == {
        *("url", "failover_url", "format", "tokens", "inflight", "timeout_seconds", "max_concurrent"),
        *("match", "direction", "colour"),
    }


def test_a_missing_url_does_not_hide_the_other_wrong_fields() -> None:
    assert set(wrong({"max_concurrent": 0})) == {"url", "max_concurrent"}
    assert set(wrong({"url": 7, "max_concurrent": "many"})) == {"url", "max_concurrent"}


@pytest.mark.parametrize(
    "held",
    [
        {"url": "ftp://old.example.com/"},
        {"failover_url": "http://old.example.com"},
        {"format": "fax-v9"},
        {"tokens": ("x",)},
        {"tokens": tuple("abcdefg")},
        {"timeout_seconds": 600.0},
        {"max_concurrent": 5_000},
        {"scope": "number", "match": "1234"},
        {"scope": "fax", "match": FaxMatch(), "direction": "received"},
    ],
)
def test_what_an_endpoint_holds_already_does_not_stop_another_change(held: dict[str, Any]) -> None:
    endpoint = Endpoint(**{"id": uuid7(), "url": URL, **held})
    for change in ({"enabled": False}, {"inflight": True}, {"enabled": False, "url": endpoint.url, **shown(held)}):
        assert apply_fields(endpoint, read_fields(change)).url == endpoint.url


def shown(held: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in held.items()}


def test_a_field_that_changes_is_judged_whatever_the_others_are() -> None:
    endpoint = Endpoint(id=uuid7(), url="ftp://old.example.com/", tokens=("x",))
    assert set(wrong({"timeout_seconds": 61}, endpoint)) == {"timeout_seconds"}
    assert set(wrong({"tokens": ["x", "y"]}, endpoint)) == {"tokens"}
    assert set(wrong({"format": "standard-v1"}, endpoint)) == {"tokens"}, "the old token signs no such webhook"


def test_a_short_token_can_be_replaced_step_by_step() -> None:
    endpoint = Endpoint(id=uuid7(), url=URL, tokens=("x",))
    first, second = utc_now(), utc_now() + timedelta(seconds=1)
    added = rotate_tokens(endpoint, [first], "add", "a-better-token")
    promoted = rotate_tokens(added, [first, second], "promote")
    assert rotate_tokens(promoted, [second, first], "drop").tokens == ("a-better-token",)


@pytest.mark.parametrize("token", ["x", "12345", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_a_token_that_can_be_guessed_is_refused(token: str) -> None:
    assert "can be guessed" in wrong({"url": URL, "tokens": [token]})["tokens"]


def test_so_is_a_short_secret_of_standard_webhooks_however_it_is_written() -> None:
    assert "can be guessed" in wrong({"url": URL, "format": "standard-v1", "tokens": ["whsec_eA=="]})["tokens"]


def test_mail_takes_no_format_and_no_token() -> None:
    url = "mailto:desk@example.com"
    assert "mailto" in wrong({"url": url, "format": "standard-v1"})["format"]
    assert "mailto" in wrong({"url": url, "tokens": ["a-better-token"]})["tokens"]
    assert set(wrong({"url": url, "failover_url": url, "format": "sinch-v3"})) == {"format"}
    assert new_endpoint(read_fields({"url": url})).tokens == ()
    assert new_endpoint(read_fields({"url": url, "tokens": []})).tokens == ()
    mail = Endpoint(id=uuid7(), url=url)
    assert set(wrong({"format": "standard-v1"}, mail)) == {"format"}
    assert apply_fields(mail, read_fields({"format": mail.format, "timeout_seconds": 5.0})).timeout_seconds == 5.0


def test_a_webhook_as_the_failover_of_mail_has_both() -> None:
    given = {"url": "mailto:desk@example.com", "failover_url": URL, "format": "telnyx-v2"}
    endpoint = new_endpoint(read_fields(given))
    assert (endpoint.format, len(endpoint.tokens)) == ("telnyx-v2", 1)
