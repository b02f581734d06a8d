"""Processes are killed at a point, or at random, or stopped; their clocks jump."""

import random
import signal
from typing import Final

from fault import Fault, it_lasts
from plan import Plan
from stack_under_fault import MOST_AT_ONCE, StackUnderFault
from supervised_process import SupervisedProcess
from waiting import until

INGRESS_POINTS: Final = (
    "media.before",
    "media.after",
    "event.before_publish",
    "event.written",
    "event.confirmed",
    "dead.before_publish",
    "dead.written",
    "dead.confirmed",
)
DISPATCHER_POINTS: Final = (
    "intake.before_commit",
    "intake.between_commits",
    "intake.after_commit",
    "events.before_ack",
    "events.after_ack",
    "attempt.before",
    "attempt.after",
    "record.before",
    "record.after",
    "retry.before_publish",
    "retry.written",
    "retry.confirmed",
    "claim.before",
    "claim.after",
    "deliveries.before_ack",
    "deliveries.after_ack",
    "dead.before_publish",
    "dead.written",
    "dead.confirmed",
)
STOPPING_POINTS: Final = ("release.before", "release.after", "work.written", "work.confirmed")
"""Passed by a dispatcher that stops while deliveries wait in its lanes."""

SWEEPER_POINTS: Final = ("sweep.before", "sweep.after")
"""Passed by a dispatcher that puts back what another left."""


def _of(stack: StackUnderFault, kind: str, index: int) -> SupervisedProcess:
    return (stack.ingresses if kind == "ingress" else stack.dispatchers)[index]


def kill_at(*victims: tuple[str, int, str], seed: int = 0) -> Fault:
    """Kill processes (kind, index, point), each at its point."""
    dice = random.Random(f"{victims} {seed}")
    plans = {
        (kind, index): Plan(kill_at=point, passing=1 if point.startswith("dead") else dice.randint(1, 2))
        for kind, index, point in victims
    }

    async def act(stack: StackUnderFault, _dice: random.Random) -> None:
        for kind, index, point in victims:
            victim = _of(stack, kind, index)
            await until(lambda v=victim: v.ends, f"{kind} passes {point}", 40)

    name = ", ".join(f"{kind} killed at {point}" for kind, _, point in victims)
    return Fault(name, act, plans, repeats=any(kind == "dispatcher" for kind, _, _ in victims))


def kill_stopping(point: str) -> Fault:
    """Kill a dispatcher at a point that it passes while it stops."""

    async def act(stack: StackUnderFault, _dice: random.Random) -> None:
        victim = stack.dispatchers[0]
        stack.applications.seconds = 1.0

        async def some_wait_in_lanes() -> bool:
            return await victim.measured("faxhook_leased_deliveries") > MOST_AT_ONCE

        try:
            await until(some_wait_in_lanes, "some wait in their lanes", 30)
            victim.send(signal.SIGTERM)
            await until(lambda: victim.ends, f"a stopping dispatcher passes {point}", 40)
        finally:
            stack.applications.seconds = 0.0
        assert victim.ends[-1] == -signal.SIGKILL, f"it never passed {point}"

    return Fault(f"stopping dispatcher killed at {point}", act, {("dispatcher", 0): Plan(kill_at=point)}, repeats=True)


def kill_sweeping(point: str) -> Fault:
    """Kill one dispatcher in the middle of its deliveries, and the other as it puts them back."""

    async def act(stack: StackUnderFault, _dice: random.Random) -> None:
        first, other = stack.dispatchers
        # Acked and under way: only a sweeper can find these deliveries.
        stack.applications.seconds = 1.0
        await until(lambda: stack.applications.answering.total() >= MOST_AT_ONCE - 1, "every lane is full", 30)
        first.hold()  # a new process might sweep before the other
        try:
            first.send(signal.SIGKILL)
            await until(lambda: first.ends, "a dispatcher dies", 40)
            stack.applications.seconds = 0.0
            await until(lambda: other.ends, f"the other passes {point}", 40)
        finally:
            stack.applications.seconds = 0.0
            first.go_on()

    return Fault(f"sweeping dispatcher killed at {point}", act, {("dispatcher", 1): Plan(kill_at=point)}, repeats=True)


def kill_at_random(kind: str) -> Fault:
    """Kill a process at any moment."""

    async def act(stack: StackUnderFault, dice: random.Random) -> None:
        await it_lasts(dice.uniform(0.0, 1.5))
        victim = _of(stack, kind, dice.randint(0, 1))
        victim.send(signal.SIGKILL)
        await until(lambda: victim.ends, f"{kind} is killed")

    return Fault(f"{kind} killed at random", act, repeats=kind == "dispatcher")


def stop_one(kind: str) -> Fault:
    """Stop a process by SIGTERM; another is started."""

    async def act(stack: StackUnderFault, dice: random.Random) -> None:
        victim = _of(stack, kind, dice.randint(0, 1))
        victim.send(signal.SIGTERM)
        await until(lambda: victim.ends, f"{kind} ends", 40)
        assert victim.ends[-1] == 0, victim.ends

    return Fault(f"{kind} stopped by SIGTERM", act)


def clock_jumps(kind: str, seconds: float) -> Fault:
    async def act(stack: StackUnderFault, _dice: random.Random) -> None:
        for process in stack.ingresses if kind == "ingress" else stack.dispatchers:
            process.send(signal.SIGUSR2)
        await it_lasts(1.0)

    plans = {(kind, index): Plan(clock_seconds=seconds) for index in (0, 1)}
    # To a clock that is an hour wrong, a signed time is an hour old.
    may_refuse = frozenset({"timestamp_expired"}) if kind == "ingress" else frozenset()
    return Fault(f"{kind}'s clock jumps {seconds / 3600:+.0f} h", act, plans, may_refuse=may_refuse)
