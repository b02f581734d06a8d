"""Each change is in the audit with its old and new values, or with what it was done to; secrets never."""

from pathlib import Path
from typing import Any
from unittest.mock import ANY

import aiohttp
import msgspec
from apis import TOKENS, Api, faxhook
from browser_sessions import BrowserSession
from dead_letters import add_dead_deliveries, quarantine_callback
from dispatchers import DispatcherHarness, an_event
from documents import PDF
from waiting import until

from dispatcher.ops.console.words import AUDITED
from shared.domain import EventType
from shared.media import MediaStore

SECRETS = (
    "first-of-its-tokens", "second-of-its-tokens", "its-password", "its-api-key", "third-of-its-tokens",
    "its-other-key", *TOKENS.values(),
)  # fmt: skip

CHANGES = {
    "endpoint.changed": {
        "enabled": (True, False),
        "timeout_seconds": (15.0, 30.0),
        "max_concurrent": (8, 2),
        "format": ("phaxio-v2.1", "phaxio-v1"),
        "inflight": (False, True),
        "overtaken": ("skip", "deliver"),
        "types": ([], ["fax.failed"]),
        "direction": ("any", "sent"),
        "description": ("", "billing"),
        "headers": ([], ["X-Key"]),
        "tokens": (1, 2),
    },
    "endpoint.paused": {"paused": (False, True)},
    "endpoint.resumed": {"paused": (True, False)},
    "endpoint.token_add": {"tokens": (2, 3)},
    "endpoint.token_promote": {"first_token": (ANY, ANY)},
    "endpoint.token_drop": {"tokens": (3, 1)},
}
"""What is told of the old and new values, for each field that changes; of tokens only their number, and the first."""

WHOLE = {"endpoint.added", "endpoint.removed", "token.created", "token.revoked"}
"""Added or removed as a whole: all values are new, or old."""

DETAILS = {
    "endpoint.tested": {"type"},
    "dead.replay": {"selection", "total"},
    "dead.discard": {"selection", "total", "reason"},
    "dead.discarded": {"job", "reason", "kind", "cause", "sha256"},
    "delivery.resend": {"selection", "total"},
    "endpoint.recover": {"selection", "total"},
    "list.exported": {"format"},
    "request.read": {"attempt"},
    "document.read": {"document", "bytes", "content_type"},
    "document.thumbnail": {"document", "bytes", "content_type"},
    "console.refused": {"reason", "count"},
    "api.refused": {"reason", "count"},
    "console.logged_in": set(),
    "job.stopped": set(),
}
"""What is no change of a value says what it was done to."""

ELSEWHERE = {"alerts.tested"}
"""It needs ways to the operator: the tests of the page of alerts have it."""


async def test_every_action_is_audited_with_what_it_changed_and_without_a_secret(
    api: Api, harness: DispatcherHarness, store: MediaStore, unused_tcp_port: int, tmp_path: Path
) -> None:
    await harness.take(an_event(91, EventType.FAILED))  # before there is an endpoint: it is recovered
    # Endpoints and their tokens.
    url = harness.receiver.url.replace("http://", "http://erp:its-password@")
    _, added = await api.ask("POST", "/v1/endpoints", {"url": url, "tokens": [SECRETS[0]], "allow_duplicate": True})
    path = f"/v1/endpoints/{added['id']}"
    changed = {name: new for name, (_, new) in CHANGES["endpoint.changed"].items()}
    changed |= {"headers": {"X-Key": "its-api-key"}, "tokens": list(SECRETS[:2])}
    for method, where, body in (
        ("PATCH", path, changed),
        ("PATCH", path, {"tokens": [SECRETS[0], SECRETS[4]], "headers": {"X-Key": "its-other-key"}}),
        ("PATCH", path, {"enabled": True}),
        ("POST", f"{path}/pause", {}),
        ("POST", f"{path}/resume", {}),
        ("POST", f"{path}/tokens", {"action": "add"}),
        ("POST", f"{path}/tokens", {"action": "promote"}),
        ("POST", f"{path}/tokens", {"action": "drop"}),
        ("POST", f"{path}/test", {}),
    ):
        status, answer = await api.ask(method, where, body)
        assert status == 200, (where, answer)
    rows = await harness.pool.fetch("SELECT what, details FROM audit ORDER BY id")
    assert rows
    _, page = await api.ask("GET", f"/v1/audit?subject={added['id']}")
    lines = {line["what"]: line for line in page["items"]}  # the oldest of each: the list begins with the newest
    for what, fields in CHANGES.items():
        line = lines[what]
        assert {name: (line["old"].get(name), line["new"].get(name)) for name in fields} == fields, what
        assert set(line["old"]) | set(line["new"]) == set(fields), what
    check_tokens(page["items"], lines["endpoint.token_promote"])
    assert (lines["endpoint.added"]["old"], lines["endpoint.added"]["new"]["timeout_seconds"]) == ({}, 15.0)

    # Access tokens, and who is refused.
    _, token = await api.ask("POST", "/v1/tokens", {"name": "records", "rights": ["documents"]})
    await api.ask("DELETE", f"/v1/tokens/{token['id']}")
    assert (await api.ask("GET", "/v1/faxes", headers={"Authorization": "Bearer no-such-token"}))[0] == 401

    # Jobs on dead letters and deliveries.
    endpoint = await harness.endpoint()
    await add_dead_deliveries(harness, [endpoint], 5)
    media = await store.put(PDF, "application/pdf")
    await harness.publish(an_event(90, EventType.RECEIVED, media=media))
    await until(lambda: harness.pool.fetchval("SELECT bool_and(state = 'told') FROM deliveries WHERE event_id LIKE "
                                              "'phaxio:90-%'"), "delivered")  # fmt: skip
    attempted = await harness.pool.fetchval("SELECT delivery_id FROM attempts ORDER BY started_at DESC LIMIT 1")
    callback_id = await quarantine_callback(harness, tmp_path / "media", b'{"unreadable": 1}')
    for where, body in (
        ("/v1/dead-letters/replay", {"filter": {"cause": "timeout"}}),
        ("/v1/dead-letters/discard", {"ids": [callback_id], "reason": "a test"}),
        ("/v1/dead-letters/discard", {"filter": {"kind": "delivery"}, "reason": "a test"}),
        ("/v1/deliveries/resend", {"ids": [str(attempted)]}),
        (f"{path}/recover", {"since": "2020-01-01T00:00:00Z"}),
    ):
        status, answer = await api.ask("POST", where, body)
        assert status in {200, 202}, (where, body, answer)

    # A job that is stopped: it has letters for longer than the API waits for it.
    await add_dead_deliveries(harness, [endpoint], 600, first=1_000)
    status, job = await api.ask("POST", "/v1/dead-letters/replay", {"filter": {"kind": "delivery"}})
    assert status in {200, 202}, job
    assert (await api.ask("POST", f"/v1/jobs/{job['id']}/stop", {}))[0] == 200

    # Looks at contents, and lists that are carried away.
    for where in (f"/v1/deliveries/{attempted}/attempts/1", "/v1/exports/faxes?format=csv"):
        assert (await api.read(where))[0] == 200
    await look_at_document(f"http://127.0.0.1:{unused_tcp_port}", media.key or "")
    await api.ask("DELETE", path)

    async def missing() -> set[str]:
        return (
            set(AUDITED)
            - ELSEWHERE
            - {row["what"] for row in await harness.pool.fetch("SELECT DISTINCT what FROM audit")}
        )

    async def all_refusals_are_there() -> bool:  # they are written a moment later
        return not {each for each in await missing() if each.endswith(".refused")}

    await until(all_refusals_are_there, "who was refused")
    assert await missing() == set()
    rows = await harness.pool.fetch("SELECT * FROM audit ORDER BY id")
    for row in rows:
        what, details = row["what"], msgspec.json.decode(row["details"])
        assert what in CHANGES or what in WHOLE or what in DETAILS, what
        if what in WHOLE:
            is_new = what.endswith(("added", "created"))
            assert (bool(details["new"]), bool(details["old"])) == (is_new, not is_new), what
        assert set(details) >= DETAILS.get(what, set()), (what, details)
    text = str(rows) + (await api.read("/v1/audit?limit=200"))[1]
    text += (await faxhook(harness.environment, "audit", "--json"))[1]
    for secret in (*SECRETS, token["token"], "no-such-token", PDF[:20].decode("latin-1")):
        assert secret not in text, secret


def check_tokens(items: list[dict[str, Any]], promoted: dict[str, Any]) -> None:
    """The audit tells which token is the first, and what looks as it did and is another."""
    assert promoted["old"]["first_token"].startswith(f"…{SECRETS[0][-4:]}, added ")
    assert promoted["new"]["first_token"] != promoted["old"]["first_token"]
    replaced = [line["details"]["replaced"] for line in items if "replaced" in line["details"]]
    assert replaced == [["1 token", "header X-Key"]]


async def look_at_document(url: str, key: str) -> None:
    """Log in at the console, at first with a wrong token, and look at a document."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        session = BrowserSession(http, url)
        await session.log_in("wrong", "Eve")
        await session.log_in("ops-token", "Ada")
        for path in (f"/documents/{key}/thumbnail", f"/documents/{key}"):
            async with http.get(url + path) as answer:
                assert answer.status in {200, 422}, path  # of some documents no page can be drawn
