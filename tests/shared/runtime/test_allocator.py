"""What was freed in blocks goes back to the system, even when what lies beside it is still held."""

import subprocess
import sys
from pathlib import Path

import pytest

BODIES = 200
PIECES = 16
PIECE_BYTES = 40 * 1024

PROGRAM = f"""
import sys
from shared.runtime.allocator import give_back_blocks

def resident_bytes():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024

if sys.argv[1] == "with":
    give_back_blocks(32 * 1024)
bytes(1024 * 1024)  # freed at once: glibc raises its own limit to this size
bodies = [[] for _ in range({BODIES})]
for _ in range({PIECES}):
    for body in bodies:
        body.append(b"x" * {PIECE_BYTES})
held = resident_bytes()
del bodies[::2]
print(held - resident_bytes())
"""


def returned_bytes(how: str) -> int:
    """Run the program; return by how much it shrank when every second body was freed."""
    return int(subprocess.run([sys.executable, "-c", PROGRAM, how], check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_the_pieces_of_a_freed_body_do_not_stay_with_the_process() -> None:
    freed_bytes = BODIES // 2 * PIECES * PIECE_BYTES
    assert returned_bytes("with") > 0.9 * freed_bytes
    assert returned_bytes("without") < 0.5 * freed_bytes, "the rule is needed"
