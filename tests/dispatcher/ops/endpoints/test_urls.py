"""A URL of an endpoint is one that a receiver can rebuild from a request; every other is refused with how to write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.egress.target import posted_url, public_url
from dispatcher.ops.endpoints.urls import BadEndpoint, checked_url


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://h", "as in http://h/"),
        ("http://h?a=1", r"as in http://h/\?a=1"),
        ("https://user:secret@h.example:8443", r"as in https://user:\*\*\*@h.example:8443/"),
        ("http://[2001:db8::1]", r"as in http://\[2001:db8::1\]/"),
        ("http://h:08080/", "plainly, such as 8080"),
        ("http://h:0/", "a port that is 0"),
        ("http://h:000/x", "a port that is 0"),
        ("http://[2001:db8::1]:080/", "plainly, such as 8080"),
        ("http://h:/x", "leave the colon out"),
        ("http://user:pass@h:/x", "leave the colon out"),
        ("http://h:65536/", "a port is 1 to 65535"),
        ("http://%68/", "names a host with other characters"),
        ("http://[fe80::1%25eth0]/", "names a host with other characters"),
        ("http://a,b/", "names a host with other characters"),
    ],
)
def test_what_no_receiver_can_rebuild_is_refused_with_how_to_write_it(url: str, sentence: str) -> None:
    with pytest.raises(BadEndpoint, match=sentence) as refused:
        checked_url("url", url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://h/",
        "http://h/hook?",
        "http://h/?",
        "http://h:80/x",
        "https://H.Example:443/a//b/../c?x=%zz",
        "http://user:p%40ss@h:8080/",
        "http://[2001:db8::1]:8080/",
    ],
)
def test_what_is_taken_is_posted_to_and_signed_byte_for_byte(url: str) -> None:
    assert posted_url(checked_url("url", url)) == public_url(url)


@given(
    st.sampled_from(["http", "https"]),
    st.sampled_from(["h", "H.example", "u:p@h", "[::1]", "h:80", "h:080", "h:", "h:1", "[::1]:01"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20).map(lambda tail: tail.replace("@", "")),
)
def test_every_url_that_is_taken_is_posted_to_byte_for_byte(scheme: str, authority: str, tail: str) -> None:
    url = f"{scheme}://{authority}{tail}"
    try:
        checked_url("url", url)
    except BadEndpoint:
        return
    assert posted_url(url) == public_url(url)
