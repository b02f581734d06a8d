"""`/v1/endpoints`: shown without secrets, changed once by a repeated command, refused with the name of the field."""

import asyncio

from apis import Api
from dispatchers import STORE, DispatcherHarness, an_event

from dispatcher.policy.endpoint import FaxMatch
from shared.domain import EventType
from shared.ids import uuid7


async def test_an_endpoint_is_added_shown_changed_and_removed_and_its_token_is_shown_once(
    api: Api, harness: DispatcherHarness
) -> None:
    status, added = await api.ask("POST", "/v1/endpoints", {"url": harness.receiver.url, "direction": "sent"})
    assert status == 201
    (token,) = added["tokens"]
    assert added["scope"] == "global"
    assert added["timeout_seconds"] == 15.0
    path = f"/v1/endpoints/{added['id']}"
    status, shown = await api.ask("GET", path)
    assert status == 200
    assert "tokens" not in shown
    assert token not in str(shown)
    status, changed = await api.ask("PATCH", path, {"inflight": True, "max_concurrent": 3})
    assert (status, changed["inflight"], changed["max_concurrent"], changed["direction"]) == (200, True, 3, "sent")
    assert (await api.ask("DELETE", path))[0] == 200
    status, kept = await api.ask("GET", path)
    assert (status, kept["removed_at"] is not None, kept["health"]["verdict"]) == (200, True, "removed")
    assert kept["url"] == harness.receiver.url
    assert (await api.ask("GET", "/v1/endpoints"))[1]["items"] == []
    for method, tail, change in (
        *(("DELETE", "", None), ("PATCH", "", {"enabled": False}), ("POST", "/pause", None)),
        *(("POST", "/resume", None), ("POST", "/tokens", {}), ("POST", "/test", {})),
    ):
        status, problem = await api.ask(method, path + tail, change)
        assert (status, "was removed" in problem["detail"]) == (404, True), tail
    whats = [row["what"] for row in await harness.pool.fetch("SELECT what FROM audit ORDER BY id")]
    assert whats == ["endpoint.added", "endpoint.changed", "endpoint.removed"]


async def test_tokens_lie_encrypted_and_sign_what_is_delivered(api: Api, harness: DispatcherHarness) -> None:
    _, added = await api.ask("POST", "/v1/endpoints", {"url": harness.receiver.url, "tokens": ["a-token-of-mine"]})
    sealed = await harness.pool.fetchval("SELECT sealed_tokens[1] FROM endpoints")
    assert b"a-token-of-mine" not in sealed
    number = 0
    while not harness.receiver.received:
        number += 1
        await harness.publish(an_event(number))
        await harness.events(number)
    (webhook, *_) = harness.receiver.received
    assert webhook.phaxio_signature_matches(harness.receiver.url, "a-token-of-mine")
    assert added["signed"] is True


async def test_the_same_command_changes_once_and_gets_the_first_answer_tokens_included(
    api: Api, harness: DispatcherHarness
) -> None:
    body = {"url": harness.receiver.url, "command_id": "c1"}
    answers = await asyncio.gather(*(api.ask("POST", "/v1/endpoints", body) for _ in range(5)))
    assert {status for status, _ in answers} == {201}
    assert len({answer["id"] for _, answer in answers}) == 1
    assert len({answer["tokens"][0] for _, answer in answers}) == 1
    assert await harness.pool.fetchval("SELECT count(*) FROM endpoints") == 1
    status, problem = await api.ask("POST", "/v1/endpoints", {**body, "inflight": True})
    assert (status, problem["field"]) == (409, "command_id")
    path = f"/v1/endpoints/{answers[0][1]['id']}?command_id=c2"
    assert (await api.ask("DELETE", path))[0] == 200
    assert (await api.ask("DELETE", path))[0] == 200, "repeated, not refused as gone"
    await harness.pool.execute("UPDATE commands SET seen_at = now() - interval '24 hours 1 second'")
    assert (await api.ask("POST", "/v1/endpoints", body))[1]["id"] != answers[0][1]["id"]


async def test_a_command_that_was_refused_may_be_sent_again_corrected(api: Api, harness: DispatcherHarness) -> None:
    assert (await api.ask("POST", "/v1/endpoints", {"url": "ftp://x/", "command_id": "c1"}))[0] == 422
    assert (await api.ask("POST", "/v1/endpoints", {"url": harness.receiver.url, "command_id": "c1"}))[0] == 201


async def test_who_has_no_token_gets_401_and_the_readers_token_only_reads(api: Api) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic ops-token"}):
        assert (await api.ask("GET", "/v1/endpoints", headers=headers))[0] == 401
    reader = {"Authorization": "Bearer read-token"}
    assert (await api.ask("GET", "/v1/endpoints", headers=reader))[0] == 200
    assert (await api.ask("POST", "/v1/endpoints", {"url": "http://x/"}, headers=reader))[0] == 403


async def test_tokens_are_rotated_added_promoted_and_the_old_one_dropped(api: Api, harness: DispatcherHarness) -> None:
    _, added = await api.ask(
        "POST",
        "/v1/endpoints",
        {"url": harness.receiver.url, "format": "standard-v1", "tokens": ["whsec_b2xkZXIh"]},
    )
    path = f"/v1/endpoints/{added['id']}/tokens"
    status, rotated = await api.ask("POST", path, {})
    assert status == 200
    assert rotated["token"].startswith("whsec_")
    for _ in range(2):  # said twice, it undoes nothing
        await api.ask("POST", path, {"action": "promote"})
        (endpoint,) = await STORE.everything(harness.pool)
        assert endpoint.tokens == (rotated["token"], "whsec_b2xkZXIh")
    await api.ask("PATCH", f"/v1/endpoints/{added['id']}", {"inflight": True})
    _, shown = await api.ask("GET", f"/v1/endpoints/{added['id']}")
    newest, oldest = shown["token_list"]
    assert newest["ends_with"] == rotated["token"][-4:]
    assert oldest["ends_with"] == "", "four characters would be too much of a short one"
    assert newest["added_at"] > oldest["added_at"], "another change does not touch their dates"
    assert shown["next_rotation"] == "drop"
    await api.ask("POST", path, {"action": "drop"})
    (endpoint,) = await STORE.everything(harness.pool)
    assert endpoint.tokens == (rotated["token"],)


async def test_telnyx_endpoints_show_the_public_key_that_the_application_verifies_by(
    api: Api, harness: DispatcherHarness
) -> None:
    _, added = await api.ask("POST", "/v1/endpoints", {"url": harness.receiver.url, "format": "telnyx-v2"})
    _, shown = await api.ask("GET", f"/v1/endpoints/{added['id']}")
    assert shown["public_key"] == added["public_key"]
    assert len(shown["public_key"]) == 44


async def test_filters_that_nothing_can_match_are_refused_naming_one(api: Api) -> None:
    for query, field in (
        ("number=%2B15551&job_id=j1", "job_id"),
        ("job_id=j1&fax_id=f1", "fax_id"),
        ("scope=global&number=%2B15551", "number"),
        ("scope=number&job_id=j1", "job_id"),
    ):
        status, problem = await api.ask("GET", f"/v1/endpoints?{query}")
        assert (status, problem["code"], problem["field"]) == (422, "bad_query", field), problem


async def test_lists_come_in_pages(api: Api, harness: DispatcherHarness) -> None:
    ids = sorted([str((await harness.endpoint()).id) for _ in range(5)])  # within a millisecond by chance
    _, first = await api.ask("GET", "/v1/endpoints?limit=3")
    _, second = await api.ask("GET", f"/v1/endpoints?limit=3&after={first['next']}")
    assert [each["id"] for each in first["items"] + second["items"]] == ids
    assert second["next"] is None


async def test_a_list_is_narrowed_by_scope_number_job_and_enabled(api: Api, harness: DispatcherHarness) -> None:
    everything = await harness.endpoint()
    number = await harness.endpoint(scope="number", match="+15551", enabled=False)
    job = await harness.endpoint(scope="fax", match=FaxMatch(job_id="j1"))

    async def listed(query: str) -> list[str]:
        return [each["id"] for each in (await api.ask("GET", f"/v1/endpoints?{query}"))[1]["items"]]

    assert await listed("scope=global") == [str(everything.id)]
    assert await listed("number=%2B15551") == await listed("enabled=false") == [str(number.id)]
    assert await listed("job_id=j1") == await listed("scope=fax&enabled=true") == [str(job.id)]
    assert await listed("job_id=j1&enabled=false") == []
    fax = await harness.endpoint(scope="fax", match=FaxMatch(provider="sinch", fax_id="f1"))
    assert await listed("fax_id=f1") == [str(fax.id)]
    for bad in ("scope=numbers", "enabled=perhaps", "number=%00", "job_id="):
        assert (await api.ask("GET", f"/v1/endpoints?{bad}"))[0] == 422, bad


async def test_a_removal_is_previewed_and_changes_nothing(api: Api, harness: DispatcherHarness) -> None:
    everything = await harness.endpoint()
    number = await harness.endpoint(scope="number", match="+15551", enabled=False)
    path = f"/v1/endpoints/{number.id}"
    status, preview = await api.ask("DELETE", f"{path}?dry_run=true")
    assert (status, preview["removed"], preview["applies_instead"]) == (200, False, [str(everything.id)])
    assert (await api.ask("GET", path))[0] == 200
    assert (await api.ask("DELETE", f"{path}?dry_run=perhaps"))[0] == 422
    assert (await api.ask("GET", path))[0] == 200
    assert (await api.ask("DELETE", path))[1]["removed"] is True


async def test_a_faxs_endpoint_registered_late_by_api_gets_its_event(api: Api, harness: DispatcherHarness) -> None:
    await harness.publish(an_event(1, job_id="j1"))
    await harness.events(1)
    body = {"url": harness.receiver.url, "scope": "fax", "match": {"job_id": "j1"}}
    assert (await api.ask("POST", "/v1/endpoints", body))[0] == 201
    (delivery,) = await harness.settled(1)
    assert delivery["state"] == "told"


async def test_a_pause_is_answered_with_the_endpoint_once_for_a_command_and_is_a_field_too(
    api: Api, harness: DispatcherHarness
) -> None:
    endpoint = await harness.endpoint()
    path = f"/v1/endpoints/{endpoint.id}"
    for _ in range(2):
        status, paused = await api.ask("POST", f"{path}/pause", {"command_id": "p"})
        assert (status, paused["id"], paused["paused"], paused["under_way"]) == (200, str(endpoint.id), True, 0)
    await harness.publish(an_event(1))
    await harness.events(1)
    _, listed = await api.ask("GET", "/v1/deliveries")
    (delivery,) = listed["items"]
    assert (delivery["state"], delivery["due_at"]) == ("pending", None)
    assert "its endpoint is paused" in delivery["explanation"]
    _, queues = await api.ask("GET", "/v1/queues")
    assert (queues["owed"], queues["overdue"]) == (1, 0)
    assert all((each["next_due_at"] or "")[:1] != "9" for each in queues["items"])
    status, resumed = await api.ask("POST", f"{path}/resume")
    assert (status, resumed["paused"]) == (200, False)
    await harness.settled(1)
    assert (await api.ask("PATCH", path, {"paused": True}))[1]["paused"] is True
    _, audited = await api.ask("GET", f"/v1/audit?subject={endpoint.id}")
    assert [(each["what"], each["old"], each["new"]) for each in reversed(audited["items"])] == [
        ("endpoint.paused", {"paused": False}, {"paused": True}),
        ("endpoint.resumed", {"paused": True}, {"paused": False}),
        ("endpoint.changed", {"paused": False}, {"paused": True}),
    ]
    for bad in (f"/v1/endpoints/{uuid7()}/pause", "/v1/endpoints/nonsense/resume"):
        assert (await api.ask("POST", bad))[0] == 404
    assert (await api.ask("POST", f"{path}/pause", {"hours": 3}))[0] == 422


async def test_static_headers_are_sent_sealed_and_shown_by_name_only(api: Api, harness: DispatcherHarness) -> None:
    secret = "Bearer the-secret-of-billing"
    body = {"url": harness.receiver.url, "headers": {"X-Team": "billing-team-7", "Authorization": secret}}
    status, added = await api.ask("POST", "/v1/endpoints", body)
    assert (status, added["headers"]) == (201, ["X-Team", "Authorization"])
    path = f"/v1/endpoints/{added['id']}"
    await harness.publish(an_event(1))
    await harness.settled(1)
    (webhook,) = harness.receiver.received
    assert (webhook.headers["X-Team"], webhook.headers["Authorization"]) == ("billing-team-7", secret)
    delivery = await harness.pool.fetchval("SELECT id FROM deliveries")
    status, made = await api.ask("GET", f"/v1/deliveries/{delivery}/attempts/1")
    assert status == 200
    assert {"X-Team", "Authorization"} <= {name for name, _ in made["request"]["headers"]}
    _, tested = await api.ask("POST", f"{path}/test", {})
    assert harness.receiver.received[-1].headers["X-Team"] == "billing-team-7"
    # Replaced as a whole; null keeps a value that no client can read any more.
    status, changed = await api.ask("PATCH", path, {"headers": {"x-team": None, "X-New": "2"}})
    assert (status, changed["headers"]) == (200, ["x-team", "X-New"])
    assert (await STORE.everything(harness.pool))[0].headers == (("x-team", "billing-team-7"), ("X-New", "2"))
    assert (await api.ask("PATCH", path, {"headers": {"X-Unknown": None}}))[0] == 422
    assert (await api.ask("PATCH", path, {"headers": {}}))[1]["headers"] == []
    audit = str(await harness.pool.fetch("SELECT details FROM audit"))
    rows = str(await harness.pool.fetch("SELECT * FROM endpoints"))
    attempts = str(await harness.pool.fetch("SELECT * FROM attempts"))
    for text in (added, made, changed, audit, rows, attempts, tested):
        assert "the-secret-of-billing" not in str(text)
        assert "billing-team-7" not in str(text)


async def test_an_endpoint_gets_exactly_its_types_whatever_inflight_says(api: Api, harness: DispatcherHarness) -> None:
    types = ["fax.failed", "fax.sending"]
    body = {"url": harness.receiver.url, "types": types, "format": "telnyx-v2", "description": "Failures for the desk"}
    status, added = await api.ask("POST", "/v1/endpoints", body)
    assert (status, added["types"], added["description"]) == (201, types, "Failures for the desk")
    for number, event_type in enumerate((EventType.DELIVERED, EventType.QUEUED, EventType.SENDING, EventType.FAILED)):
        await harness.publish(an_event(number, event_type))
    await harness.events(4)
    rows = await harness.settled(2)
    assert {row["event_id"].rpartition("-")[2] for row in rows} == set(types)
    assert (await api.ask("POST", f"/v1/endpoints/{added['id']}/test", {}))[1]["type"] == "fax.sending"
    status, problem = await api.ask("PATCH", f"/v1/endpoints/{added['id']}", {"types": ["fax.lost"]})
    assert (status, problem["field"]) == (422, "types")
    _, listed = await api.ask("GET", "/v1/deliveries")
    assert {each["endpoint_name"] for each in listed["items"]} == {"Failures for the desk"}
    status, other = await api.ask("POST", "/v1/endpoints", {**body, "types": ["fax.delivered"]})
    assert status == 201, "other events: nothing is told twice"
    assert (await api.ask("PATCH", f"/v1/endpoints/{other['id']}", {"types": []}))[0] == 409


BAD = {
    "a header of ours": ({"url": "http://127.0.0.1/", "headers": {"X-Faxhook-Attempt": "9"}}, "headers"),
    "a header of the connection": ({"url": "http://127.0.0.1/", "headers": {"Transfer-Encoding": "gzip"}}, "headers"),
    "a signature": ({"url": "http://127.0.0.1/", "headers": {"x-phaxio-signature": "0"}}, "headers"),
    "a header with a line break": ({"url": "http://127.0.0.1/", "headers": {"X-A": "1\r\nX-B: 2"}}, "headers"),
    "a header's name with a line break": ({"url": "http://127.0.0.1/", "headers": {"X-A\nB": "1"}}, "headers"),
    "a header beside a login": ({"url": "http://u:p@127.0.0.1/", "headers": {"Authorization": "B"}}, "headers"),
    "headers of a mail": ({"url": "mailto:desk@example.com", "headers": {"X-A": "1"}}, "headers"),
    "an unknown type": ({"url": "http://127.0.0.1/", "types": ["fax.lost"]}, "types"),
    "a description of two lines": ({"url": "http://127.0.0.1/", "description": "a\nb"}, "description"),
    "no url": ({}, "url"),
    "another scheme": ({"url": "ftp://example.com/"}, "url"),
    "a fragment": ({"url": "http://127.0.0.1/#x"}, "url"),
    "a control character": ({"url": "http://127.0.0.1/\n"}, "url"),
    "no host": ({"url": "http:///x"}, "url"),
    "a host that does not resolve": ({"url": "http://no-such-host.invalid/"}, "url"),
    "a private host": ({"url": "http://10.0.0.1/"}, "url"),
    "a private failover": ({"url": "http://127.0.0.1/", "failover_url": "http://169.254.169.254/"}, "failover_url"),
    "an unknown format": ({"url": "http://127.0.0.1/", "format": "phaxio-v9"}, "format"),
    "an unknown field": ({"url": "http://127.0.0.1/", "colour": "red"}, "colour"),
    "a timeout too long": ({"url": "http://127.0.0.1/", "timeout_seconds": 61}, "timeout_seconds"),
    "no concurrency": ({"url": "http://127.0.0.1/", "max_concurrent": 0}, "max_concurrent"),
    "a wrong type": ({"url": "http://127.0.0.1/", "inflight": "yes"}, "inflight"),
    "a text that is not a number": ({"url": "http://127.0.0.1/", "scope": "number", "match": "5551234"}, "match"),
    "a fax without its id": ({"url": "http://127.0.0.1/", "scope": "fax", "match": {"provider": "phaxio"}}, "match"),
    "a global match": ({"url": "http://127.0.0.1/", "match": "+15551234567"}, "match"),
    "a fax's endpoint for received ones": (
        {"url": "http://127.0.0.1/", "scope": "fax", "match": {"job_id": "j"}, "direction": "received"},
        "direction",
    ),
    "a token that cannot sign": ({"url": "http://127.0.0.1/", "format": "telnyx-v2", "tokens": ["x"]}, "tokens"),
}


async def test_every_bad_field_is_refused_by_name_with_a_sentence_and_nothing_is_written(
    api: Api, harness: DispatcherHarness
) -> None:
    for name, (body, field) in BAD.items():
        status, problem = await api.ask("POST", "/v1/endpoints", body)
        assert (status, problem["field"]) == (422, field), name
        assert problem["detail"], name
    assert await harness.pool.fetchval("SELECT count(*) FROM endpoints") == 0
    assert await harness.pool.fetchval("SELECT count(*) FROM audit") == 0


async def test_all_wrong_fields_are_listed_an_unreachable_host_among_them(api: Api) -> None:
    body = {
        "url": "http://no-such-host.invalid/",
        "failover_url": "http://10.0.0.1/",
        "max_concurrent": 0,
        "inflight": 1,
    }
    status, problem = await api.ask("POST", "/v1/endpoints", body)
    assert (status, problem["field"]) == (422, "inflight")
    assert {each["field"] for each in problem["errors"]} == set(body)
    assert all(each["detail"] in problem["detail"] for each in problem["errors"])


async def test_an_endpoint_whose_host_no_longer_resolves_can_be_changed_and_switched_off(
    api: Api, harness: DispatcherHarness
) -> None:
    endpoint = await harness.endpoint(url="http://gone.invalid/hook", failover_url="http://10.0.0.1/", tokens=("x",))
    path = f"/v1/endpoints/{endpoint.id}"
    for change in ({"timeout_seconds": 3}, {"enabled": False}, {"enabled": True, "url": endpoint.url}):
        assert (await api.ask("PATCH", path, change))[0] == 200, change
    assert (await api.ask("POST", f"{path}/tokens", {"action": "add"}))[0] == 200
    status, problem = await api.ask("PATCH", path, {"url": "http://other.invalid/hook"})
    assert (status, problem["field"]) == (422, "url")


async def test_a_change_that_makes_no_sense_leaves_the_endpoint_as_it_was(api: Api, harness: DispatcherHarness) -> None:
    endpoint = await harness.endpoint(scope="fax", match=FaxMatch(job_id="j"))
    for path in (f"/v1/endpoints/{endpoint.id}", f"/v1/endpoints/{uuid7()}", "/v1/endpoints/nonsense"):
        status, _ = await api.ask("PATCH", path, {"scope": "global"})
        assert status in {404, 422}
    assert await STORE.everything(harness.pool) == [endpoint]


async def test_a_path_that_does_not_exist_and_a_body_that_is_no_json_are_problems_too(api: Api) -> None:
    assert (await api.ask("GET", "/v1/nothing"))[0] == 404
    status, problem = await api.ask("POST", "/v1/endpoints", [1])
    assert (status, problem["code"]) == (400, "malformed")
