"""Compares what was answered 200 with what was told, what is owed and what is dead. Pure but for reading the stores."""

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
    """What became of one run. *wrong* holds sentences about what must never be, lost things included.

    Each accepted event owes one delivery to each of its applications; those, and the quarantined callbacks, are told,
    owed, dead or lost.
    """

    accepted: int = 0
    told: int = 0
    owed: int = 0
    dead: int = 0
    lost: int = 0
    duplicates: int = 0
    under_way: int = 0
    recover_seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


@dataclass
class Letters:
    """What was found in the dead-letter queues."""

    deliveries: set[str]
    events: set[str]
    callbacks: set[str]


async def take_letters(stack: StackUnderFault) -> Letters:
    """Take all dead letters out of their queues."""

    async def ids(queue: str, name: str) -> set[str]:
        return {msgspec.json.decode(message.body)[name] for message in await take_all(stack.amqp_url, queue)}

    return Letters(
        deliveries=await ids("dead.deliveries", "delivery_id"),
        events=await ids("dead.events", "id"),
        callbacks=await ids("dead.callbacks", "callback_id"),
    )


async def is_settled(stack: StackUnderFault, traffic: Traffic) -> bool:
    """Is every accepted event in the ledger, and nothing of it left to do soon?"""
    known = await stack.pool.fetchval("SELECT count(*) FROM events WHERE id = ANY($1)", list(traffic.accepted))
    return known == len(traffic.accepted) and not await stack.pool.fetchval(UNSETTLED)


async def account(stack: StackUnderFault, traffic: Traffic, letters: Letters, *, are_letters_kept: bool = True) -> Account:
    """Draw up the account of a run. *are_letters_kept*: no fault took the dead-letter queues away."""
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
                    result.wrong.append(f"{event_id} was answered 200 and is owed to nobody")
            elif row["state"] == "told":
                _told(result, key, stack.applications.told)
            elif row["state"] == "retrying" and row["is_later"]:
                result.owed += 1
            elif row["state"] == "dead" and (not are_letters_kept or str(row["id"]) in letters.deliveries):
                result.dead += 1
            else:
                result.lost += 1
                result.wrong.append(f"{event_id} for {name} is {row['state']} {row['reason']} and stays so")
    for callback_id in traffic.quarantined:
        result.accepted += 1
        result.dead += callback_id in letters.callbacks
        if callback_id not in letters.callbacks and are_letters_kept:
            result.lost += 1
            result.wrong.append(f"callback {callback_id} was answered 200 and lies nowhere")
    result.duplicates = _duplicates(result, traffic, stack)
    result.wrong += [f"{event_id} went to {name}, who is not owed it" for event_id, name in found]
    result.wrong += [f"answered {status} {answer}" for status, answer in traffic.other]
    return result


def _told(result: Account, key: tuple[str, str], told: Mapping[tuple[str, str], int]) -> None:
    if told[key]:
        result.told += 1
    else:
        result.lost += 1
        result.wrong.append(f"{key[0]} counts as told, but {key[1]} never heard of it")


def _duplicates(result: Account, traffic: Traffic, stack: StackUnderFault) -> int:
    told = Counter({key: count for key, count in stack.applications.told.items() if key[0] in traffic.accepted})
    repeated = {key: count - 1 for key, count in told.items() if count > 1}
    for key in repeated:
        if len(stack.applications.delivery_ids[key]) > 1:
            result.wrong.append(f"{key} was repeated under another delivery id")
        if key not in stack.under_way:
            result.wrong.append(f"{key} was told {told[key]} times, though no process was killed in between")
    return sum(repeated.values())
