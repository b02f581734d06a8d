"""`make run`: everything of faxhook on this machine until Ctrl-C. `deploy/run.py` calls it."""

import argparse
import logging
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

import aiohttp
import asyncpg

from deploy.demo.children import Family, Terminal, supervised
from deploy.demo.demo import demo
from deploy.demo.ports import check_ports
from deploy.demo.settings import LISTEN_PORT, RUN_ENV, only_run, run_environment, used_variables, write_run_env
from deploy.demo.stack import Stack, running_stack, wait_for
from deploy.services import control
from deploy.services.processes import LOOPBACK, Interrupted, LocalError, Unavailable
from dispatcher.ops.listener.listen import Listened, line_of
from dispatcher.ops.simulator.samples import make_sample
from dispatcher.ops.simulator.sending import curl_of, send
from dispatcher.ops.simulator.settings import SimulateSettings
from shared.errors import FaxhookError
from shared.runtime.output import drop_what_cannot_be_written
from shared.settings import load

REPOSITORY: Final = Path(__file__).resolve().parents[2]

SAMPLE: Final = ("phaxio", "sent-success")
TOLD_SECONDS: Final = 30.0
"""For the webhook of the first sample; it takes some milliseconds."""


def run(data: Path, environ: Mapping[str, str]) -> int:
    """Run everything until Ctrl-C; return the exit code."""
    terminal = Terminal()
    check_ports(environ)  # before the stores are started
    services = control.up(data, environ=environ, say=terminal.say)
    data = data.resolve()
    with only_run(data):
        variables = run_environment(data, services, environ, terminal.say)
        is_ready = False

        async def work(family: Family) -> None:
            nonlocal is_ready
            environment = {**_DEFAULTS, **environ, **variables, "LOG_FORMAT": "console"}

            def listened_line(listened: Listened) -> None:
                terminal.line("listen", line_of(listened))

            async with running_stack(family, environment, terminal.line, listened_line) as stack:
                listen_port = stack.listening.url.rpartition(":")[2].strip("/")
                used = used_variables({**stack.environment, LISTEN_PORT: listen_port})
                write_run_env(data, used)
                await _show(stack, load(SimulateSettings, used), data, terminal)
                is_ready = True
                await family.for_ever()

        supervised(terminal, work)
        terminal.say("stopped. The stores stay up; `make services-down` stops them.")
        return 0 if is_ready else Interrupted.exit_code


_DEFAULTS: Final = {"EGRESS_ALLOW_NETWORKS": "127.0.0.0/8", "INGRESS_HOST": LOOPBACK, "OPS_HOST": LOOPBACK}


async def _show(stack: Stack, settings: SimulateSettings, data: Path, terminal: Terminal) -> None:
    """Send a sample, wait for its webhook, and say where everything is."""
    sample = make_sample(settings, stack.ingress_url, *SAMPLE)
    async with aiohttp.ClientSession() as session:
        answer = await send(session, stack.ingress_url, sample)
    if not answer.event_id:
        raise LocalError(f"The sample callback was answered {answer.http_status}: {answer.body.get('detail')}.")
    heard = stack.listening.heard
    await wait_for(
        lambda: any(listened.event_id == answer.event_id and listened.verified for listened in heard),
        TOLD_SECONDS,
        "the webhook of the sample callback did not come",
    )
    faxhook = shlex.quote(_shown(Path(sys.executable).parent / "faxhook"))
    run_env = shlex.quote(_shown(data / RUN_ENV))
    bodies = data / "run-sample"
    shutil.rmtree(bodies, ignore_errors=True)  # of an earlier run
    again = make_sample(settings, stack.ingress_url, *SAMPLE)
    terminal.say(f"""
faxhook is ready: a sample callback went in, and its webhook came out, verified.

  callbacks to  {stack.ingress_url}  (phaxio, telnyx, sinch, asterisk; the secrets are in {run_env})
  webhooks to   {stack.endpoint.url}  (`faxhook listen`, lines above and below)
  mail to       {stack.smtp_url}  (caught; lines named mail)
  console       {stack.ops_url}/  (log in with the OPS_TOKEN of {run_env})
  health        {stack.ingress_url}/readyz  {stack.ops_url}/readyz

Send a callback from a second terminal in this folder; its webhook appears here:

  {faxhook} simulate {shlex.join(SAMPLE)} --env {run_env}

The same by curl; pasted again it is a repetition of the same event, and no endpoint is told twice:

  {curl_of(stack.ingress_url, again, bodies)}

Ctrl-C stops everything but the stores.
""")


def _shown(path: Path) -> str:
    """Return *path* relative to the folder of the project, where `make run` is called."""
    return str(path.relative_to(REPOSITORY)) if path.is_relative_to(REPOSITORY) else str(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="run.py", description="faxhook on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", type=Path, default=control.DEFAULT_DATA, metavar="DIR", help="default: %(default)s")
    commands.add_parser("run", help="run everything until Ctrl-C", parents=[common])
    demo_parser = commands.add_parser("demo", help="send every sample twice and check what came", parents=[common])
    demo_parser.add_argument("--seed", type=int, help="of the order; default: a random one, printed")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    drop_what_cannot_be_written()  # what runs is ended in order, even if no one reads on
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # what it warns of, it raises too
    try:
        if options.command == "run":
            return run(options.data, os.environ)
        return demo(options.data, os.environ, options.seed)
    except (LocalError, FaxhookError) as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        print(f"What is needed does not answer: {error or type(error).__name__}", file=sys.stderr)
        return Unavailable.exit_code
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return Interrupted.exit_code


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
