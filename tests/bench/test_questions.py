"""`make bench-questions` fails where an answer is late or no success, and names the question."""

import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest
from questions import add_endpoints, ask, fill, questions
from stack import Stores

from dispatcher.ops.dead.letters import DeadQuery
from dispatcher.ops.faxes.lists.queries import AttemptQuery, DeliveryQuery, EventQuery, FaxQuery
from shared.ids import uuid7

pytestmark = pytest.mark.alone

FAXES = 2_000


@pytest.mark.parametrize(("goal_seconds", "expected"), [(30.0, 0), (0.0, 1)])
async def test_every_question_has_an_answer_and_a_late_one_fails_by_its_name(
    amqp_url: str, database_url: str, goal_seconds: float, expected: int
) -> None:
    run = f"import sys, questions; questions.GOAL_SECONDS = {goal_seconds}; sys.exit(questions.main())"
    given = ("--faxes", str(FAXES), "--rounds", "1", "--amqp-url", amqp_url, "--database-url", database_url)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", run, *given),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parent,
    )
    said, complained = (each.decode() for each in await process.communicate())
    assert process.returncode == expected, complained
    asked = questions(FAXES, [uuid7() for _ in range(11)], uuid7())
    named = [line for line in complained.splitlines() if line.startswith("missed: ")]
    assert len(named) == (len(asked) if expected else 0), complained
    for words in asked:
        assert words in said
        assert any(line.startswith(f"missed: {words}: ") for line in named) == bool(expected), words


async def test_an_answer_that_is_no_success_fails_by_its_name(amqp_url: str, database_url: str) -> None:
    await fill_some(database_url)
    asked = {"a good one": ("GET", "/v1/faxes", None), "a wrong one": ("GET", "/v1/faxes?state=lost", None)}
    assert await ask(Stores(amqp_url, database_url), asked, 1) == ["a wrong one: answered 422"]


async def fill_some(database_url: str) -> None:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool:
        await fill(pool, 100, await add_endpoints(pool))


@pytest.mark.parametrize("query", [AttemptQuery, DeadQuery, DeliveryQuery, EventQuery, FaxQuery])
def test_each_list_is_asked_by_each_filter_that_a_large_ledger_makes_hard(query: type) -> None:
    path = {
        AttemptQuery: "attempts", DeadQuery: "dead-letters", DeliveryQuery: "deliveries", EventQuery: "events",
        FaxQuery: "faxes",
    }[query]  # fmt: skip
    asked = [each for _, each, _ in questions(FAXES, [uuid7() for _ in range(11)], uuid7()).values()]
    for name in {"number", "job_id", "endpoint_id"} & set(query.__struct_fields__):
        assert any(each.startswith(f"/v1/{path}?") and f"{name}=" in each for each in asked), (path, name)
