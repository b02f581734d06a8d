"""Every shell block of README, CONTRIBUTING and docs/ works when it is pasted, in the order of its page.

The first block of the README, `make run`, is run in a copy of the project; the others in a second terminal beside it.
"""

import asyncio
import os
import re
import shutil
import signal
import sys
from pathlib import Path

from waiting import until

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", *sorted(str(p.relative_to(REPOSITORY)) for p in REPOSITORY.glob("docs/*.md")))

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS = {
    "sh": "commands",
    "text": "output, or a picture",
    "sql": "for the ledger's server",
    "env": "settings",
}

NOT_RUN = {
    "make run\n": "it is what all others run beside",
    "make test\n": "it runs this suite",
    "make check\nmake test\nmake services-down\n": "it runs this suite",
    "docker run ": "it needs the images and an engine; tests/end_to_end/test_images.py runs them with these options",
    "faxhook backfill ": "it asks a provider, with an API key",
    "env $(.venv/bin/faxhook simulate-provider ": "it starts what all others run beside",
    "faxhook simulate-provider ": "it serves until Ctrl-C; tests/dispatcher/ops/simulator/lists runs it",
    "make up ": "it needs an engine with Compose; tests/deploy/compose/test_compose.py checks what it starts",
}
"""Beginnings of the blocks that cannot run here, and why."""

SECONDS = 120.0
"""For all blocks of a page."""


def blocks(page: str, kind: str) -> list[str]:
    return [text for name, text in BLOCK.findall((REPOSITORY / page).read_text(encoding="utf-8")) if name == kind]


def runnable(page: str) -> str:
    return "\n".join(text for text in blocks(page, "sh") if not text.startswith(tuple(NOT_RUN)))


def test_every_block_says_what_it_is() -> None:
    for page in PAGES:
        for kind, text in BLOCK.findall((REPOSITORY / page).read_text(encoding="utf-8")):
            assert kind in KINDS, f"{page}: {text}"
            assert not text.startswith("$ "), f"{page}: a prompt cannot be pasted: {text}"


def test_each_block_that_is_not_run_is_there() -> None:
    found = [text for page in PAGES for text in blocks(page, "sh")]
    assert not [beginning for beginning in NOT_RUN if not any(text.startswith(beginning) for text in found)]


def copy_of_project(folder: Path) -> Path:
    """Return a copy as a clone would be, with our virtual environment in place of one that takes a minute to make."""
    away = shutil.ignore_patterns(".git", ".venv", ".local", "__pycache__", ".*_cache", "tests", "*.png")
    project = Path(shutil.copytree(REPOSITORY, folder / "faxhook", ignore=away))
    (project / ".venv").symlink_to(sys.prefix)
    for name in ("requirements-dev.lock", "pyproject.toml"):
        os.utime(project / name, (0, 0))
    (project / "faxhook.log").write_text('{"event":"attempt.made","fax_id":"939974455","outcome":"timeout"}\n')
    return project


async def pasted(script: str, project: Path) -> tuple[int, str]:
    """Run *script* as if it were pasted into a new terminal; end with the first command that fails, and name it."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        env={"PATH": os.environ["PATH"], "HOME": str(project), "LANG": "C.UTF-8"},
        cwd=project,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    guarded = (
        "set -eE -o pipefail\n"
        "trap 'echo \"FAILED: $BASH_COMMAND\"' ERR\n"
        "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
        f"{{\n{script}\n}} </dev/null\n"
    )
    async with asyncio.timeout(SECONDS):
        out, _ = await process.communicate(guarded.encode())
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_every_block_works_when_it_is_pasted_in_order(amqp_url: str, database_url: str, tmp_path: Path) -> None:
    project = copy_of_project(tmp_path)
    first = blocks("README.md", "sh")[0]
    assert first == "make run\n"
    run = await asyncio.create_subprocess_shell(
        first,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(project),
            "LANG": "C.UTF-8",
            "AMQP_URL": amqp_url,
            "DATABASE_URL": database_url,
            "INGRESS_PORT": "0",
            "OPS_PORT": "0",
        },
        cwd=project,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**20,
        start_new_session=True,
    )
    assert run.stdout is not None
    said: list[str] = []

    async def read() -> None:
        assert run.stdout is not None
        while line := await run.stdout.readline():
            said.append(line.decode())

    reading = asyncio.create_task(read())
    try:
        await until(lambda: "Ctrl-C stops" in "".join(said) or run.returncode is not None, "make run is ready", 90)
        assert "faxhook is ready" in "".join(said), "".join(said)
        scripts = {page: script for page in PAGES if (script := runnable(page))}
        ends = await asyncio.gather(*(pasted(script, project) for script in scripts.values()))
        failed = {page: out[-1_500:] for page, (code, out) in zip(scripts, ends, strict=True) if code != 0}
        assert not failed, "\n".join(f"{page}:\n{out}" for page, out in failed.items())
    finally:
        os.killpg(run.pid, signal.SIGINT)
        await run.wait()
        await reading
