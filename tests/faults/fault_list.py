"""Every fault, the short set of them, and which of them shows that a precaution is left out."""

import os
import random
import signal
import sys
from typing import Final

import applications
from fault import Fault, it_lasts
from process_faults import (
    DISPATCHER_POINTS,
    INGRESS_POINTS,
    STOPPING_POINTS,
    SWEEPER_POINTS,
    clock_jumps,
    kill_at,
    kill_at_random,
    kill_stopping,
    kill_sweeping,
    stop_one,
)
from stack_under_fault import StackUnderFault
from store_faults import (
    ALL_QUEUES,
    NO_HELP,
    SHORT_SILENCE,
    broker_hangs,
    broker_out_of_memory,
    close_all_connections,
    database_full,
    database_hangs,
    delete_queues,
    fail_into_a_black_hole,
    media_away,
    media_full,
    proxy_fault,
    repeat_messages,
    replace_work_deliveries,
    store_ends,
)


def application(behaviour: applications.Behaviour, name: str) -> Fault:
    async def act(stack: StackUnderFault, _dice: random.Random) -> None:
        stack.applications.misbehaviour = behaviour
        await it_lasts(4.0)
        stack.applications.misbehaviour = None

    return Fault(f"an application {name}", act)


def every_fault() -> list[Fault]:
    """Return every fault, one for each row of the table."""
    return [
        *(kill_at(("ingress", 0, point)) for point in INGRESS_POINTS),
        *(kill_at(("dispatcher", 0, point)) for point in DISPATCHER_POINTS),
        *(kill_stopping(point) for point in STOPPING_POINTS),
        *(kill_sweeping(point) for point in SWEEPER_POINTS),
        *other_faults(),
    ]


def other_faults() -> list[Fault]:
    """Return the faults that are not a kill at a point."""
    return [
        kill_at_random("ingress"),
        kill_at_random("dispatcher"),
        stop_one("ingress"),
        stop_one("dispatcher"),
        proxy_fault("are reset", "broker", lambda proxy: proxy.cut(), 1.0),
        proxy_fault("lead into a black hole", "broker", lambda proxy: proxy.stall(), 3.0),
        proxy_fault("are half open", "broker", lambda proxy: proxy.stall(both=False), 3.0),
        Fault("attempts fail while the broker's connections lead into a black hole", fail_into_a_black_hole, NO_HELP),
        Fault("broker closes all connections", close_all_connections),
        store_ends("broker", signal.SIGTERM, "stopped"),
        store_ends("broker", signal.SIGKILL, "killed"),
        Fault("broker hangs", broker_hangs),
        Fault("broker out of memory", broker_out_of_memory),
        delete_queues("work.events", when_taken=True),
        delete_queues("work.deliveries"),
        Fault("work.deliveries deleted and declared at once", replace_work_deliveries, SHORT_SILENCE),
        delete_queues("retry.1s"),
        delete_queues(*ALL_QUEUES, when_taken=True),
        Fault("messages repeated, stale and early", repeat_messages),
        proxy_fault("are reset", "database", lambda proxy: proxy.cut(), 1.0),
        proxy_fault("lead into a black hole", "database", lambda proxy: proxy.stall(), 2.0),
        proxy_fault("are half open", "database", lambda proxy: proxy.stall(both=False), 2.0),
        store_ends("database", signal.SIGINT, "stopped"),
        store_ends("database", signal.SIGQUIT, "killed"),
        Fault("database hangs", database_hangs),
        Fault("database out of connections", database_full),
        Fault("media store away", media_away),
        *([Fault("media store full", media_full)] if sys.platform == "linux" and os.geteuid() == 0 else []),
        clock_jumps("ingress", 3600.0),
        clock_jumps("ingress", -3600.0),
        clock_jumps("dispatcher", 3600.0),
        clock_jumps("dispatcher", -3600.0),
        application(applications.hang, "hangs"),
        application(applications.drip, "drips"),
        application(applications.flood, "answers with a gigabyte"),
        application(applications.close_early, "closes early"),
        application(applications.redirect, "redirects"),
    ]


def short_set() -> list[Fault]:
    """Return what every test run does: every point of both services, several in one run, and the worst of the rest."""
    half = (len(DISPATCHER_POINTS) + 1) // 2
    kills = []
    for number in range(half):
        victims = [("dispatcher", index, point) for index, point in enumerate(DISPATCHER_POINTS[number::half])]
        victims += [("ingress", 0, point) for point in INGRESS_POINTS[number : number + 1]]
        kills.append(kill_at(*victims))
    worst = (
        "dispatcher stopped by SIGTERM",
        "broker's connections lead into a black hole",
        "broker killed and started",
        "every queue deleted",
        "messages repeated, stale and early",
        "database killed and started",
        "an application hangs",
    )
    return [*kills, *(fault for fault in other_faults() if fault.name in worst)]


PRECAUTIONS: Final = {
    "confirm": "broker's connections lead into a black hole",
    "commit before ack": "dispatcher killed at intake.before_commit",
    "claim": "messages repeated, stale and early",
    "sweeper": "dispatcher killed at attempt.before",
    "retry confirm": "attempts fail while the broker's connections lead into a black hole",
}
"""What prevents losses and repetitions, and the fault that shows it when the precaution is left out."""
