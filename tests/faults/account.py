"""The account of a run: each callback that was answered 200 is told, owed or dead, or it is lost."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from stack_under_fault import StackUnderFault
from stores import take_all
from traffic import Traffic

UNSETTLED = """
SELECT count(*) FROM deliveries
WHERE state = 'pending' OR state = 'retrying' AND due_at < now() + interval '1 minute'
"""


@dataclass
class Account:
    """What became of the callbacks of one run. *wrong*: a sentence for each thing that must not happen, losses included.

    Each accepted event owes one delivery to each of its applications; those, and the quarantined callbacks, are told,
    owed, dead or lost. *silence_seconds*: the longest time without a 200.
    """

    accepted: int = 0
    told: int = 0
    owed: int = 0
    dead: int = 0
    lost: int = 0
    duplicates: int = 0
    under_way: int = 0
    recover_seconds: float = 0.0
    silence_seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


@dataclass
class DeadLetters:
    """Ids of the messages in the dead queues."""

    deliveries: set[str]
    events: set[str]
    callbacks: set[str]


async def take_dead_letters(stack: StackUnderFault) -> DeadLetters:
    """Remove and return the dead letters of all three dead queues."""

    async def ids(queue: str, name: str) -> set[str]:
        return {msgspec.json.decode(message.body)[name] for message in await take_all(stack.amqp_url, queue)}

    return DeadLetters(
        deliveries=await ids("dead.deliveries", "delivery_id"),
        events=await ids("dead.events", "id"),
        callbacks=await ids("dead.callbacks", "callback_id"),
    )


async def is_settled(stack: StackUnderFault, traffic: Traffic) -> bool:
    """Return whether every accepted event is in the ledger and no delivery is due within a minute."""
    known = await stack.pool.fetchval("SELECT count(*) FROM events WHERE id = ANY($1)", list(traffic.accepted))
    return known == len(traffic.accepted) and not await stack.pool.fetchval(UNSETTLED)


async def draw_up_account(
    stack: StackUnderFault, traffic: Traffic, letters: DeadLetters, *, are_dead_queues_kept: bool = True
) -> Account:
    """Compare what was accepted with the ledger, the dead queues and the applications.

    *are_dead_queues_kept*: False if the fault deleted the dead queues, so that their messages prove nothing.
    """
    rows = await stack.pool.fetch(
        "SELECT id, event_id, endpoint_id, state, reason, due_at > now() AS is_later FROM deliveries"
        " WHERE event_id = ANY($1)",
        list(traffic.accepted),
    )
    found = {(row["event_id"], stack.names[row["endpoint_id"]]): row for row in rows}
    result = Account(under_way=len(stack.under_way))
    for event_id, names in traffic.accepted.items():
        for name in names:
            key = (event_id, name)
            result.accepted += 1
            row = found.pop(key, None)
            if row is None:
                result.lost += event_id not in letters.events
                result.dead += event_id in letters.events
                if event_id not in letters.events:
                    result.wrong.append(f"{event_id} was answered 200 and is owed to no endpoint")
            elif row["state"] == "told":
                _told(result, key, stack.applications.told)
            elif row["state"] == "retrying" and row["is_later"]:
                result.owed += 1
            elif row["state"] == "dead" and (not are_dead_queues_kept or str(row["id"]) in letters.deliveries):
                result.dead += 1
            else:
                result.lost += 1
                result.wrong.append(f"{event_id} for {name} is {row['state']} {row['reason']} and stays so")
    for callback_id in traffic.quarantined:
        result.accepted += 1
        result.dead += callback_id in letters.callbacks
        if callback_id not in letters.callbacks and are_dead_queues_kept:
            result.lost += 1
            result.wrong.append(f"callback {callback_id} was answered 200 and is in no queue")
    result.duplicates = _duplicates(result, traffic, stack)
    result.wrong += [f"{event_id} is owed to {name}, which did not ask for it" for event_id, name in found]
    result.wrong += [f"answered {status} {answer}" for status, answer in traffic.other]
    return result


def _told(result: Account, key: tuple[str, str], told: Mapping[tuple[str, str], int]) -> None:
    if told[key]:
        result.told += 1
    else:
        result.lost += 1
        result.wrong.append(f"{key[0]} is recorded as told, but {key[1]} was not told")


def _duplicates(result: Account, traffic: Traffic, stack: StackUnderFault) -> int:
    told = Counter({key: count for key, count in stack.applications.told.items() if key[0] in traffic.accepted})
    repeated = {key: count - 1 for key, count in told.items() if count > 1}
    for key in repeated:
        if len(stack.applications.delivery_ids[key]) > 1:
            result.wrong.append(f"{key} was repeated under another delivery id")
        if key not in stack.under_way:
            result.wrong.append(f"{key} was told {told[key]} times, though no process was killed in between")
    return sum(repeated.values())
