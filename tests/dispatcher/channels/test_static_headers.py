"""Static headers reach the application and override nothing of ours, whatever their names and values are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.channels.static_headers import own_headers, why_refused, wrong_headers

OURS = {"Content-Type": "application/json", "X-Faxhook-Attempt": "1", "webhook-signature": "v1,abc"}
REFUSED = [
    *("Host", "connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Expect"),
    *("Proxy-Authorization", "Proxy-Connection", "Content-Length", "content-type", "Content-Encoding", "User-Agent"),
    *("X-Faxhook-Event-Id", "x-faxhook-anything", "X-Phaxio-Signature", "X-Sinch-Signature", "webhook-id"),
    *("telnyx-signature-ed25519", "Telnyx-Timestamp", "Accept-Encoding"),
    *("", "a b", "a:b", "a\r\nb", "a\nX-Evil", "é", "a\0", "x" * 101),
]


@pytest.mark.parametrize("name", REFUSED)
def test_names_of_ours_of_the_connection_and_what_is_no_name_are_refused(name: str) -> None:
    (sentence,) = wrong_headers([(name, "v")], has_login=False)
    assert sentence
    assert not {"\r", "\n", "\0"} & set(sentence)
    assert own_headers(((name, "v"),), {}) == {}, "nor is it sent if it was stored nevertheless"


@pytest.mark.parametrize("value", ["", " ", "a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "a ", " a", "\t", "é", "\x7f"])
def test_a_value_with_a_line_break_or_beyond_one_line_of_ascii_is_refused_and_not_shown(value: str) -> None:
    (sentence,) = wrong_headers([("X-Key", value)], has_login=False)
    assert "X-Evil" not in sentence
    assert own_headers((("X-Key", value),), {}) == {}


def test_too_many_too_long_and_the_same_name_twice_are_refused() -> None:
    assert list(wrong_headers([(f"X-{n}", "v") for n in range(21)], has_login=False)) == ["more than 20"]
    assert "longer" in next(wrong_headers([("X-A", "v" * 2001)], has_login=False))
    assert "twice" in next(wrong_headers([("X-A", "1"), ("x-a", "2")], has_login=False))


def test_authorization_and_a_user_in_the_url_contradict_each_other() -> None:
    given_headers = [("Authorization", "Bearer x")]
    assert list(wrong_headers(given_headers, has_login=False)) == []
    assert "contradict" in next(wrong_headers(given_headers, has_login=True))


@given(
    st.lists(
        st.tuples(st.text(max_size=12) | st.sampled_from([*OURS, *REFUSED, "X-A"]), st.text(max_size=12)), max_size=6
    )
)
def test_whatever_is_stored_ours_are_sent_as_they_are_and_no_line_breaks(static: list[tuple[str, str]]) -> None:
    sent = {**OURS, **own_headers(tuple(static), OURS)}
    assert {name: sent[name] for name in OURS} == OURS
    assert not {name.lower() for name in sent if name not in OURS} & {name.lower() for name in OURS}
    for name, value in sent.items():
        assert not {"\r", "\n", "\0"} & set(name + value)
        assert name in OURS or why_refused(name) is None
    assert "Authorization" not in own_headers((("Authorization", "x"),), OURS, has_login=True)
