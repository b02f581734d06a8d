"""What is posted to is the URL byte for byte; what is signed is what is posted to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw import port_of, raw_server

from dispatcher.channels.outcome import Told
from dispatcher.channels.webhook import WebhookChannel
from dispatcher.egress.client import EgressClient
from dispatcher.egress.guard import parse_networks
from dispatcher.egress.target import basic_of, parse_target, posted_url, public_url


@pytest.mark.parametrize(
    ("url", "posted", "host", "port", "authority", "path"),
    [
        ("http://h/hook", "http://h/hook", "h", 80, "h", "/hook"),
        ("http://h/hook?", "http://h/hook?", "h", 80, "h", "/hook?"),
        ("http://h/?", "http://h/?", "h", 80, "h", "/?"),
        ("http://h?a=1", "http://h/?a=1", "h", 80, "h", "/?a=1"),
        ("http://h", "http://h/", "h", 80, "h", "/"),
        (
            "https://H.Example:443/a//b/../c",
            "https://H.Example:443/a//b/../c",
            "H.Example",
            443,
            "H.Example:443",
            "/a//b/../c",
        ),
        ("http://h:08080/x", "http://h:08080/x", "h", 8080, "h:08080", "/x"),
        ("http://h:/x", "http://h:/x", "h", 80, "h:", "/x"),
        ("https://u:p%40@h:8443/a?b=@#f", "https://h:8443/a?b=@", "h", 8443, "h:8443", "/a?b=@"),
        ("http://[2001:db8::1]:81/", "http://[2001:db8::1]:81/", "2001:db8::1", 81, "[2001:db8::1]:81", "/"),
        ("http://h/%7e%zz?q=%C3%A9+", "http://h/%7e%zz?q=%C3%A9+", "h", 80, "h", "/%7e%zz?q=%C3%A9+"),
        ("http://h/a?b?c/d", "http://h/a?b?c/d", "h", 80, "h", "/a?b?c/d"),
    ],
)
def test_a_url_is_taken_apart_and_written_as_it_stands(
    url: str, posted: str, host: str, port: int, authority: str, path: str
) -> None:
    target = parse_target(url)
    assert (target.url, target.host, target.port, target.authority, target.path) == (
        posted,
        host,
        port,
        authority,
        path,
    )
    assert posted_url(url) == posted


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h",
        "ftp://h/",
        "http://",
        "http:///x",
        "http://:80/",
        "http://h:0/",
        "http://h:65536/",
        "http://h:x/",
        "http://[::1/",
        "http://a]b/",
        "http://a:b:c/",
        "http://h/a b",
        "http://h/a\r\nX: b",
        "http://h/ä",
        "http://a b/",
    ],
)
def test_what_is_no_url_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as refused:
        parse_target(url)
    assert not url.partition("://")[2].strip("/") or url not in str(refused.value)
    assert posted_url(url) == public_url(url)


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("http://h/", None),
        ("http://h/a@b", None),
        ("http://@h/", None),
        ("http://user@h/", "Basic dXNlcjo="),
        ("http://user:p%40ss@h/", "Basic dXNlcjpwQHNz"),
        ("http://user:p:q@h/x@y", "Basic dXNlcjpwOnE="),
    ],
)
def test_user_and_password_become_basic(url: str, header: str | None) -> None:
    assert basic_of(url) == header


PATHS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=40)


@given(PATHS)
def test_any_path_is_written_as_it_stands(path: str) -> None:
    assert parse_target(f"http://h/{path}").path == f"/{path}"


@pytest.mark.parametrize("tail", ["/hook?", "/?", "/a/../b//", "/%7e?x=%zz", "?a=1", ""])
async def test_request_line_and_host_rebuild_the_url_that_is_signed(tail: str) -> None:
    heads = []

    async def handle(reader: object, writer: object) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))  # type: ignore[attr-defined]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")  # type: ignore[attr-defined]

    client = EgressClient(parse_networks(["127.0.0.0/8"]))
    try:
        async with raw_server(handle) as server:  # type: ignore[arg-type]
            url = f"http://127.0.0.1:{port_of(server)}{tail}"
            outcome = await WebhookChannel(client).post(url, posted_url(url), b"", {}, 3.0)
    finally:
        await client.close()
    assert isinstance(outcome, Told)
    lines = heads[0].decode().split("\r\n")
    host = next(line[6:] for line in lines if line.startswith("Host: "))
    assert f"http://{host}{lines[0].split()[1]}" == posted_url(url)
