"""How the C library keeps what was freed."""

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
"""glibc, `malloc.h`: a block of this size or more is mapped by itself."""


def give_back_blocks(from_bytes: int) -> None:
    """Make each freed block of *from_bytes* or more go back to the system at once (glibc; elsewhere it does nothing).

    glibc raises this limit by itself, up to 32 MiB: what a large body was read into would stay with the process when it
    is freed, in pieces that fit no other body.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, from_bytes)
