"""The preview of a removal says which more general endpoints would get the faxes: by API and command line, nothing done."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
import pytest
from apis import Api, faxhook
from dispatchers import STORE
from ledgers import endpoint

from dispatcher.ops.endpoints.reading.removal import preview_removal
from dispatcher.policy.endpoint import FaxMatch
from shared.domain import EventType

NUMBER = {"scope": "number", "match": "+15551"}
JOB = {"scope": "fax", "match": FaxMatch(job_id="job")}


@pytest.mark.parametrize(
    ("others", "removed", "instead", "sentence"),
    [
        ([{"direction": "received"}], NUMBER, [0], "sent to the more general endpoints: http://127.0.0.1:1/hook"),
        ([{"direction": "any", "enabled": False}], NUMBER, [0], "http://127.0.0.1:1/hook (disabled)"),
        ([{"direction": "sent"}], NUMBER, [], "no other endpoint applies"),
        ([{}, NUMBER], NUMBER, [], "stay with another endpoint of the same number"),
        ([{}, NUMBER | {"enabled": False}], NUMBER, [], "stay with another endpoint of the same number"),
        ([{}], NUMBER | {"enabled": False}, [0], "sent to the more general endpoints"),
        ([{"direction": "sent"}, {"direction": "received"}], JOB, [0], "sent to the more general endpoints"),
        ([{}] * 5, JOB, [0, 1, 2, 3, 4], "and 2 others"),
        ([{}], {}, [], "stay with another endpoint of the same scope"),
        ([NUMBER], {}, [], "no other endpoint applies"),
        ([{"types": (EventType.RECEIVE_FAILED,)}], NUMBER, [0], "sent to the more general endpoints"),
        ([{}], NUMBER | {"types": (EventType.RECEIVING,)}, [0], "sent to the more general endpoints"),
    ],
)
async def test_only_removal_lets_more_general_endpoints_apply_and_it_names_them(
    pool: asyncpg.Pool, others: Sequence[dict[str, Any]], removed: dict[str, Any], instead: list[int], sentence: str
) -> None:
    made = [await endpoint(pool, **each) for each in others]
    preview = await preview_removal(pool, STORE, await endpoint(pool, **removed))
    assert set(preview.applies_instead) == {made[index].id for index in instead}
    assert sentence in preview.sentence


async def test_a_dry_run_of_the_command_changes_nothing_and_the_removal_says_the_same(
    environment: dict[str, str], pool: asyncpg.Pool
) -> None:
    general, made = await endpoint(pool), await endpoint(pool, **NUMBER)
    code, page, _ = await faxhook(environment, "endpoints", "remove", str(made.id), "--dry-run")
    assert (code, "would remove" in page, "more general endpoints" in page) == (0, True, True)
    _, body, _ = await faxhook(environment, "endpoints", "remove", str(made.id), "--dry-run", "--json")
    preview = msgspec.json.decode(body)
    assert (preview["removed"], preview["applies_instead"]) == (False, [str(general.id)])
    assert await STORE.get(pool, made.id) == made
    _, page, _ = await faxhook(environment, "endpoints", "remove", str(made.id), "--yes")
    assert "removed endpoint" in page
    assert "more general endpoints" in page
    assert await STORE.get(pool, made.id) is None


async def test_another_match_or_scope_says_who_gets_the_faxes_that_it_leaves(api: Api, pool: asyncpg.Pool) -> None:
    general, made = await endpoint(pool), await endpoint(pool, **NUMBER)
    path = f"/v1/endpoints/{made.id}"
    status, body = await api.ask("PATCH", path, {"timeout_seconds": 20})
    assert (status, "left" in body) == (200, False), "it leaves nothing"
    status, body = await api.ask("PATCH", path, {"match": "+15552"})
    assert (status, body["match"], body["left"]["applies_instead"]) == (200, "+15552", [str(general.id)])
    assert "sent to the more general endpoints: http://127.0.0.1:1/hook" in body["left"]["sentence"]
    await endpoint(pool, scope="number", match="+15552")
    status, body = await api.ask("PATCH", path, {"match": "+15553"})
    assert (status, body["left"]["applies_instead"]) == (200, [])
    assert "stay with another endpoint of the same number" in body["left"]["sentence"]
    status, body = await api.ask("PATCH", path, {"scope": "global", "match": None, "allow_duplicate": True})
    assert (status, set(body["left"]["applies_instead"])) == (200, {str(general.id), str(made.id)}), "itself, too"
    assert "left" not in (await api.ask("GET", path))[1]
