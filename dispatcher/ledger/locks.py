"""Every advisory lock of the ledger in one place: two that shared a number would wait for each other."""

from enum import IntEnum, unique


@unique
class Lock(IntEnum):
    """What one process at a time does. The first number is the migrations', which know nothing of the dispatcher."""

    SWEEP = 0xFA_0002
    PRUNE = 0xFA_0003
    SAMPLE = 0xFA_0004
    LOOK_AT_DEAD_CALLBACKS = 0xFA_0010
    LOOK_AT_DEAD_EVENTS = 0xFA_0011
    LOOK_AT_DEAD_DELIVERIES = 0xFA_0012
    BEGIN_JOB = 0xFA_0020
