"""What a run that did not settle leaves behind, to find out why: queues, ledger, log and tasks of every process."""

import asyncio
import signal
import subprocess
import time
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from account import is_settled
from stack_under_fault import StackUnderFault
from traffic import Traffic

SETTLES_LATER_SECONDS: Final = 120.0
"""For so long it is waited whether what did not settle in time does so by itself after all."""

TASKS_SECONDS: Final = 1.0
"""Within so long a process that is asked where its tasks wait has written it."""

QUEUES: Final = ("list_queues", "name", "messages_ready", "messages_unacknowledged", "consumers")
CHANNELS: Final = ("list_channels", "connection", "number", "consumer_count", "messages_unacknowledged")
CONSUMERS: Final = ("list_consumers",)

UNSETTLED_DELIVERIES: Final = """
SELECT id, event_id, endpoint_id, state, attempts, due_at, lease_until, now() AS now FROM deliveries
WHERE state IN ('pending', 'retrying') ORDER BY due_at LIMIT 200
"""

SESSIONS: Final = """
SELECT pid, state, wait_event_type, wait_event, now() - xact_start AS open_for, pg_blocking_pids(pid) AS blocked_by,
       left(query, 120) AS query
FROM pg_stat_activity WHERE backend_type = 'client backend' ORDER BY xact_start
"""


async def keep_evidence(stack: StackUnderFault, traffic: Traffic, folder: Path) -> None:
    """Write it to *folder*, wait until the run is settled after all, and write it again: `late-…`, with the time."""
    folder.mkdir(parents=True, exist_ok=True)
    await _write(stack, traffic, folder, "")
    began = time.monotonic()
    while not (settled := await is_settled(stack, traffic)) and time.monotonic() - began < SETTLES_LATER_SECONDS:
        await asyncio.sleep(0.5)  # the pace of looking
    waited = time.monotonic() - began
    (folder / "outcome.txt").write_text(
        f"settled {waited:.1f} s later\n" if settled else f"not settled even {waited:.1f} s later\n"
    )
    await _write(stack, traffic, folder, "late-")


async def _write(stack: StackUnderFault, traffic: Traffic, folder: Path, prefix: str) -> None:
    (folder / f"{prefix}queues.txt").write_text(await asyncio.to_thread(_of_broker, stack))
    (folder / f"{prefix}ledger.txt").write_text(await _of_ledger(stack, traffic))
    for process in stack.processes:
        process.send(signal.SIGUSR1)
    await asyncio.sleep(TASKS_SECONDS)  # there is no sign that it has written all
    for number, process in enumerate(stack.processes):
        if (running := process.process) is not None:
            (folder / f"{prefix}{process.kind}-{number}.log").write_text(running.text)
            (folder / f"{prefix}{process.kind}-{number}.tasks").write_text(running.stderr)


def _of_broker(stack: StackUnderFault) -> str:
    parts = []
    vhost = unquote(urlsplit(stack.amqp_url).path[1:]) or "/"
    for command in (("-p", vhost, *QUEUES), CHANNELS, ("-p", vhost, *CONSUMERS)):
        try:
            parts.append(stack.stores.rabbitmqctl("-q", *command))
        except (OSError, AssertionError, subprocess.SubprocessError) as error:
            parts.append(f"{' '.join(command)}: {error}\n")
    return "\n".join(parts)


async def _of_ledger(stack: StackUnderFault, traffic: Traffic) -> str:
    rows = await stack.pool.fetch("SELECT id FROM events WHERE id = ANY($1)", list(traffic.accepted))
    missing = sorted(set(traffic.accepted) - {row["id"] for row in rows})
    lines = [f"{len(missing)} of {len(traffic.accepted)} events are not in the ledger", *missing]
    for title, query in (("deliveries", UNSETTLED_DELIVERIES), ("sessions", SESSIONS)):
        lines += ["", title, *(str(dict(row)) for row in await stack.pool.fetch(query))]
    return "\n".join(lines) + "\n"
