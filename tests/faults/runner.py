"""Runs one fault under traffic and draws up its account."""

import asyncio
import random
import time
from pathlib import Path

from account import Account, draw_up_account, is_settled, take_dead_letters
from evidence import keep_evidence
from fault import Fault
from plan import Plan
from stack_under_fault import GONE_JOBS, StackUnderFault
from traffic import Traffic, make_callbacks
from waiting import until

FAXES = 40
PER_SECOND = 120.0
LASTING_FAXES = 1_500
LASTING_PER_SECOND = 30.0
"""Traffic for two minutes and more; it stops when the fault is over."""
SETTLE_SECONDS = 60.0
BACK_SECONDS = 10.0
"""Within so many seconds after the end of the fault every service must be ready again."""


async def run_fault(
    stack: StackUnderFault,
    fault: Fault,
    seed: int,
    *,
    without: str = "",
    settle_seconds: float = SETTLE_SECONDS,
    evidence: Path | None = None,
) -> Account:
    """Apply *fault* to *stack* while traffic flows; return the account of the run.

    Args:
        seed: Decides all that is random; a stack takes each seed once.
        without: The precaution that every process leaves out, to see whether the account shows it.
        evidence: The folder in which a run that does not settle leaves what it takes to find out why.
    """
    dice = random.Random(seed)
    jobs = [f"gone-{seed}-{number}" for number in range(GONE_JOBS)]
    await stack.register(jobs)
    while await _plan(stack, fault, without):
        # A process that is killed by work of an earlier run is started again, and needs its plan again.
        await stack.ready()
    stack.under_way.clear()
    for process in stack.processes:
        process.ends.clear()
    traffic = Traffic(stack.urls)
    planned = make_callbacks(seed, LASTING_FAXES if fault.lasts else FAXES, jobs)
    per_second = LASTING_PER_SECOND if fault.lasts else PER_SECOND
    sending = asyncio.create_task(traffic.send_all(planned, per_second=per_second))
    wrong = []
    try:
        if fault.after_traffic:
            await sending
            await until(lambda: _all_taken(stack, traffic), "all is in the ledger", 30)
        else:
            await until(lambda: traffic.sent >= min(30, len(planned) // 8), "traffic flows", 30)
        await fault.act(stack, dice)
        ended = time.monotonic()
        back_seconds = await stack.ready()
        if back_seconds > BACK_SECONDS:
            wrong.append(f"ready only {back_seconds:.1f} s after the end of the fault")
        if fault.lasts:
            traffic.stop()
        await sending
        try:
            await until(lambda: is_settled(stack, traffic), "all is settled", settle_seconds)
        except AssertionError:
            if evidence is not None:
                await keep_evidence(stack, traffic, evidence / f"{fault.name} {seed}".replace("/", " "))
            raise
    except Exception as error:  # noqa: BLE001 - every error belongs into the account of this run
        wrong.append(f"{type(error).__name__}: {error}")
    finally:
        sending.cancel()
    recover_seconds = time.monotonic() - ended if "ended" in locals() else SETTLE_SECONDS
    traffic.other = [each for each in traffic.other if each[1].get("error") not in fault.may_refuse]
    letters = await take_dead_letters(stack)
    result = await draw_up_account(stack, traffic, letters, are_dead_queues_kept=fault.are_dead_queues_kept)
    result.recover_seconds = recover_seconds
    result.silence_seconds = traffic.longest_silence_seconds
    result.wrong[:0] = wrong
    if result.duplicates > (len(stack.under_way) if fault.repeats else 0):
        result.wrong.append(f"{result.duplicates} told twice, {len(stack.under_way)} under way at the kill")
    return result


async def _plan(stack: StackUnderFault, fault: Fault, without: str) -> bool:
    """Make every process run with its plan of *fault*; return whether one had to be replaced."""
    has_changed = False
    for kind, services in (("ingress", stack.ingresses), ("dispatcher", stack.dispatchers)):
        for index, process in enumerate(services):
            plan = fault.plans.get((kind, index), Plan())
            plan.without = without
            if plan != process.plan:
                await process.replace(plan)
                has_changed = True
    return has_changed


async def _all_taken(stack: StackUnderFault, traffic: Traffic) -> bool:
    known = await stack.pool.fetchval("SELECT count(*) FROM events WHERE id = ANY($1)", list(traffic.accepted))
    return bool(known == len(traffic.accepted))
