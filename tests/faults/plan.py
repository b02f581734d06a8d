"""What happens to one process in a fault test."""

import msgspec


class Plan(msgspec.Struct, kw_only=True):
    """What happens to one process.

    Attributes:
        kill_at: The point at which it kills itself with SIGKILL; empty: nowhere.
        passing: The passing of that point at which it does so, from 1.
        without: A precaution to leave out, to see that the account shows it.
        clock_seconds: How far its wall clock jumps when SIGUSR2 comes.
        lease_margin_seconds, grace_seconds, sweep_seconds: The waits of recovery, scaled down.
        anew_seconds: The silence after which a consumer registers again.
    """

    kill_at: str = ""
    passing: int = 1
    without: str = ""
    clock_seconds: float = 0.0
    lease_margin_seconds: float = 1.5
    grace_seconds: float = 3.0
    sweep_seconds: float = 0.5
    anew_seconds: float = 60.0
