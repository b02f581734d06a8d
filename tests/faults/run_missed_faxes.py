"""`make faults`: 200 seeds of lost callbacks, killed services and shifting lists; exits 1 if one of them ends wrong.

python tests/faults/run_missed_faxes.py [--seeds 200] [--seed 1] [--at-once 10]
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.extend(str((Path(__file__).parent / folder).resolve()) for folder in (".", "../support", "../.."))

from missed_faxes import SeedResult, open_missing, run_seeds
from rich.console import Console

MOST_SENTENCES = 3
console = Console(width=None if sys.stdout.isatty() else 160)


async def run_all(seeds: list[int], at_once: int) -> list[SeedResult]:
    """Run all *seeds* on one stack."""
    results = []
    with tempfile.TemporaryDirectory(prefix="missed-faxes-") as folder:
        async with open_missing(Path(folder)) as (stack, shifting):
            for start in range(0, len(seeds), at_once):
                done = await run_seeds(stack, shifting, seeds[start : start + at_once])
                results += done
                for each in done:
                    for sentence in each.wrong[:MOST_SENTENCES]:
                        console.print(f"[red]seed {each.seed}:[/] {sentence}", highlight=False)
                console.print(f"{len(results)} of {len(seeds)} seeds, the lists shifted {shifting.shifts} times")
    return results


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Lost callbacks are found on the providers' lists, and told once.")
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--at-once", type=int, default=10, help="seeds that share the stack")
    options = parser.parse_args()
    results = asyncio.run(run_all(list(range(options.seed, options.seed + options.seeds)), options.at_once))
    wrong = [each for each in results if each.wrong]
    totals = [sum(getattr(each, name) for each in results) for name in ("faxes", "dropped", "repaired")]
    console.print(
        f"{len(results)} seeds: {totals[0]} faxes, {totals[1]} callbacks lost, {totals[2]} events told by a list, "
        f"{len(wrong)} seeds wrong"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
