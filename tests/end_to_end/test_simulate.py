"""`faxhook simulate` is taken by the ingress as a real callback, and `faxhook listen` takes what comes out."""

import asyncio
import base64
import json
import os
import shutil
import sys
from pathlib import Path

import callbacks
import pytest
from processes import SECRETS, running
from running_stack import TOKEN, RunningStack
from waiting import until

from dispatcher.ops.listener.listen import Listener, Wrong, listening
from dispatcher.ops.simulator.samples import SAMPLES, find, make_sample
from dispatcher.ops.simulator.sending import send
from dispatcher.ops.simulator.settings import SimulateSettings
from shared.settings import load

SEED = {"TELNYX_SIMULATE_SEED": base64.b64encode(callbacks.TELNYX_SEED).decode()}


async def faxhook(*arguments: str, cwd: Path | None = None, **environ: str) -> tuple[int, str, str]:
    """Run the command with the ingress's test secrets; return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dispatcher.ops", *arguments),
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **SECRETS, **SEED, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    return process.returncode or 0, out.decode(), errors.decode()


async def test_every_sample_is_accepted_by_the_ingress(running_stack: RunningStack) -> None:
    settings = load(SimulateSettings, {**SECRETS, **SEED})
    async with running("ingress", running_stack.ingress) as ingress:
        for provider, samples in SAMPLES.items():
            for event in samples:
                answer = await send(
                    running_stack.http, ingress.url, make_sample(settings, ingress.url, provider, event)
                )
                assert (answer.http_status, answer.body["status"]) == (200, "accepted"), (provider, event)
                assert answer.event_id.startswith(f"{provider}:")


async def test_the_command_says_what_it_sent_and_what_was_answered(running_stack: RunningStack) -> None:
    async with running("ingress", running_stack.ingress) as ingress:
        code, out, errors = await faxhook("simulate", "phaxio", "sent-success", "--fax-id", "7", "--to", ingress.url)
        assert (code, errors) == (0, "")
        assert out.startswith(
            f"sent      phaxio sent-success of fax 7 to {ingress.url}/phaxio-callback\nanswered  200 "
        )
        code, out, _ = await faxhook("simulate", "telnyx", "received", "--to", ingress.url, "--count", "2", "--json")
        lines = [json.loads(line) for line in out.splitlines()]
        assert code == 0
        assert [line["http_status"] for line in lines] == [200, 200]
        assert lines[0]["answer"]["event_id"] != lines[1]["answer"]["event_id"]
        code, out, _ = await faxhook(
            "simulate", "phaxio", "received", "--to", ingress.url, PUBLIC_URL="http://b.example"
        )
        assert code == 1
        assert "401 signature_invalid" in out
        assert "PUBLIC_URL" in out


@pytest.mark.parametrize(
    ("provider", "ending", "count"),
    [("phaxio", "sent-success", 5), ("telnyx", "received", 3), ("sinch", "sent-failure", 1)],
)
async def test_a_whole_life_shuffled_and_repeated_ends_as_it_should(
    running_stack: RunningStack, provider: str, ending: str, count: int
) -> None:
    await running_stack.endpoint(inflight=True, format="standard-v1", overtaken="deliver", tokens=())
    asked = ("simulate", provider, ending, "--life", "--shuffle", "--repeat", "3", "--seed", "5", "--fax-id", "42")
    async with running("ingress", running_stack.ingress) as ingress, running("dispatcher", running_stack.dispatcher):
        code, out, errors = await faxhook(*asked, "--to", ingress.url)
        assert (code, errors) == (0, "")
        assert out.splitlines()[-1] == (
            f"{count * 3} callbacks about 1 fax, shuffled with --seed 5: {count * 3} answered 200"
        )
        webhooks = await running_stack.receiver.got(count)
        await until(lambda: running_stack.pool.fetchval("SELECT count(*) FROM events"), "taken in")
        state = await running_stack.pool.fetchval("SELECT state FROM faxes WHERE fax_id = '42'")
    assert len({webhook.event_id for webhook in webhooks}) == len(running_stack.receiver.received) == count
    assert state == find(provider, ending)[1].type


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@pytest.mark.parametrize(
    ("provider", "event"), [("phaxio", "received"), ("telnyx", "queued"), ("asterisk", "received")]
)
async def test_the_curl_command_does_the_same(
    running_stack: RunningStack, tmp_path: Path, provider: str, event: str
) -> None:
    async with running("ingress", running_stack.ingress) as ingress:
        _, command, _ = await faxhook("simulate", provider, event, "--to", ingress.url, "--curl", cwd=tmp_path)
        for _ in range(2):
            process = await asyncio.create_subprocess_shell(
                command, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, stdout=asyncio.subprocess.PIPE
            )
            out, _ = await process.communicate()
            assert json.loads(out)["status"] == "accepted"


async def test_what_simulate_sends_listen_verifies(running_stack: RunningStack) -> None:
    heard: list = []
    async with (
        listening(Listener("phaxio-v2.1", [TOKEN], heard.append), "127.0.0.1", 0) as url,
        running("ingress", running_stack.ingress) as ingress,
    ):
        await running_stack.endpoint(url=f"{url}hook?x=1")
        async with running("dispatcher", running_stack.dispatcher):
            code, _, errors = await faxhook("simulate", "sinch", "received", "--fax-id", "s-1", "--to", ingress.url)
            assert code == 0, errors
            await until(lambda: heard, "the webhook")
    (listened,) = heard
    assert listened.verified
    assert (listened.fax_id, listened.what, listened.attempt) == ("s-1", "received", 1)
    assert listened.file_bytes > 100


@pytest.mark.parametrize("backoff", ["1s,1s"])
@pytest.mark.parametrize(
    ("wrong", "http_status", "error"),
    [
        (Wrong(), 500, "http_500"),
        (Wrong(status=302), 302, "http_302"),
        (Wrong(hang_seconds=30.0), None, "timeout"),
        (Wrong(drips=True), None, "timeout"),
        (Wrong(closes=True), None, "reset"),
    ],
)
async def test_a_listener_that_goes_wrong_once_is_told_by_the_second_attempt(
    running_stack: RunningStack, wrong: Wrong, http_status: int | None, error: str
) -> None:
    heard: list = []
    async with (
        listening(Listener("phaxio-v2.1", [TOKEN], heard.append, wrong=wrong, fail=1), "127.0.0.1", 0) as url,
        running("ingress", running_stack.ingress) as ingress,
    ):
        await running_stack.endpoint(url=url, timeout_seconds=1.0)
        await callbacks.phaxio(7).send(running_stack.http, ingress.url)
        async with running("dispatcher", running_stack.dispatcher):
            await until(lambda: running_stack.count_of("told"), "told by the second attempt")
        attempts = await running_stack.pool.fetch(
            "SELECT number, outcome, http_status, error FROM attempts ORDER BY number"
        )
    assert [tuple(each) for each in attempts] == [(1, "not_told", http_status, error), (2, "told", 200, None)]
    assert [each.attempt for each in heard] == [1, 2]
    assert all(each.verified for each in heard)
