"""The issues that need attention, in sentences. Pure.

What waits for its next attempt is retried on schedule: only what does not recover by itself is an issue.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from dispatcher.ops.console.words import sentence
from dispatcher.ops.dead.letters import DeadGroup
from dispatcher.ops.endpoints.reading.health import EndpointHealth
from dispatcher.ops.queues.bodies import Queues
from dispatcher.ops.words import counted, duration

LONG_WAITING_SECONDS: Final = 60.0
"""For messages that a running dispatcher takes at once."""


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """What is the matter, what to do, and the page to do it on."""

    what: str
    hint: str
    path: str = "#queues"
    action: str = "Queues"


def find_issues(
    problems: Sequence[str],
    queues: Queues,
    healths: Mapping[UUID, EndpointHealth],
    names: Mapping[UUID, str],
    groups: Sequence[DeadGroup],
) -> list[Issue]:
    """Return the issues.

    Args:
        problems: Why this dispatcher cannot work, in sentences.
        queues: As they are now.
        healths: Of the endpoints.
        names: A short name for each endpoint.
        groups: Of dead letters.
    """
    return [
        *(Issue(what=sentence(each).rstrip("."), hint="This dispatcher does not work.") for each in problems),
        *(Issue(what=sentence(each).rstrip("."), hint="") for each in queues.troubles),
        *_of_queues(queues),
        *_of_endpoints(healths, names),
        *(_of_group(group, names) for group in groups),
    ]


def group_path(group: DeadGroup) -> str:
    """Return the page that lists a group's dead letters."""
    return f"/dead/list?kind={group.kind}&cause={group.cause}"


def _of_queues(queues: Queues) -> Iterator[Issue]:
    for queue in queues.items:
        if queue.kind != "work":
            continue
        waiting_seconds = queue.oldest_seconds or 0.0
        if queue.consumers == 0 and queue.standing == "present":
            what = f"{queue.name} has no consumer; {counted(queue.messages or 0, 'message')} in it"
            yield Issue(what=what, hint="Start a dispatcher, or look at its log.")
        elif queue.messages and waiting_seconds > LONG_WAITING_SECONDS:
            what = f"A message has been waiting in {queue.name} for {duration(waiting_seconds)}"
            yield Issue(what=what, hint="The dispatchers are behind, or stuck. If they are behind, start more.")


def _of_endpoints(healths: Mapping[UUID, EndpointHealth], names: Mapping[UUID, str]) -> Iterator[Issue]:
    for health in healths.values():
        name = names.get(health.endpoint_id)
        if name is None:
            continue
        path = f"/endpoints/{health.endpoint_id}"
        if health.verdict == "gone":
            hint = "The application wants no more webhooks. Ask its operators, then enable or remove the endpoint."
            yield Issue(what=f"{name} answered 410 and was disabled", hint=hint, path=path, action="Endpoint")
        elif health.verdict == "failing" and health.owed:
            owed = counted(health.owed, "delivery is waiting", "deliveries are waiting")
            yield Issue(what=f"{name} is failing; {owed}", hint=health.sentence, path=path, action="Endpoint")
        elif health.verdict == "paused" and health.owed:
            owed = counted(health.owed, "delivery waits", "deliveries wait")
            yield Issue(
                what=f"{name} is paused; {owed}", hint="Resume it when it is ready.", path=path, action="Endpoint"
            )


def _of_group(group: DeadGroup, names: Mapping[UUID, str]) -> Issue:
    to = ""
    if group.endpoint_id is not None and group.endpoint_id in names:
        to = f" to {names[group.endpoint_id]}"
    elif group.endpoints > 1:
        to = f" to {group.endpoints} endpoints"
    verb = "is" if group.count == 1 else "are"
    what = f"{counted(group.count, group.kind)}{to} {verb} dead: {group.title}"
    return Issue(what=what, hint=group.hint, path=group_path(group), action="Review")
