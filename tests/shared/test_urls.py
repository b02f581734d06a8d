"""A URL's parts are read decoded, or the URL is refused in a sentence that does not quote it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.urls import parse_url

HIDDEN = "hush-hush"


def test_user_and_password_are_decoded_and_absent_ones_are_left_out() -> None:
    whole, bare = parse_url("amqp://a%40b:c%2Fd@[::1]:5672/vhost?x=1"), parse_url("http://Example.com")
    assert (whole.user, whole.password, whole.host, whole.port, whole.path) == ("a@b", "c/d", "::1", 5672, "/vhost")
    assert (bare.user, bare.password, bare.host, bare.port) == (None, None, "example.com", None)
    assert (whole.is_bare, bare.is_bare, parse_url("http://h/").is_bare) == (False, True, True)
    assert not any(parse_url(url).is_bare for url in ("http://h/a", "http://h?a", "http://h/#a"))


@pytest.mark.parametrize("url", [f"amqp://u:{HIDDEN}@h:x/", f"amqp://u:{HIDDEN}@h:65536/", f"http://u:{HIDDEN}@[::1"])
def test_what_is_not_a_url_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ValueError, match="it is no URL") as refusal:
        parse_url(url)
    assert HIDDEN not in str(refusal.value)


def test_a_password_is_in_no_rendering() -> None:
    assert HIDDEN not in f"{parse_url(f'amqp://u:{HIDDEN}@h/')!r}"


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        url = parse_url(text)
    except ValueError:
        return
    assert url.port is None or 0 <= url.port <= 65_535
