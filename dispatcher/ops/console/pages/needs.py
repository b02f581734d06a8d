"""What needs a person now, in plain words, and what does not. Pure.

Waiting for the next attempt needs nobody: only what will not come right by itself is listed, the worst first.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from dispatcher.ops.console import words
from dispatcher.ops.dead.letters import DeadGroup
from dispatcher.ops.endpoints.health import EndpointHealth
from dispatcher.ops.queues.bodies import Queues
from dispatcher.ops.words import counted

LONG_WAITING_SECONDS: Final = 60.0
"""For work that a dispatcher takes at once when it can."""


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to look at: what is the matter, what to do, and where."""

    what: str
    hint: str
    path: str
    action: str


def needs(
    problems: Sequence[str],
    queues: Queues,
    healths: Mapping[UUID, EndpointHealth],
    names: Mapping[UUID, str],
    groups: Sequence[DeadGroup],
) -> list[Need]:
    """Return what needs a person.

    Args:
        problems: Why this dispatcher cannot work, in sentences.
        queues: As they are now.
        healths: Of the endpoints.
        names: What people call each endpoint.
        groups: Of dead letters.
    """
    return [
        *(
            _need(problem[:1].upper() + problem[1:], "This dispatcher does not work until then.", "#queues", "Queues")
            for problem in problems
        ),
        *(_need(trouble[:1].upper() + trouble[1:], "", "#queues", "Queues") for trouble in queues.troubles),
        *_of_queues(queues),
        *_of_endpoints(healths, names),
        *(_of_group(group, names) for group in groups),
    ]


def group_path(group: DeadGroup) -> str:
    """Return where a group's dead letters are listed."""
    return f"/dead/list?kind={group.kind}&cause={group.cause}"


def _of_queues(queues: Queues) -> list[Need]:
    found = []
    for queue in queues.items:
        if queue.kind != "work":
            continue
        if queue.consumers == 0 and queue.standing == "present":
            found.append(
                _need(
                    f"Nobody consumes {queue.name}, where {counted(queue.messages or 0, 'message')} wait",
                    "Start a dispatcher, or look into its log.",
                    "#queues",
                    "Queues",
                )
            )
        elif queue.messages and (queue.oldest_seconds or 0.0) > LONG_WAITING_SECONDS:
            found.append(
                _need(
                    f"In {queue.name} something has been waiting for {words.coarse(queue.oldest_seconds or 0.0)}",
                    "The dispatchers are behind, or stuck; more of them help with the first.",
                    "#queues",
                    "Queues",
                )
            )
    return found


def _of_endpoints(healths: Mapping[UUID, EndpointHealth], names: Mapping[UUID, str]) -> list[Need]:
    found = []
    for health in healths.values():
        name = names.get(health.endpoint_id)
        if name is None:
            continue
        path = f"/endpoints/{health.endpoint_id}"
        if health.verdict == "gone":
            hint = "It asked never to be told again. Ask its people, then switch it on or remove it."
            found.append(_need(f"{name} answered 410 and is switched off", hint, path, "Endpoint"))
        elif health.verdict == "failing" and health.owed:
            owed = counted(health.owed, "delivery waits", "deliveries wait")
            found.append(_need(f"{name} is failing; {owed} for it", health.sentence, path, "Endpoint"))
    return found


def _of_group(group: DeadGroup, names: Mapping[UUID, str]) -> Need:
    whose = ""
    if group.endpoint_id is not None and group.endpoint_id in names:
        whose = f" to {names[group.endpoint_id]}"
    elif group.endpoints > 1:
        whose = f" to {group.endpoints} endpoints"
    what = f"{words.kinds(group.kind, group.count)}{whose} given up: {group.title}"
    return _need(what, group.hint, group_path(group), "Dead letters")


def _need(what: str, hint: str, path: str, action: str) -> Need:
    return Need(what=what.rstrip("."), hint=hint, path=path, action=action)
