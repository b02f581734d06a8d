"""Any fields make an endpoint that webhooks can be posted to, or are refused with the name of the field."""

from typing import Any

import msgspec
from aiohttp import encode_basic_auth
from fuzzing import HIDDEN, examples, refusal
from hypothesis import given
from hypothesis import strategies as st
from json_mutations import TEXTS, VALUES
from yarl import URL

from dispatcher.channels.mail.address import parse_mailbox, parse_relay
from dispatcher.egress.guard import EgressRefused, check_host, is_allowed, parse_networks
from dispatcher.egress.target import public_url
from dispatcher.formats import FORMATS
from dispatcher.ops.endpoints.model import apply_fields, new_endpoint, read_fields, shown
from dispatcher.ops.endpoints.urls import BadEndpoint, checked_url
from dispatcher.policy.endpoint import Endpoint
from shared.signatures import basic_credentials

URLS = st.one_of(
    st.text(max_size=30).map(lambda text: "http://" + text),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40).map(lambda text: "https://" + text),
    st.text(max_size=30).map(lambda text: "mailto:" + text),
    st.sampled_from(
        [
            *(
                "http://[::1",
                "http://[::1]x/",
                "http://a:b@c:d@e/",
                "http://u:p%00@h/",
                "http://h:0/",
                "http://h:65536/",
            ),
            *(
                "http://%31%32%37.0.0.1/",
                "http://127.1/",
                "http://0x7f.1/",
                "http://h\\@10.0.0.1/",
                "http://@/",
                "http://:80/",
            ),
            *(
                "http://a.b.c.",
                "http://" + "a" * 64 + ".example/",
                "http://xn--/",
                "http://h/%zz",
                "http://h?%",
                "http://[fe80::1%25eth0]/",
            ),
            *(
                "mailto:a@b.example?bcc=c@d.example",
                "mailto:a%0d%0aBcc:b@c.example@d.example",
                "mailto:%00@b",
                "mailto:a@b,c@d",
            ),
            *(
                "HTTP://h/",
                "http:/h",
                "//h/",
                "http://h/\x7f",
                "http://h/" + "x" * 2048,
                "http://u:p@h:80/?a=#b",
                "http://..../",
            ),
        ]
    ),
)


def _as_decoded(value: Any) -> Any:
    """Return *value* as a JSON decoder would: its texts are plain ones, not the kind that is written as it is."""
    if isinstance(value, str):
        return str(value)
    return [_as_decoded(each) for each in value] if type(value) is list else value


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "url": URLS | VALUES,
        "failover_url": URLS | VALUES,
        "scope": st.sampled_from(["global", "number", "fax", "x"]) | VALUES,
        "direction": st.sampled_from(["sent", "received", "any"]) | VALUES,
        "match": st.one_of(
            VALUES, st.sampled_from(["+15551234567", {"job_id": "j"}, {"provider": "phaxio", "fax_id": "1"}])
        ),
        "format": st.sampled_from([*FORMATS, "x"]) | VALUES,
        "tokens": st.lists(TEXTS, max_size=6) | VALUES,
        "timeout_seconds": st.floats() | st.integers() | VALUES,
        "max_concurrent": st.integers() | VALUES,
        "inflight": VALUES,
        "enabled": VALUES,
        "overtaken": VALUES,
        "paused": VALUES,
        "types": st.lists(st.sampled_from(["fax.failed", "x"]) | VALUES, max_size=3) | VALUES,
        "headers": st.dictionaries(TEXTS | st.sampled_from(["X-A", "Host"]), TEXTS | st.none(), max_size=3) | VALUES,
        "description": TEXTS | VALUES,
        "x": VALUES,
    },
).map(lambda fields: {name: _as_decoded(value) for name, value in fields.items()})


@examples(300)
@given(given_fields=FIELDS, change=FIELDS, fields_url=URLS)
def test_any_fields_make_an_endpoint_that_can_be_posted_to_or_are_refused_by_name(
    given_fields: dict[str, Any], change: dict[str, Any], fields_url: str
) -> None:
    for fields in ({"url": fields_url}, given_fields, {"url": "https://a.example/", **given_fields}):
        made: list[Endpoint] = []
        sentence = refusal(
            lambda fields=fields, made=made: made.append(
                apply_fields(new_endpoint(read_fields(fields)), read_fields(change))
            ),
            BadEndpoint,
        )
        if sentence is not None:
            assert ": " in sentence
            continue
        (endpoint,) = made
        assert msgspec.json.encode(shown(endpoint, tokens=True))
        assert 0 < endpoint.timeout_seconds <= 60
        assert 1 <= endpoint.max_concurrent <= 1000


@examples(300)
@given(url=URLS)
def test_any_url_that_is_taken_can_be_posted_to_and_hides_its_password(url: str) -> None:
    try:
        checked_url("url", url)
    except BadEndpoint:
        return
    if url.startswith("mailto:"):
        return
    open_url = public_url(url)
    target = URL(open_url, encoded=True)
    assert target.user is None
    assert target.host
    named = URL(url, encoded=True)
    if named.user is not None:
        assert basic_credentials(encode_basic_auth(named.user, named.password or "")) is not None
    assert not any(letter in open_url for letter in "\r\n\0 ")
    try:
        check_host(target.raw_host or "", ())
    except EgressRefused:
        return


@examples()
@given(text=st.one_of(TEXTS, st.ip_addresses().map(str)))
def test_any_text_is_an_address_that_may_be_reached_or_not(text: str) -> None:
    assert is_allowed(text, parse_networks(["0.0.0.0/0", "::/0"])) or not is_allowed(text, ())


@examples()
@given(
    text=st.one_of(TEXTS, st.text(max_size=30).map(lambda text: f"{text}@example.com")),
    scheme=st.sampled_from(["", "smtp://", "smtps://u:p@"]),
)
def test_any_mailbox_and_relay_is_read_or_refused_without_quoting_it(text: str, scheme: str) -> None:
    for read in (parse_mailbox, parse_relay):
        assert HIDDEN not in (refusal(lambda read=read: read(scheme + text + HIDDEN), ValueError) or "")
