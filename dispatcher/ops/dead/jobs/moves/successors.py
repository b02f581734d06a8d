"""Dead letters of removed endpoints, sent to a successor: which ones it takes, and its deliveries in place of theirs.

The successor stands in for the endpoint that was removed: a letter is its own if its scope, direction and types take in
the letter's event. What superseded what when the event came makes no difference.

| the letter | then |
|---|---|
| is the successor's own | waiting: a new delivery is owed, in the successor's format; the letter is skipped |
| the successor was not owed its event while it was disabled | waiting: that delivery is owed after all |
| the successor has another delivery of its event | `known`: the letter is skipped, and nothing is told |
| that one was discarded, or superseded | `gone`: a person or a rule decided; the letter stays |
| its endpoint is not removed | `unremoved` |
| scope, direction or types leave it out | `unfit` |
| the successor's format has no word for its event | `unsaid` |
| the successor takes nothing now | `endpoint` |
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.ledger.endpoint_rows import COLUMNS, endpoint_of
from dispatcher.ops.dead.errors import BadSuccessor, EndpointOff
from dispatcher.ops.dead.jobs import items as job_items
from dispatcher.ops.dead.jobs.bodies import Selection
from dispatcher.ops.dead.jobs.items import PRUNED, Fate, ItemState, Moved
from dispatcher.ops.dead.jobs.moves.fates import JOINS
from dispatcher.ops.dead.jobs.moves.kinds import KIND, array, kinds_of
from dispatcher.ops.dead.jobs.moves.missed import APPLIES
from dispatcher.ops.words import SUCCESSOR
from dispatcher.policy.endpoint import Endpoint
from dispatcher.policy.routing import ENDPOINT_DISABLED, route
from shared.domain import decode_event
from shared.ids import uuid7

LETTERS: Final = """
SELECT d.id, d.attempts, d.state, d.event_id, events.body, {fate} AS fate
FROM deliveries d {joins} WHERE d.id = ANY($1::uuid[]) ORDER BY d.id FOR UPDATE OF d
"""

OWE: Final = f"""
INSERT INTO deliveries (id, event_id, endpoint_id, state, replayed_at)
SELECT id, event_id, $3, 'pending', now()
FROM unnest($1::uuid[], $2::text[]) AS batch (id, event_id) ORDER BY event_id COLLATE "C"
ON CONFLICT ON CONSTRAINT deliveries_once_per_endpoint DO UPDATE
SET state = 'pending', reason = NULL, due_at = now(), lease_until = NULL, sweeps = 0, settled_at = NULL,
    replayed_at = now(), crashes = 0, crash_place = NULL
WHERE deliveries.state = 'skipped' AND deliveries.reason = '{ENDPOINT_DISABLED}'
RETURNING id, event_id, attempts
"""  # noqa: S608 - the inserted text is a constant
"""Another delivery of the event to the successor stays as it is, and is not among the answers."""

SKIP: Final = """
UPDATE deliveries SET state = 'skipped', reason = $2, settled_at = now(), lease_until = NULL
WHERE id = ANY($1::uuid[]) AND state = 'dead'
"""

SETTLE: Final = """
UPDATE job_items SET state = batch.state, reason = batch.reason, delivery_id = batch.delivery_id
FROM unnest($2::text[], $3::text[], $4::text[], $5::uuid[]) AS batch (letter_id, state, reason, delivery_id)
WHERE job_items.job_id = $1 AND job_items.letter_id = batch.letter_id
"""


async def find(connection: Any, selection: Selection) -> Endpoint | None:
    """Return the successor of a selection, its tokens left sealed; None if none is named.

    Raises:
        BadSuccessor: There is no such endpoint.
    """
    if selection.to is None:
        return None
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM endpoints WHERE id = $1", selection.to)  # noqa: S608 - a constant
    if row is None:
        raise BadSuccessor(f"there is no endpoint `{selection.to}` that could be the successor: nothing was changed")
    return endpoint_of(row)


async def check(connection: Any, selection: Selection, *, now: bool) -> None:
    """Check the successor of a selection, if one is named; *now*: also that it takes deliveries at this moment.

    Raises:
        BadSuccessor: It is no endpoint, or a removed one.
        EndpointOff: It is disabled.
    """
    successor = await find(connection, selection)
    if successor is None:
        return
    if successor.removed_at is not None:
        raise BadSuccessor(f"endpoint {successor.id} was removed itself: name one that is in use. Nothing was changed")
    if now and not successor.enabled:
        raise EndpointOff(f"endpoint {successor.id} is disabled: enable it first. Nothing was changed")


def joins_of(successor: Endpoint) -> str:
    """Return what `fate_of` reads: also the successor as `own`, and its delivery of the event as `known`."""
    return f"""
    {JOINS}
    LEFT JOIN endpoints own ON own.id = '{successor.id}'
    LEFT JOIN deliveries known ON known.event_id = d.event_id AND known.endpoint_id = '{successor.id}'
    """


def fate_of(successor: Endpoint) -> str:
    """Return the fate of a delivery `d` as SQL, see `joins_of`."""
    said, unsaid = (array(kinds_of(successor, skipped=skipped)) for skipped in (None, "no_equivalent"))
    return f"""
    CASE WHEN d.state = 'told' THEN 'told'
         WHEN d.state <> 'dead' THEN 'gone'
         WHEN endpoints.id IS NOT NULL AND endpoints.removed_at IS NULL THEN 'unremoved'
         WHEN events.body IS NULL THEN 'pruned'
         WHEN own.id IS NULL OR own.removed_at IS NOT NULL OR NOT own.enabled THEN 'endpoint'
         WHEN known.state = 'skipped' AND known.reason IN ('discarded', 'superseded') THEN 'gone'
         WHEN known.state = 'skipped' AND known.reason = 'no_equivalent' THEN 'unsaid'
         WHEN known.id IS NOT NULL
              AND (known.state, known.reason) IS DISTINCT FROM ('skipped', '{ENDPOINT_DISABLED}') THEN 'known'
         WHEN ({APPLIES}) IS NOT TRUE THEN 'unfit'
         WHEN {KIND} = ANY({unsaid}) THEN 'unsaid'
         WHEN ({KIND} = ANY({said})) IS NOT TRUE THEN 'unfit'
         ELSE 'waiting' END
    """


def once_each(successor: Endpoint, matched: str) -> str:
    """Return *matched* (SQL of letters and their fates) with the successor as endpoint of those that it gets.

    The letters of several endpoints may be of one event, which it is told once: the others are `known`.
    """
    return f"""
    SELECT id, CASE fate WHEN 'waiting' THEN '{successor.id}'::uuid ELSE endpoint_id END AS endpoint_id,
           CASE WHEN fate = 'waiting' AND row_number() OVER (PARTITION BY fate, event_id ORDER BY id) > 1 THEN 'known'
                ELSE fate END AS fate
    FROM ({matched}) AS letters
    """  # noqa: S608 - what is inserted is ours


async def move(connection: Any, successor: Endpoint, job_id: UUID, letters: Mapping[UUID, str]) -> list[Moved]:
    """Owe the successor what the *letters* of a job (by delivery) are about, and settle them, in one transaction.

    Return what has to be published now. The events are locked.
    """
    # 1. What becomes of each now, its row locked? Routing has the last word.
    sql = LETTERS.format(fate=fate_of(successor), joins=joins_of(successor))
    rows = await connection.fetch(sql, list(letters))
    fates: dict[UUID, Fate] = dict.fromkeys(letters, "gone")
    fates |= {row["id"]: _routed(successor, row) for row in rows}
    # 2. One delivery for each event, whose letter comes first; the others are of what is owed by then.
    wanted = {row["event_id"]: row["id"] for row in reversed(rows) if fates[row["id"]] == "waiting"}
    new = await connection.fetch(OWE, [uuid7() for _ in wanted], list(wanted), successor.id)
    owed = {wanted[row["event_id"]]: row for row in new}
    # 3. The letters are settled, and their items: those that are owed now name the new delivery.
    settled = [row for row in rows if fates[row["id"]] in {"waiting", "known"}]
    await connection.execute(SKIP, [row["id"] for row in settled], f"{SUCCESSOR}{successor.id}")
    await job_items.decide(connection, job_id, settled)
    items = [(letter_id, *_ending(each, fates[each], owed)) for each, letter_id in letters.items()]
    await connection.execute(SETTLE, job_id, *([item[column] for item in items] for column in range(4)))
    return [Moved(letters[each], row["id"], row["attempts"] + 1) for each, row in owed.items()]


def _routed(successor: Endpoint, row: Any) -> Fate:
    if row["fate"] != "waiting":
        fate: Fate = row["fate"]
        return fate
    routed = route(decode_event(row["body"]), [msgspec.structs.replace(successor, enabled=True)])
    if not routed:
        return "unfit"
    return "unsaid" if routed[0].skipped is not None else "waiting"


def _ending(delivery_id: UUID, fate: Fate, owed: Mapping[UUID, Any]) -> tuple[ItemState, str | None, UUID]:
    """Return state, reason and delivery of a letter's item."""
    if delivery_id in owed:
        return "moved", None, owed[delivery_id]["id"]
    match fate:
        case "waiting" | "known":
            return "told", None, delivery_id
        case "pruned":
            return *PRUNED, delivery_id
        case _:
            return fate, None, delivery_id
