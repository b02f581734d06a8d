"""A service as the fault tests compose it: the real one, its ports wrapped, its waits scaled.

    python tests/faults/composed.py ingress | dispatcher | topology

FAULT_PLAN says where it kills itself, how its clock stands, and, to show that the tests would notice, which precaution it
leaves out. The packages hold nothing of this: names of the composition roots are replaced before they run.
"""

# ruff: noqa: E402 - waits are scaled before a module takes them by value

import asyncio
import ctypes
import gc
import inspect
import itertools
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from plan import Plan

import shared.backoff

shared.backoff.DEFER_WAITS_SECONDS = (1.0, 2.0, 3.0, 4.0)

import dispatcher.__main__ as dispatcher_root
import dispatcher.channels.by_scheme
import dispatcher.consumers.consumer
import dispatcher.consumers.deliveries
import dispatcher.delivery.leases
import dispatcher.maintenance.sweeper
import dispatcher.policy.endpoint
import ingress.__main__ as ingress_root
from dispatcher.channels.webhook import WebhookChannel
from dispatcher.ledger import deliveries as ledger
from dispatcher.ledger.intake import Intake
from dispatcher.maintenance import overdue
from dispatcher.maintenance.sweeper import Sweeper
from shared.amqp.channel import AmqpChannel
from shared.amqp.publisher import Publisher
from shared.broker import FAX_DEAD, FAX_IN, FAX_RETRY, FAX_WORK, WORK_EVENTS, declare, topology
from shared.media import MediaStore

PLAN = msgspec.json.decode(os.environ.get("FAULT_PLAN", "{}"), type=Plan)
_passings = itertools.count(1)
_PR_SET_PDEATHSIG = 1


def point(name: str) -> None:
    """Die here, if this is where the plan says so."""
    if name == PLAN.kill_at and next(_passings) == PLAN.passing:
        os.kill(os.getpid(), signal.SIGKILL)


_STEPS = {FAX_IN: "event", FAX_RETRY: "retry", FAX_WORK: "work", FAX_DEAD: "dead"}


class PointedPublisher(Publisher):
    """Points before a publish, when it is written, when it is confirmed."""

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: Any) -> None:
        step = _STEPS[exchange]
        point(f"{step}.before_publish")
        if PLAN.without == ("retry confirm" if exchange == FAX_RETRY else "confirm"):
            unwatched = asyncio.ensure_future(super().publish(exchange, routing_key, body, headers))
            unwatched.add_done_callback(lambda done: done.cancelled() or done.exception())
            return
        publishing = asyncio.ensure_future(super().publish(exchange, routing_key, body, headers))
        if PLAN.kill_at == f"{step}.written":
            await asyncio.sleep(0)
            while self._channel is not None and self._channel._out:
                await asyncio.sleep(0)
            point(f"{step}.written")
        await publishing
        point(f"{step}.confirmed")


class PointedChannel(AmqpChannel):
    """Points around each ack, named by the queue."""

    _step = ""

    async def consume(self, queue: str) -> str:
        self._step = "events" if queue == WORK_EVENTS else "deliveries"
        return await super().consume(queue)

    def take(self, most: int) -> Any:
        taken = super().take(most)
        if PLAN.without == "commit before ack" and taken:
            super().ack(taken[-1].tag, multiple=True)
        return taken

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        point(f"{self._step}.before_ack")
        if PLAN.without != "commit before ack":
            super().ack(tag, multiple=multiple)
        point(f"{self._step}.after_ack")


class PointedIntake(Intake):
    """Points around the transaction of a batch, and between its two parts."""

    async def take(self, events: Any, traces: Any = None) -> Any:
        if PLAN.without == "commit before ack":
            await asyncio.sleep(0.05)  # the early ack goes out
        point("intake.before_commit")
        taken = await super().take(events, traces or {})
        point("intake.after_commit")
        return taken

    async def owe_unowed(self, event_ids: Any, *, leased: bool) -> Any:
        point("intake.between_commits")
        return await super().owe_unowed(event_ids, leased=leased)


class PointedWebhooks(WebhookChannel):
    """Points before an application is asked, and after it answered."""

    async def attempt(self, attempt: Any) -> Any:
        point("attempt.before")
        outcome = await super().attempt(attempt)
        point("attempt.after")
        return outcome


class PointedMedia(MediaStore):
    """Points around keeping a document."""

    async def put(self, *arguments: Any, **options: Any) -> Any:
        point("media.before")
        media = await super().put(*arguments, **options)
        point("media.after")
        return media


class QuickSweeper(Sweeper):
    """Sweeps often, with a short grace; or not at all."""

    def __init__(self, pool: Any, publisher: Any, metrics: Any, _grace_seconds: Any) -> None:
        super().__init__(pool, publisher, metrics, lambda: PLAN.grace_seconds, every_seconds=PLAN.sweep_seconds)

    async def sweep(self) -> int:
        return 0 if PLAN.without == "sweeper" else await super().sweep()


def _pointed(step: str, work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def pointed(*arguments: Any) -> Any:
        point(f"{step}.before")
        result = await work(*arguments)
        point(f"{step}.after")
        return result

    return pointed


class _Jumped(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, datetime)


class JumpingDatetime(datetime, metaclass=_Jumped):
    """A wall clock that jumps."""

    jumped_seconds = 0.0

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(tz) + timedelta(seconds=cls.jumped_seconds)


def _let_the_clock_jump() -> None:
    true_time = time.time
    time.time = lambda: true_time() + JumpingDatetime.jumped_seconds
    for name, module in list(sys.modules.items()):
        # Who does not ask for the time may want the class itself, to read a time that was sent.
        if (
            name.partition(".")[0] in {"shared", "ingress", "dispatcher"}
            and getattr(module, "datetime", 0) is datetime
            and "datetime.now(" in inspect.getsource(module)
        ):
            module.datetime = JumpingDatetime

    def jump(_number: int, _frame: object) -> None:
        JumpingDatetime.jumped_seconds = PLAN.clock_seconds

    signal.signal(signal.SIGUSR2, jump)


def compose() -> None:
    """Replace what the composition roots compose."""
    dispatcher.policy.endpoint.LEASE_MARGIN_SECONDS = PLAN.lease_margin_seconds
    dispatcher.consumers.deliveries.LEASE_MARGIN_SECONDS = PLAN.lease_margin_seconds
    dispatcher.consumers.consumer.SILENCE_SECONDS = PLAN.anew_seconds
    dispatcher.delivery.leases.RENEW_EVERY_SECONDS = 0.5
    for root in (ingress_root, dispatcher_root):
        root.Publisher = PointedPublisher
        root.MediaStore = PointedMedia
    dispatcher.consumers.consumer.AmqpChannel = PointedChannel
    dispatcher_root.Intake = PointedIntake
    dispatcher.channels.by_scheme.WebhookChannel = PointedWebhooks
    dispatcher_root.Sweeper = QuickSweeper
    for name in ("claim", "record", "release"):
        setattr(ledger, name, _pointed(name, getattr(ledger, name)))
    overdue.publish_delivery = _pointed("sweep", overdue.publish_delivery)
    dispatcher.maintenance.sweeper.SETTLING_SECONDS = 2.0
    dispatcher.maintenance.sweeper.FIRST_LOOK_SECONDS = PLAN.grace_seconds
    if PLAN.without == "claim":
        condition = "AND d.attempts = message.attempt - 1\n      AND (d.lease_until IS NULL OR d.lease_until < now())"
        claim = ledger.CLAIM.replace("WHERE d.state IN ('pending', 'retrying')", "WHERE true").replace(condition, "")
        assert claim.count("d.state") == 0, "the claim has changed: mend this mutant"
        ledger.CLAIM = claim
    if PLAN.clock_seconds:
        _let_the_clock_jump()


def _tell_what_waits(_number: int, _frame: object) -> None:
    """Write where every task waits: what a test wants to know of a process that does not end."""
    for task in [each for each in gc.get_objects() if isinstance(each, asyncio.Task) and not each.done()]:
        waiting: Any = task.get_coro()
        places = [task.get_name()]
        while waiting is not None:
            frame = getattr(waiting, "cr_frame", None)
            if frame is not None:
                places.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
            waiting = getattr(waiting, "cr_await", None)
        sys.stderr.write(" > ".join(places) + "\n")
    sys.stderr.flush()


def _die_with_parent() -> None:
    """So that a test run that is itself killed leaves no process behind (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(service: str) -> int:
    """Run the service."""
    _die_with_parent()
    signal.signal(signal.SIGUSR1, _tell_what_waits)
    compose()
    if service == "topology":
        waits = shared.backoff.parse_backoff(os.environ["BACKOFF"])
        asyncio.run(declare(os.environ["AMQP_URL"], topology(waits)))
        return 0
    return {"ingress": ingress_root.main, "dispatcher": dispatcher_root.main}[service]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
