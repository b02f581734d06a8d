"""`make run` and `make demo` show every event that is sent, and end everything they started with the right exit code."""

import asyncio
import os
import shlex
import signal
import sys
from pathlib import Path

import pytest
from waiting import until

from deploy.services.processes import Process, descendants, find, is_alive
from dispatcher.ops.simulator.samples import SAMPLES
from dispatcher.ops.simulator.settings import read_env_file
from shared.backoff import DEFAULT_BACKOFF

REPOSITORY = Path(__file__).parents[2]


async def start(data: Path, *arguments: str, **environ: str) -> asyncio.subprocess.Process:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "deploy/run.py", *arguments, "--data", str(data)),
        cwd=REPOSITORY,
        env={**inherited, "PYTHONIOENCODING": "utf-8", **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


class Run:
    """`make run` and its lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip("\n"))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    async def ready(self) -> None:
        await until(lambda: "Ctrl-C stops" in self.text or self.process.returncode is not None, "ready", 60)
        assert "faxhook is ready" in self.text, self.text

    def line_with(self, text: str) -> str:
        return next(line.strip() for line in self.lines if text in line)

    def children(self) -> list[Process]:
        me = find(lambda process: process.pid == self.process.pid)
        return [] if me is None else descendants(me)

    async def ended(self) -> int:
        code = await self.process.wait()
        await self._reader
        return code


async def in_shell(command: str) -> str:
    process = await asyncio.create_subprocess_shell(
        command, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, env={"PATH": os.environ["PATH"]}
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    return out.decode()


def leftovers(data: Path) -> list[Path]:
    return list(data.glob("demo-*"))


def alive(processes: list[Process]) -> list[Process]:
    return [process for process in processes if is_alive(process)]


@pytest.mark.parametrize("seed", ["1", "2"])
async def test_the_demo_shows_every_event_once_and_exits_0(
    amqp_url: str, database_url: str, tmp_path: Path, seed: str
) -> None:
    process = await start(tmp_path, "demo", "--seed", seed, AMQP_URL=amqp_url, DATABASE_URL=database_url)
    out, _ = await process.communicate()
    text = out.decode()
    assert process.returncode == 0, text
    count = sum(len(samples) for samples in SAMPLES.values())
    assert f"{2 * count} callbacks sent, {2 * count} answered 200: {count} events" in text
    assert f"{count} duplicates removed" in text
    assert text.count("✓") > count / 2
    assert "media.missing" not in text, "what Telnyx names by URL is fetched from the demo itself"
    for provider, samples in SAMPLES.items():
        rows = [line.split() for line in text.splitlines() if line.split()[:1] == [provider]]
        assert len(rows) == len(samples)
    assert not leftovers(tmp_path)


async def use(run: Run) -> list[Process]:
    """Do what the lines of `make run` invite to; return its children."""
    await run.ready()
    children = run.children()
    assert len(children) == 3
    before = run.text.count("verified ✓")
    assert before >= 1
    assert "answered  200 accepted" in await in_shell(run.line_with("simulate phaxio"))
    await until(lambda: run.text.count("verified ✓") == before + 1, "the webhook is shown")
    for _ in range(2):
        assert "accepted" in await in_shell(run.line_with("curl -sS"))
    await until(lambda: "event.repeated" in run.text, "the second paste is a repetition")
    await until(lambda: run.text.count("verified ✓") >= before + 2, "the first paste is told")
    return children


async def test_run_shows_a_sample_and_then_what_the_printed_commands_send_until_ctrl_c(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    stores = {"AMQP_URL": amqp_url, "DATABASE_URL": database_url}
    for how in (signal.SIGINT, signal.SIGTERM):  # the second `make run` works on what the first one left
        run = Run(await start(tmp_path, "run", **stores, INGRESS_PORT="0", OPS_PORT="0"))
        try:
            children = await use(run)
        except BaseException:
            run.process.kill()
            await run.ended()
            sys.stderr.write(run.text)
            raise
        run.process.send_signal(how)
        assert await run.ended() == 0, run.text
        assert "NOT VERIFIED" not in run.text
        assert run.text.count("verified ✓") == 3, run.text
        assert "count=1" in run.line_with("endpoints.checked"), "endpoints pile up"
        assert not alive(children)


async def test_a_service_that_dies_is_named_and_everything_ends_with_70(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    run = Run(
        await start(tmp_path, "run", AMQP_URL=amqp_url, DATABASE_URL=database_url, INGRESS_PORT="0", OPS_PORT="0")
    )
    await run.ready()
    children = run.children()
    (dispatcher,) = [child for child in children if "dispatcher" in child.argv]
    os.kill(dispatcher.pid, signal.SIGKILL)
    assert await run.ended() == 70, run.text
    assert "dispatcher ended by itself by signal 9. Its last lines:\n  | " in run.text
    assert not alive(children)


async def test_a_port_that_was_asked_for_and_is_taken_is_a_sentence_and_exit_69(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = str(server.sockets[0].getsockname()[1])
        process = await start(tmp_path, "run", AMQP_URL=amqp_url, DATABASE_URL=database_url, OPS_PORT=port)
        out, _ = await process.communicate()
    assert process.returncode == 69
    assert out.decode().splitlines()[-1].startswith(f"OPS_PORT={port}: the port is taken")


async def test_run_env_is_enough_for_every_command_in_a_second_terminal(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    stores = {"AMQP_URL": amqp_url, "DATABASE_URL": database_url}
    run = Run(await start(tmp_path, "run", **stores, INGRESS_PORT="0", OPS_PORT="0", BACKOFF=DEFAULT_BACKOFF))
    await run.ready()
    sourced = f"set -a; . {shlex.quote(str(tmp_path / 'run.env'))}; {shlex.quote(sys.executable)} -m dispatcher.ops"
    for command in ("topology", "endpoints add http://127.0.0.1:9/hook --number +15550100199", "queues", "faxes list"):
        await in_shell(f"{sourced} {command}")
    used = read_env_file(tmp_path / "run.env")
    assert used["SMTP_URL"] in run.text
    run.process.send_signal(signal.SIGINT)
    assert await run.ended() == 0


async def test_an_interrupt_before_it_is_ready_ends_it_with_130(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    run = Run(
        await start(tmp_path, "run", AMQP_URL=amqp_url, DATABASE_URL=database_url, INGRESS_PORT="0", OPS_PORT="0")
    )
    await until(lambda: any("service.started" in line for line in run.lines), "the services start", 60)
    children = run.children()
    run.process.send_signal(signal.SIGINT)
    assert await run.ended() in {0, 130}, run.text
    assert "Traceback" not in run.text
    assert not alive(children)
