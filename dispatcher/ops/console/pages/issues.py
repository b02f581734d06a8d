"""The issues that need attention, in sentences. Pure.

What waits for its next attempt is retried on schedule: only what does not recover by itself is an issue. A failing
endpoint is not one of them: the page lists it below, and what is given up on becomes a dead letter.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Final
from uuid import UUID

import msgspec

from dispatcher.alerts.kinds import Kind
from dispatcher.ops.alerts.reader import Alert
from dispatcher.ops.console.words import sentence
from dispatcher.ops.dead.letters import DeadGroup
from dispatcher.ops.endpoints.reading.health import EndpointHealth
from dispatcher.ops.queues.bodies import Queues
from dispatcher.ops.queues.picture import left_over_queues, missing_queues
from dispatcher.ops.words import counted, duration

LONG_WAITING_SECONDS: Final = 60.0
"""For messages that a running dispatcher takes at once."""

SHOWN_OTHERWISE: Final = frozenset({Kind.ENDPOINT_FAILING, Kind.ENDPOINT_GONE, Kind.DEAD_LETTERS})
"""Kinds of alerts about what the page shows as it is now."""


class Harm(IntEnum):
    """What an issue does to faxes, the worst last."""

    UNTIDY = 0
    """Nothing: a figure is missing, or a queue is no longer used."""

    DEAD = 1
    """What was given up on stays untold until a person decides."""

    UNTOLD = 2
    """New events are delivered late, or not at all."""

    STOPPED = 3
    """Events wait for a store, a queue or a dispatcher that is not there."""

    BROKEN = 4
    """This dispatcher does not work."""


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """What is the matter, what to do, and the page to do it on.

    Attributes:
        harm: The worst comes first.
        count: How many faxes or messages it is about; among issues of the same harm the largest comes first.
    """

    what: str
    hint: str
    harm: Harm
    count: int = 0
    path: str = "#queues"
    action: str = "Queues"


def find_issues(
    problems: Sequence[str],
    queues: Queues,
    healths: Mapping[UUID, EndpointHealth],
    names: Mapping[UUID, str],
    groups: Sequence[DeadGroup],
    alerts: Sequence[Alert] = (),
) -> list[Issue]:
    """Return the issues, the most harmful first.

    Args:
        problems: Why this dispatcher cannot work, in sentences.
        queues: As they are now.
        healths: Of the endpoints.
        names: A short name for each endpoint.
        groups: Of dead letters.
        alerts: Those that are open.
    """
    found = [
        *(
            Issue(what=sentence(each).rstrip("."), hint="This dispatcher does not work.", harm=Harm.BROKEN)
            for each in problems
        ),
        *_of_stores(queues),
        *_of_queues(queues),
        *_of_endpoints(healths, names),
        *(_of_group(group, names) for group in groups),
        *(_of_alert(alert) for alert in alerts if alert.kind not in SHOWN_OTHERWISE),
    ]
    return sorted(found, key=lambda issue: (-issue.harm, -issue.count))


def group_path(group: DeadGroup) -> str:
    """Return the page that lists a group's dead letters."""
    return f"/dead/list?kind={group.kind}&cause={group.cause}"


def _of_stores(queues: Queues) -> Iterator[Issue]:
    """Yield what could not be read, and what is missing. A left-over queue that holds messages runs dry by itself."""
    missing, left_over = missing_queues(queues.items), left_over_queues(queues.items)
    for trouble in queues.troubles:
        if trouble in left_over:
            continue
        is_harmless = trouble not in missing and trouble.startswith("RABBITMQ_API_URL")
        harm = Harm.UNTIDY if is_harmless else Harm.STOPPED
        yield Issue(what=sentence(trouble).rstrip("."), hint="", harm=harm)
    for empty in left_over_queues([queue for queue in queues.items if queue.messages == 0]):
        what = sentence(empty.replace("to be deleted once empty", "no longer used")).rstrip(".")
        hint = "They are empty: delete them with the broker's tools."
        yield Issue(what=what, hint=hint, harm=Harm.UNTIDY)


def _of_queues(queues: Queues) -> Iterator[Issue]:
    for queue in queues.items:
        if queue.kind != "work":
            continue
        waiting_seconds = queue.oldest_seconds or 0.0
        if queue.consumers == 0 and queue.standing == "present":
            what = f"{queue.name} has no consumer; {counted(queue.messages or 0, 'message')} in it"
            hint = "Start a dispatcher, or look at its log."
            yield Issue(what=what, hint=hint, harm=Harm.STOPPED, count=queue.messages or 0)
        elif queue.messages and waiting_seconds > LONG_WAITING_SECONDS:
            what = f"A message has been waiting in {queue.name} for {duration(waiting_seconds)}"
            hint = "The dispatchers are behind, or stuck. If they are behind, start more."
            yield Issue(what=what, hint=hint, harm=Harm.UNTOLD, count=queue.messages)


def _of_endpoints(healths: Mapping[UUID, EndpointHealth], names: Mapping[UUID, str]) -> Iterator[Issue]:
    for health in healths.values():
        name = names.get(health.endpoint_id)
        if name is None:
            continue
        path = f"/endpoints/{health.endpoint_id}"
        if health.verdict == "gone":
            hint = "The application wants no more webhooks. Ask its operators, then enable or remove the endpoint."
            what = f"{name} answered 410 and was disabled"
            yield Issue(what=what, hint=hint, harm=Harm.UNTOLD, count=health.owed, path=path, action="Endpoint")
        elif health.verdict == "paused" and health.owed:
            what = f"{name} is paused; {counted(health.owed, 'delivery waits', 'deliveries wait')}"
            hint = "Resume it when it is ready."
            yield Issue(what=what, hint=hint, harm=Harm.UNTOLD, count=health.owed, path=path, action="Endpoint")


def _of_group(group: DeadGroup, names: Mapping[UUID, str]) -> Issue:
    to = ""
    if group.endpoint_id is not None and group.endpoint_id in names:
        to = f" to {names[group.endpoint_id]}"
    elif group.endpoints > 1:
        to = f" to {group.endpoints} endpoints"
    verb = "is" if group.count == 1 else "are"
    what = f"{counted(group.count, group.kind)}{to} {verb} dead: {group.title}"
    return Issue(what=what, hint=group.hint, harm=Harm.DEAD, count=group.count, path=group_path(group), action="Review")


def _of_alert(alert: Alert) -> Issue:
    what = sentence(f"{alert.title}: {alert.what}").rstrip(".")
    return Issue(what=what, hint=alert.advice, harm=Harm.UNTOLD, count=alert.count, path="/alerts", action="Alerts")
