"""`faxhook endpoints recover`: previewed, asked for, counted; each mistake ends with a sentence and its exit code."""

import msgspec
import pytest
from apis import faxhook
from dispatchers import DispatcherHarness, an_event
from stores import count


async def recover(harness: DispatcherHarness, *arguments: str) -> tuple[int, str, str]:
    return await faxhook({**harness.environment, "COLUMNS": "200"}, "endpoints", "recover", *arguments)


async def test_a_recovery_previews_asks_and_counts_and_a_second_one_finds_nothing(harness: DispatcherHarness) -> None:
    endpoint = await harness.endpoint(enabled=False)
    await harness.take(*(an_event(number) for number in range(4)))
    code, said, complained = await recover(harness, str(endpoint.id), "--since", "1h", "--yes")
    assert (code, f"endpoint {endpoint.id} is disabled: enable it first" in complained) == (65, True), said
    await harness.pool.execute("UPDATE endpoints SET enabled = true")
    await harness.pool.execute("UPDATE events SET body = NULL WHERE id = $1", an_event(0).id)
    code, said, _ = await recover(harness, str(endpoint.id), "--since", "1h", "--dry-run")
    assert (code, "4 match; to recover: 3" in said, "1  skipped: pruned" in said) == (0, True, True)
    code, _, complained = await recover(harness, str(endpoint.id), "--since", "1h")
    assert (code, "say --yes" in complained) == (65, True)
    assert await count(harness.amqp_url, "work.deliveries") == 0
    code, said, _ = await recover(
        harness, str(endpoint.id), "--since", "2020-01-01T00:00:00Z", "--yes", "--rate", "100"
    )
    assert (code, "3 of 4 recovered" in said) == (1, True), "one stays skipped"
    assert await count(harness.amqp_url, "work.deliveries") == 3
    await harness.pool.execute("DELETE FROM deliveries WHERE state = 'skipped'")
    code, _, complained = await recover(harness, str(endpoint.id), "--since", "1h", "--yes")
    assert (code, "nothing was skipped since then: nothing was changed" in complained) == (65, True)
    await harness.take(an_event(7))
    await harness.pool.execute("UPDATE deliveries SET state = 'skipped', reason = 'endpoint_disabled'")
    code, said, _ = await recover(harness, str(endpoint.id), "--since", "1h", "--until", "0s", "--yes", "--json")
    job = msgspec.json.decode(said[said.index("{\n") :])
    assert (code, job["what"], job["done"], job["skipped_pruned"]) == (0, "endpoint.recover", 4, 0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense", "--since", "1h"], "nonsense"),
        (["018f0000-0000-7000-8000-000000000000", "--since", "1h"], "there is no endpoint `018f0000"),
        (
            ["018f0000-0000-7000-8000-000000000000", "--since", "soon"],
            "--since: `soon` is not one of: a time with its zone",
        ),
        (["018f0000-0000-7000-8000-000000000000", "--since", "2026-10-03T08:00:00"], "has no time zone"),
        (["018f0000-0000-7000-8000-000000000000", "--since", "9 d"], "--since: `9 d` is not one of"),
        (["018f0000-0000-7000-8000-000000000000", "--since", "1h", "--until", "2h"], "`until` must be later"),
    ],
)
async def test_each_mistake_ends_with_a_sentence(
    harness: DispatcherHarness, arguments: list[str], sentence: str
) -> None:
    code, _, complained = await recover(harness, *arguments, "--yes")
    assert (code, sentence in complained) == (65, True), complained
