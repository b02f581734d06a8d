"""Genuine callbacks, changed: with a valid signature they get a verdict, without one a refusal, and nothing raises."""

import pytest
from adapters import ADAPTERS, NOW, PUBLIC_URL, ROUTES, credentials, judge
from fuzzing import examples
from hypothesis import given
from hypothesis import strategies as st
from mutations import Sent, changed_callbacks, genuine

from shared.callback import Callback
from shared.domain import decode_event, encode_event
from shared.errors import Malformed, Refused, SignatureInvalid, Unreadable, UnsupportedMediaType
from shared.forms import read_form
from shared.signatures import sign_phaxio

FORM_ROUTES = ["/phaxio-callback", "/phaxio-inbound"]


@pytest.mark.parametrize("route", ROUTES)
def test_what_is_changed_here_is_genuine(route: str) -> None:
    bodies = [sent for sent in genuine() if sent.route == route]
    assert len(bodies) >= 2
    assert any(judge(route, sent.body, content_type=sent.content_type) is not None for sent in bodies)


@pytest.mark.parametrize("route", ROUTES)
@examples(200)
@given(data=st.data())
def test_a_changed_callback_rightly_signed_is_parsed_or_unreadable(route: str, data: st.DataObject) -> None:
    sent = data.draw(changed_callbacks(route))
    judge(route, sent.body, content_type=sent.content_type)


@pytest.mark.parametrize("route", ROUTES)
@examples(100)
@given(sent=changed_callbacks())
def test_a_changed_callback_of_any_provider_without_a_valid_signature_is_refused(route: str, sent: Sent) -> None:
    headers = {} if sent.content_type is None else {"Content-Type": sent.content_type}
    headers |= {"X-Phaxio-Signature": "0" * 40, "Authorization": "Basic Og==", "telnyx-timestamp": "1761048000"}
    made = Callback(route=route, target=route, query={}, headers=headers, body=sent.body, received_at=NOW)
    with pytest.raises(Refused) as refusal:
        ADAPTERS[route].verify(made)
    assert refusal.value.status in {400, 401, 415}


@pytest.mark.parametrize("route", FORM_ROUTES)
@examples(200)
@given(data=st.data())
def test_a_changed_form_signed_by_phaxios_own_scheme_is_parsed_unreadable_or_refused_for_its_framing(
    route: str, data: st.DataObject
) -> None:
    sent = data.draw(changed_callbacks(data.draw(st.sampled_from(FORM_ROUTES))))
    try:
        form = read_form(sent.content_type, sent.body)
        files = [(part.name, part.content) for part in form.files]
        signature = sign_phaxio("phaxio-token-secret", PUBLIC_URL + route, form.fields, files)
    except Refused:
        signature = "0" * 40
    headers = {"X-Phaxio-Signature": signature}
    if sent.content_type is not None:
        headers["Content-Type"] = sent.content_type
    made = Callback(route=route, target=route, query={}, headers=headers, body=sent.body, received_at=NOW)
    try:
        parsed = ADAPTERS[route].parse(made, ADAPTERS[route].verify(made))
    except (Malformed, UnsupportedMediaType, SignatureInvalid, Unreadable):
        return
    assert decode_event(encode_event(parsed.event)) == parsed.event


@examples(150)
@given(sent=changed_callbacks(), place=st.integers(0, 10**6), bit=st.integers(0, 7), data=st.data())
def test_one_bit_flipped_in_a_body_that_is_signed_raw_is_refused(
    sent: Sent, place: int, bit: int, data: st.DataObject
) -> None:
    route = data.draw(st.sampled_from([each for each in ROUTES if "asterisk" not in each]))
    if not sent.body:
        return
    signed = _signed(route, sent)
    flipped = bytearray(sent.body)
    flipped[place % len(flipped)] ^= 1 << bit
    made = Callback(
        route=route, target=route, query={}, headers=signed.headers, body=bytes(flipped), received_at=signed.received_at
    )
    assert ADAPTERS[route].verify(signed).by
    with pytest.raises(SignatureInvalid):
        ADAPTERS[route].verify(made)


def _signed(route: str, sent: Sent) -> Callback:
    headers = credentials(route, sent.body)
    return Callback(route=route, target=route, query={}, headers=headers, body=sent.body, received_at=NOW)
