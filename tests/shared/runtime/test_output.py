"""A command whose reader has ended, or whose disk is full, ends as one; a service goes on without its lines."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = """
from shared.runtime.output import ending_with_output
with ending_with_output("faxhook"):
    {body}
print("not reached")
"""
SERVICE = """
import sys
from shared.runtime.output import drop_what_cannot_be_written
drop_what_cannot_be_written()
for number in range(3):
    print(number, flush=True)
print("words", file=sys.stderr)
sys.stdout.buffer.write(b"bytes"); sys.stdout.flush()
sys.exit(7)
"""
BODIES = {
    "small": "print('small')",
    "large": "print('x' * 1_000_000)",
    "lines": "[print(number, flush=True) for number in range(10)]",
    "bytes": "import sys; sys.stdout.buffer.write(b'x' * 100_000)",
    "in a task": "import asyncio\n    async def work():\n        print('x', flush=True)\n    asyncio.run(work())",
    "a table": "from rich.console import Console; Console().print('x' * 20_000)",
}


def closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def run(code, stdout, stderr=subprocess.PIPE):
    return subprocess.run([sys.executable, "-c", code], stdout=stdout, stderr=stderr, text=True, check=False)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_command_whose_reader_has_ended_ends_quietly_as_sigpipe_would_end_it(body):
    answer = run(COMMAND.format(body=body), closed_pipe())
    assert (answer.returncode, answer.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_command_on_a_full_disk_says_so(body):
    with Path("/dev/full").open("w") as full:
        answer = run(COMMAND.format(body=body), full)
    assert (answer.returncode, answer.stderr) == (
        74,
        "faxhook: the output cannot be written: No space left on device\n",
    )


def test_what_is_written_goes_out_unchanged_and_a_closed_descriptor_is_no_error(tmp_path):
    with (tmp_path / "out").open("w") as out:
        answer = run(COMMAND.format(body="print('grün ✓')"), out)
    assert answer.returncode == 0
    assert (tmp_path / "out").read_text().splitlines() == ["grün ✓", "not reached"]
    code = COMMAND.format(body="import sys; sys.stdout.write('x')")
    shell = subprocess.run(["sh", "-c", '"$1" -c "$0" >&-', code, sys.executable], capture_output=True, check=False)
    assert (shell.returncode, shell.stderr) == (0, b"")


@pytest.mark.parametrize("target", ["closed pipe", "full disk"])
def test_a_service_goes_on_whatever_becomes_of_its_lines(target):
    descriptor = closed_pipe() if target == "closed pipe" else os.open("/dev/full", os.O_WRONLY)
    answer = run(SERVICE, descriptor, descriptor)
    os.close(descriptor)
    assert answer.returncode == 7
