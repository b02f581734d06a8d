"""How the C library keeps what was freed."""

import ctypes
from typing import Final

_LIBC: Final = ctypes.CDLL(None)
_M_MMAP_THRESHOLD: Final = -3
"""glibc, `malloc.h`: a block of this size or more is mapped by itself."""


def give_back_blocks(from_bytes: int) -> None:
    """Make each freed block of *from_bytes* or more go back to the system at once (glibc; elsewhere it does nothing).

    glibc raises this limit by itself, up to 32 MiB, and keeps the smaller blocks.
    """
    if hasattr(_LIBC, "mallopt"):
        _LIBC.mallopt(_M_MMAP_THRESHOLD, from_bytes)


def give_back_freed() -> None:
    """Give back to the system what was freed (glibc; elsewhere it does nothing). Takes some milliseconds.

    What was read in pieces and then joined would stay with the process: the joined body lies elsewhere, and the pieces
    that were freed fit only pieces.
    """
    if hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(0)
