"""What was freed goes back to the system, also when what lies beside it is still held."""

import subprocess
import sys
from pathlib import Path

import pytest

BODIES = 200
PIECES = 16
SMALL_BYTES, LARGE_BYTES = 12 * 1024, 80 * 1024

PROGRAM = f"""
import sys
from shared.runtime.allocator import give_back_blocks, give_back_freed

def resident_bytes():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024

how, piece_bytes = sys.argv[1], int(sys.argv[2])
if how == "blocks":
    give_back_blocks(64 * 1024)
bytes(1024 * 1024)  # freed at once: glibc raises its own limit to this size
bodies = [[] for _ in range({BODIES})]
for _ in range({PIECES}):
    for body in bodies:
        body.append(b"x" * piece_bytes)
held = resident_bytes()
del bodies[::2]
if how == "freed":
    give_back_freed()
print(held - resident_bytes())
"""


def returned(how: str, piece_bytes: int) -> float:
    """Run the program; return the share that went back when every second body was freed."""
    command = [sys.executable, "-c", PROGRAM, how, str(piece_bytes)]
    freed_bytes = BODIES // 2 * PIECES * piece_bytes
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / freed_bytes


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize(("how", "piece_bytes", "least"), [("freed", SMALL_BYTES, 0.6), ("blocks", LARGE_BYTES, 0.95)])
def test_the_pieces_of_a_freed_body_do_not_stay_with_the_process(how: str, piece_bytes: int, least: float) -> None:
    assert returned(how, piece_bytes) > least, "all but the pages that it shares with others"
    assert returned("", piece_bytes) < 0.3, "the rule is needed"
