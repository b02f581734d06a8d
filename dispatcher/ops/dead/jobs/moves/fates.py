"""What becomes of each delivery that a job takes, decided in one place, for a preview and for the change. Pure SQL.

| asked for | the delivery | then |
|---|---|---|
| replay, discard | is dead | waiting |
| recovery | was not owed because the endpoint was off | waiting |
| recovery of what was told, too; resend | is told, dead or skipped | waiting |
| resend | is owed, or is being attempted | `owed`: it is told anyway |
| resend | its fax is further by now, and that was not asked for | `overtaken` |
| all but a discard | the endpoint's format, as it is now, has no word for its event | `unsaid` |
| all but a discard | its endpoint takes nothing | `endpoint` |
| recovery, resend | the event's content was pruned | `pruned` |

Everything else was decided meanwhile: `told`, or `gone`.
"""

from typing import Final

from dispatcher.ops.dead.jobs.bodies import Selection, What
from dispatcher.ops.dead.jobs.moves.kinds import ENDINGS, IS_UNSAID, array
from dispatcher.ops.dead.store import IS_READY
from dispatcher.policy.lifecycle import overtaking_rank
from dispatcher.policy.routing import ENDPOINT_DISABLED
from shared.domain import EventType

NOT_OWED: Final = f"d.state = 'skipped' AND d.reason = '{ENDPOINT_DISABLED}'"

IS_OVERTAKEN: Final = "coalesce(faxes.rank >= CASE events.type {} END, false)".format(
    " ".join(f"WHEN '{each}' THEN {rank}" for each in EventType if (rank := overtaking_rank(each)) is not None)
)
"""Of an event and its fax, as `lifecycle.is_overtaken` decides it."""

JOINS: Final = """
LEFT JOIN events ON events.id = d.event_id  -- dropped by the planner of a filter that does not need it
LEFT JOIN faxes ON faxes.provider = events.provider AND faxes.fax_id = events.fax_id
LEFT JOIN endpoints ON endpoints.id = d.endpoint_id
"""

JOINS_OF_EVENT: Final = f"""
LEFT JOIN LATERAL (
    SELECT direction, rank FROM faxes
    WHERE faxes.provider = events.provider AND faxes.fax_id = events.fax_id
    AND events.type <> ALL ({array([*map(str, ENDINGS)])}) AND d.id IS NOT NULL OFFSET 0
) AS faxes ON true
LEFT JOIN endpoints ON endpoints.id = d.endpoint_id
"""  # noqa: S608 - the inserted text is a constant
JOINS_OF_ENDPOINT: Final = f"""
LEFT JOIN LATERAL (SELECT * FROM events WHERE id = d.event_id OFFSET 0) AS events ON true {JOINS_OF_EVENT}
"""  # noqa: S608 - the inserted text is a constant
"""The same for the deliveries of one endpoint since a time: a tenth of all events of that time, each by its key."""


def tells_again(what: What, selection: Selection) -> bool:
    """Is what was told to be told again?"""
    return what == "delivery.resend" or (selection.skipped is not None and selection.skipped.told)


def fate_of(what: What, selection: Selection) -> str:
    """Return the fate of a delivery `d` as SQL: the state of its item (see `items.PRUNED`)."""
    if tells_again(what, selection):
        overtaken = "false" if selection.overtaken else IS_OVERTAKEN
        return f"""
        CASE WHEN d.state IN ('pending', 'retrying') THEN 'owed'
             WHEN events.body IS NULL THEN 'pruned'
             WHEN {IS_UNSAID} THEN 'unsaid'
             WHEN d.state = 'skipped' AND d.reason = 'superseded' THEN 'gone'
             WHEN {overtaken} THEN 'overtaken'
             WHEN NOT {IS_READY} THEN 'endpoint'
             ELSE 'waiting' END
        """
    if what == "endpoint.recover":
        return f"""
        CASE WHEN d.state = 'told' THEN 'told'
             WHEN NOT ({NOT_OWED}) THEN 'gone'
             WHEN events.body IS NULL THEN 'pruned'
             WHEN {IS_UNSAID} THEN 'unsaid'
             WHEN NOT {IS_READY} THEN 'endpoint'
             ELSE 'waiting' END
        """
    ready, unsaid = ("true", "false") if what == "dead.discard" else (IS_READY, IS_UNSAID)
    return f"""
    CASE WHEN d.state = 'told' THEN 'told'
         WHEN d.state <> 'dead' THEN 'gone'
         WHEN NOT {ready} THEN 'endpoint'
         WHEN {unsaid} THEN 'unsaid'
         ELSE 'waiting' END
    """
