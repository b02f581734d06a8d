"""No second endpoint is told of the same faxes at the same URL unless a client asks for it."""

import asyncio
from typing import Any

import pytest
from apis import Api, faxhook
from dispatchers import DispatcherHarness

from dispatcher.ops.endpoints.checks.duplicates import find_duplicate, target_of
from dispatcher.policy.endpoint import Endpoint
from shared.ids import uuid7

URL = "http://127.0.0.1:9/hook"


@pytest.mark.parametrize(
    "other",
    [
        "http://127.0.0.1:9/hook#",
        "http://127.0.0.1:9/hook?",
        "http://127.0.0.1:9/hook/",
        "http://127.0.0.1:90/hook",
        "https://127.0.0.1:9/hook",
        "http://a@127.0.0.1:9/hook",
        "mailto:hook@127.0.0.1",
    ],
)
def test_another_place_is_another_target(other: str) -> None:
    assert (target_of(other) == target_of(URL)) is (other[-1] in "#?")


def test_directions_that_share_faxes_are_told_twice_and_others_are_not() -> None:
    first = Endpoint(id=uuid7(), url=URL, direction="sent")

    def found(**fields: Any) -> bool:
        return find_duplicate(Endpoint(**{"id": uuid7(), "url": URL, **fields}), [first]) is not None

    assert found(direction="sent")
    assert found(direction="any")
    assert not found(direction="received")
    assert find_duplicate(first, [first]) is None


async def test_a_second_one_is_refused_with_the_first_one_named_in_each_scope(
    api: Api, harness: DispatcherHarness
) -> None:
    scopes: list[dict[str, Any]] = [
        {"direction": "sent"},
        {"scope": "number", "match": "+15551234567"},
        {"scope": "fax", "match": {"job_id": "j"}},
        {"scope": "fax", "match": {"provider": "sinch", "fax_id": "f"}},
    ]
    for scope in scopes:
        body = {"url": URL, **scope}
        status, first = await api.ask("POST", "/v1/endpoints", body)
        assert status == 201
        for again in (body, {**body, "url": "http://127.0.0.1:9/hook?"}, {**body, "format": "standard-v1"}):
            status, problem = await api.ask("POST", "/v1/endpoints", again)
            assert (status, problem["code"], problem["field"]) == (409, "duplicate_endpoint", "url")
            assert first["id"] in problem["detail"]
        assert (await api.ask("POST", "/v1/endpoints", {**body, "allow_duplicate": True}))[0] == 201
    assert await harness.pool.fetchval("SELECT count(*) FROM endpoints") == 2 * len(scopes)


async def test_of_two_that_are_added_at_once_one_is_refused(api: Api, harness: DispatcherHarness) -> None:
    answers = await asyncio.gather(*(api.ask("POST", "/v1/endpoints", {"url": URL}) for _ in range(6)))
    assert sorted(status for status, _ in answers) == [201, 409, 409, 409, 409, 409]
    assert await harness.pool.fetchval("SELECT count(*) FROM endpoints") == 1


async def test_a_change_into_a_second_one_is_refused_and_any_other_change_of_one_is_not(
    api: Api, harness: DispatcherHarness
) -> None:
    first = await harness.endpoint(url=URL, direction="sent")
    other = await harness.endpoint(url=URL, direction="received")
    path = f"/v1/endpoints/{other.id}"
    status, problem = await api.ask("PATCH", path, {"direction": "any"})
    assert (status, str(first.id) in problem["detail"]) == (409, True)
    assert (await api.ask("PATCH", path, {"direction": "any", "allow_duplicate": True}))[0] == 200
    assert (await api.ask("PATCH", path, {"timeout_seconds": 3, "url": URL}))[0] == 200
    await api.ask("DELETE", f"/v1/endpoints/{first.id}")
    assert (await api.ask("PATCH", path, {"direction": "sent"}))[0] == 200, "what was removed is no other one"


async def test_the_command_line_refuses_it_and_takes_it_when_asked(environment: dict[str, str]) -> None:
    assert (await faxhook(environment, "endpoints", "add", URL))[0] == 0
    code, _, complained = await faxhook(environment, "endpoints", "add", URL)
    assert (code, "allow" in complained) == (65, True)
    assert (await faxhook(environment, "endpoints", "add", URL, "--allow-duplicate"))[0] == 0
