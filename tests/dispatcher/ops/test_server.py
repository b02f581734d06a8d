"""The ops port: what is not HTTP gets a problem that quotes nothing of it."""

import asyncio

import msgspec
import pytest
from apis import Api


@pytest.mark.parametrize(
    "sent",
    [b"<script>secret</script>\r\n\r\n", b"GET / HTTP/1.1\r\nsecret\x00: 1\r\n\r\n", b"\x16\x03\x01secret\r\n\r\n"],
)
async def test_what_is_not_http_is_not_sent_back(api: Api, unused_tcp_port: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
    writer.write(sent)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert b"secret" not in head + body
    problem = msgspec.json.decode(body)
    assert (problem["code"], problem["detail"]) == ("malformed", "the request is not HTTP that can be read")
    assert (await api.ask("GET", "/v1/endpoints"))[0] == 200
