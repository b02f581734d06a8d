"""Lost callbacks, killed services, shifting lists: the provider's set is the ledger's, each fax is told once.

A few seeds. `make faults SEEDS=200` runs 200.
"""

from pathlib import Path

from missed_faxes import FAXES, open_missing, run_seeds


async def test_a_few_seeds_of_lost_callbacks_end_with_the_provider_s_set_in_the_ledger(tmp_path: Path) -> None:
    async with open_missing(tmp_path) as (stack, shifting):
        results = await run_seeds(stack, shifting, [1, 2, 3, 4])
    assert [(each.seed, each.wrong) for each in results] == [(seed, []) for seed in (1, 2, 3, 4)]
    assert all(each.faxes == FAXES for each in results)
    assert all(each.dropped for each in results)
    assert shifting.shifts
