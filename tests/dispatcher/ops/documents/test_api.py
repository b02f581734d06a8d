"""Documents and raw callbacks are shown to those with the right only, each look audited, and a browser runs nothing."""

from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import aiohttp
import msgspec
import pytest
from apis import OPERATOR, READER, Api
from browser_sessions import BrowserSession
from dead_letters import quarantine_callback
from dispatchers import DispatcherHarness, an_event
from PIL import Image

from dispatcher.ops.simulator.documents import sample_pdf
from shared.domain import EventType
from shared.media import MediaStore

HOSTILE = (
    (b"<html><script>alert(1)</script>", "application/octet-stream"),
    (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "application/octet-stream"),
    (b"%PDF-1.7\n1 0 obj<</S/JavaScript/JS(app.alert(1))>>", "application/pdf"),
    (b"GIF89a/*<script>*/", "application/octet-stream"),
)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as opened:
        yield opened


async def test_whatever_a_document_is_a_browser_saves_it_and_runs_nothing(
    api: Api, http: aiohttp.ClientSession, unused_tcp_port: int, store: MediaStore
) -> None:
    for content, kind in HOSTILE:
        media = await store.put(content, "text/html")  # whatever its provider calls it
        url = f"http://127.0.0.1:{unused_tcp_port}/v1/documents/{media.key}"
        async with http.get(url, headers=OPERATOR) as response:
            assert (response.status, response.content_type, await response.read()) == (200, kind, content)
            assert response.headers["Content-Disposition"].startswith("attachment; ")
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
            assert response.headers["Cache-Control"] == "no-store"


async def test_a_reader_needs_the_right_and_each_look_names_the_fax(
    api: Api, http: aiohttp.ClientSession, unused_tcp_port: int, store: MediaStore, harness: DispatcherHarness
) -> None:
    media = await store.put(sample_pdf("a referral"), "application/pdf")
    event = an_event(1, EventType.RECEIVED, media=media)
    await harness.take(event, an_event(2, EventType.RECEIVED))
    _, token = await api.ask("POST", "/v1/tokens", {"name": "records", "rights": ["documents"]})
    _, reader = await api.ask("POST", "/v1/tokens", {"name": "lists", "rights": ["read"]})
    path = f"/v1/documents/{quote(media.key or '', safe='')}"
    named = f"?event_id={quote(event.id)}"
    for headers in (READER, {"Authorization": f"Bearer {reader['token']}"}):
        for each in (path, f"{path}/thumbnail"):
            status, problem = await api.ask("GET", each + named, headers=headers)
            assert (status, problem["code"]) == (403, "right_missing")
    url = f"http://127.0.0.1:{unused_tcp_port}"
    headers = {"Authorization": f"Bearer {token['token']}"}
    for each, kind in (
        (path + named, "application/pdf"),
        (f"{path}/thumbnail{named}", "image/png"),
        (path, "application/pdf"),
    ):
        async with http.get(url + each, headers=headers) as response:
            assert (response.status, response.content_type) == (200, kind)
    _, story = await api.ask("GET", "/v1/faxes/phaxio/1")
    assert story["events"][0]["document"]["key"] == media.key
    _, page = await api.ask("GET", "/v1/audit?who=records%20(token)")
    assert [(line["what"], line["subject"]) for line in reversed(page["items"])] == [
        ("document.read", "phaxio:1"),
        ("document.thumbnail", "phaxio:1"),
        ("document.read", media.key),
    ]
    assert page["items"][0]["details"]["document"] == media.key

    for wrong, status, code in (
        (f"{path}?event_id=phaxio:2-fax.received", 422, "other_document"),
        (f"{path}?event_id=none", 404, "not_found"),
        (f"{path}?event_id=%00", 404, "not_found"),
        (f"{path}?key=1", 422, "bad_query"),
        ("/v1/documents/ab/" + 64 * "0", 404, "not_found"),
        ("/v1/documents/..%2F..%2Fetc%2Fpasswd", 404, "not_found"),
        ("/v1/documents/ab%2F..%2F" + quote(media.key or "", safe=""), 404, "not_found"),
    ):
        found = await api.ask("GET", wrong)
        assert (found[0], found[1]["code"]) == (status, code), wrong
    _, after = await api.ask("GET", "/v1/audit?who=operator&what=document.read")
    assert after["items"] == []


async def test_nothing_is_shown_that_cannot_be_audited(api: Api, store: MediaStore, harness: DispatcherHarness) -> None:
    media = await store.put(b"%PDF-1.4 secret", "application/pdf")
    await harness.pool.execute("ALTER TABLE audit RENAME TO audit_away")
    status, problem = await api.ask("GET", f"/v1/documents/{media.key}")
    assert (status, "secret" in str(problem)) == (500, False)


async def test_the_pages_offer_the_document_and_the_raw_callback_to_those_who_may(
    api: Api,
    http: aiohttp.ClientSession,
    unused_tcp_port: int,
    store: MediaStore,
    harness: DispatcherHarness,
    tmp_path: Path,
) -> None:
    scan = BytesIO()
    Image.new("1", (1728, 1143), 1).save(scan, "TIFF", compression="group4", dpi=(204, 98))
    media = await store.put(scan.getvalue(), "image/tiff")
    await harness.take(an_event(1, EventType.RECEIVED, media=media))
    callback_id = await quarantine_callback(harness, tmp_path / "media", b'{"unreadable": "<script>"}')
    session = BrowserSession(http, f"http://127.0.0.1:{unused_tcp_port}")
    await session.log_in("ops-token", "Ada")
    fax = (await session.get("/faxes/phaxio/1")).text
    link = f"/documents/{media.key}?event_id=phaxio%3A1-fax.received"
    assert f'href="{link}"' in fax
    async with http.get(session.url + f"/documents/{media.key}/thumbnail?event_id=phaxio%3A1-fax.received") as answer:
        assert (answer.status, answer.content_type) == (200, "image/png")
        assert answer.headers["Content-Security-Policy"].startswith("sandbox")
        with Image.open(BytesIO(await answer.read())) as page:
            assert abs(page.width / page.height - 1728 / (1143 * 204 / 98)) < 0.01, (
                "standard resolution is not squeezed"
            )
    letter = (await session.get(f"/dead/letters/{callback_id}")).text
    raw = letter.partition('<a class="button" href="/documents/')[2].partition('"')[0]
    async with http.get(f"{session.url}/documents/{raw}") as answer:
        assert (answer.content_type, await answer.read()) == ("application/octet-stream", b'{"unreadable": "<script>"}')
    lines = await harness.pool.fetch("SELECT who, what, details FROM audit WHERE what LIKE 'document.%' ORDER BY id")
    assert [tuple(line)[:2] for line in lines] == [
        ("Ada (console)", "document.thumbnail"),
        ("Ada (console)", "document.read"),
    ]
    assert msgspec.json.decode(lines[1]["details"])["document"] == raw

    http.cookie_jar.clear()
    assert (await session.get(link)).location.startswith("/login?next=")
    await session.log_in("read-token")
    assert "may not see the contents of faxes" in (await session.get("/faxes/phaxio/1")).text
    for path in (link, f"/documents/{media.key}/thumbnail", f"/documents/{raw}"):
        assert (await session.get(path)).status == 403
