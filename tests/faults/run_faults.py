"""`make faults SEEDS=200`: every fault in turn, each seed once; prints the table, exits 1 if an account is wrong.

    python tests/faults/run_faults.py [--seeds 200] [--stacks 2] [--fault WORDS] [--seed N] [--markdown FILE]
                                       [--evidence FOLDER]
    python tests/faults/run_faults.py --precautions

A run is a fault and a seed, and is repeated by `--fault … --seed …`. `--precautions` leaves out one precaution after
the other, and fails if the account of its fault does not show it.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

sys.path.extend(str((Path(__file__).parent / folder).resolve()) for folder in (".", "../support", "../.."))

from account import Account
from fault import Fault
from fault_list import PRECAUTIONS, every_fault
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from runner import run_fault
from stack_under_fault import StackUnderFault, open_stack

COLUMNS = ("fault", "runs", "accepted", "told", "owed", "dead", "duplicates", "lost", "seconds to recover")
MOST_SENTENCES = 3
MOST_TRIES = 4
"""Runs without a precaution until an account shows it: a provider may by chance repeat what was lost."""

console = Console(width=None if sys.stdout.isatty() else 160)


def row(name: str, accounts: Sequence[Account]) -> tuple[str, ...]:
    """Return one line of the table; the seconds are median and longest."""
    totals = [sum(getattr(each, field) for each in accounts) for field in COLUMNS[2:8]]
    seconds = [each.recover_seconds for each in accounts]
    recover = f"{statistics.median(seconds):.1f}, at most {max(seconds):.1f}"
    return (name, str(len(accounts)), *map(str, totals), recover)


async def run_all(
    runs: Sequence[tuple[Fault, int]],
    stacks: int,
    accounts: dict[str, list[Account]],
    open_one: Callable[[Path], AbstractAsyncContextManager[StackUnderFault]] = open_stack,
    evidence: Path | None = None,
) -> None:
    """Do all *runs* on *stacks* stacks side by side; add the accounts to *accounts*, by fault.

    *open_one* opens a stack with data in a folder. *evidence*: see `run_fault`.
    """
    waiting = iter(runs)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("faults", total=len(runs))

        async def work(number: int) -> None:
            is_done = False
            while not is_done:
                with tempfile.TemporaryDirectory(prefix=f"faults-{number}-") as folder:
                    is_done = await _run_on_one_stack(
                        open_one(Path(folder)), waiting, accounts, lambda: progress.advance(bar), evidence
                    )

        await asyncio.gather(*(work(number) for number in range(stacks)))


async def _run_on_one_stack(
    opening: AbstractAsyncContextManager[StackUnderFault],
    waiting: Iterator[tuple[Fault, int]],
    accounts: dict[str, list[Account]],
    done: Callable[[], None],
    evidence: Path | None,
) -> bool:
    """Do the waiting runs on one stack; return False if it broke down and another is needed."""
    async with opening as stack:
        for fault, seed in waiting:
            try:
                account = await run_fault(stack, fault, seed, evidence=evidence)
            except AssertionError as error:
                accounts[fault.name].append(Account(wrong=[str(error)]))
                console.print(f"[red]{fault.name}, seed {seed}:[/] {error}", highlight=False)
                done()
                return False
            accounts[fault.name].append(account)
            for sentence in account.wrong[:MOST_SENTENCES]:
                console.print(f"[red]{fault.name}, seed {seed}:[/] {sentence}", highlight=False)
            if len(account.wrong) > MOST_SENTENCES:
                console.print(f"… and {len(account.wrong) - MOST_SENTENCES} more")
            done()
    return True


async def leave_out_precautions() -> int:
    """Leave out one precaution after the other; return how many accounts did not show it."""
    unnoticed = 0
    faults = {fault.name: fault for fault in every_fault()}
    for number, (precaution, name) in enumerate(PRECAUTIONS.items(), start=1):
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            async with open_stack(Path(folder)) as stack:
                for seed in range(number * 100, number * 100 + MOST_TRIES):
                    account = await run_fault(stack, faults[name], seed, without=precaution, settle_seconds=25.0)
                    if account.lost or account.duplicates:
                        break
        told = account.wrong[-1] if account.wrong else "the account shows nothing"
        unnoticed += not (account.lost or account.duplicates)
        console.print(f"without {precaution}: {name}: lost {account.lost}, twice {account.duplicates}: {told}")
    return unnoticed


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Faults under traffic: accepted = told + owed + dead.")
    parser.add_argument("--seeds", type=int, default=0, help="how many runs; default: one of each fault")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--fault", default="", help="only faults with these words in their name")
    parser.add_argument("--stacks", type=int, default=2, help="side by side")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    parser.add_argument(
        "--evidence", type=Path, help="a run that does not settle leaves queues, ledger, logs and tasks in this folder"
    )
    parser.add_argument(
        "--precautions", action="store_true", help="leave out one precaution after the other; each account must show it"
    )
    options = parser.parse_args()
    if options.precautions:
        return 1 if asyncio.run(leave_out_precautions()) else 0
    faults = [fault for fault in every_fault() if options.fault in fault.name]
    if not faults:
        console.print(f"no fault has `{options.fault}` in its name")
        return 2
    count = options.seeds or len(faults)
    runs = [(faults[number % len(faults)], options.seed + number) for number in range(count)]
    accounts: dict[str, list[Account]] = defaultdict(list)
    is_whole = True
    try:
        asyncio.run(run_all(runs, min(options.stacks, count), accounts, evidence=options.evidence))
    except KeyboardInterrupt:
        is_whole = False
        console.print("interrupted: the table holds the runs so far")
    rows = [row(fault.name, accounts[fault.name]) for fault in faults if accounts[fault.name]]
    rows.append(row("all", [each for some in accounts.values() for each in some]))
    table = Table(*COLUMNS)
    for each in rows:
        table.add_row(*each)
    console.print(table)
    if options.markdown:
        lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
        options.markdown.write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))
    return 0 if is_whole and not any(each.wrong for some in accounts.values() for each in some) else 1


if __name__ == "__main__":
    sys.exit(main())
