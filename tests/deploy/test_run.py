"""The parts of `make run` and `make demo`; both as a whole stand in tests/end_to_end/test_demo.py."""

import asyncio
import os
import signal
import smtplib
import socket
import subprocess
import sys
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import asyncpg
import pytest
from dispatchers import STORE
from waiting import until

from deploy.demo import settings as run_settings
from deploy.demo.children import ChildEnded, Terminal, supervised
from deploy.demo.mail_catcher import catching_mail
from deploy.demo.report import COPIES, Recorded, Seen, judge, print_report
from deploy.demo.samples import expected_samples
from deploy.demo.settings import chosen_port, make_secrets, only_run, run_environment, secrets_key, write_run_env
from deploy.demo.stack import own_endpoint
from deploy.services.processes import Unavailable
from deploy.services.services import Services
from dispatcher.ops.listener.listen import Listened
from dispatcher.ops.simulator.simulate import read_env_file
from dispatcher.policy.endpoint import Endpoint
from shared.ids import uuid7
from shared.settings import BadSetting
from shared.signatures import telnyx_public_key

SERVICES = Services("amqp://u:p@127.0.0.1:1/v", "postgresql://u:p@127.0.0.1:2/d", None, "file:///media")


# ---- Ports and secrets ----------------------------------------------------------------------------------------------


def silent(_line):
    pass


def test_a_port_that_is_taken_gives_way_to_a_free_one_unless_it_was_asked_for(monkeypatch):
    said = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setitem(run_settings.DEFAULT_PORTS, "INGRESS_PORT", port)
        other = chosen_port("INGRESS_PORT", {}, said.append)
        assert other != port
        assert str(port) in said[0]
        assert str(other) in said[0]
        with pytest.raises(Unavailable, match=f"INGRESS_PORT={port}"):
            chosen_port("INGRESS_PORT", {"INGRESS_PORT": str(port)}, said.append)
    assert chosen_port("INGRESS_PORT", {}, said.append) == port
    assert chosen_port("INGRESS_PORT", {"INGRESS_PORT": str(port)}, said.append) == port
    assert chosen_port("INGRESS_PORT", {"INGRESS_PORT": "0"}, said.append) != port
    assert len(said) == 1


@pytest.mark.parametrize("asked", ["x", "-1", "65536", "80.5", "²"])
def test_what_is_no_port_is_a_sentence(asked):
    with pytest.raises(BadSetting, match="OPS_PORT"):
        chosen_port("OPS_PORT", {"OPS_PORT": asked}, silent)


def test_secrets_are_made_once_kept_for_their_owner_and_mean_the_same_to_a_shell(tmp_path):
    first = run_environment(tmp_path, SERVICES, {}, silent)
    write_run_env(tmp_path, first)
    second = run_environment(tmp_path, SERVICES, {}, silent)
    assert {name: second[name] for name in make_secrets()} == {name: first[name] for name in make_secrets()}
    path = tmp_path / "run.env"
    assert path.stat().st_mode & 0o777 == 0o600
    said = subprocess.run(
        ["sh", "-c", 'set -a; . "$1"; env', "sh", path], env={}, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {f"{name}={value}" for name, value in read_env_file(path).items()} <= set(said)
    assert read_env_file(path) == first


def test_given_secrets_win_and_a_given_telnyx_key_has_no_seed(tmp_path):
    key = telnyx_public_key(bytes(32))
    given = {"TELNYX_PUBLIC_KEY": key, "PHAXIO_CALLBACK_TOKEN": "it's mine", "PUBLIC_URL": "https://a.example"}
    variables = run_environment(tmp_path, SERVICES, given, silent)
    assert given.items() <= variables.items()
    assert "TELNYX_SIMULATE_SEED" not in variables
    write_run_env(tmp_path, variables)
    assert read_env_file(tmp_path / "run.env") == variables


def test_one_run_at_a_time_uses_a_folder(tmp_path):
    with only_run(tmp_path), pytest.raises(Unavailable, match="already"), only_run(tmp_path):
        pass
    with only_run(tmp_path):
        pass


# ---- Children -------------------------------------------------------------------------------------------------------


def test_a_child_that_ends_by_itself_ends_the_others_and_is_named_with_its_last_lines():
    ended = []

    async def work(family):
        stubborn = "import signal, time\nprint('up', flush=True)\ntry:\n  signal.pause()\nfinally: pass"
        async with family.child("healthy", ["-c", stubborn], os.environ, ended.append):
            await until(lambda: ended, "the first child is up")
            async with family.child("sick", ["-c", "print('oh no'); raise SystemExit(3)"], os.environ, silent):
                await family.for_ever()

    with pytest.raises(ChildEnded, match=r"(?s)sick ended by itself with exit code 3.*oh no") as trouble:
        supervised(Terminal(), work)
    assert trouble.value.exit_code == 70


def test_an_interrupt_ends_all_and_a_second_one_does_not_wait(capsys):
    lines = []

    async def work(family):
        deaf = "import signal\nsignal.signal(15, signal.SIG_IGN)\nprint('deaf', flush=True)\nwhile True: signal.pause()"
        async with family.child("deaf", ["-c", deaf], os.environ, lines.append):
            await until(lambda: lines, "it is deaf")
            loop = asyncio.get_running_loop()
            loop.call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
            loop.call_later(0.3, os.kill, os.getpid(), signal.SIGINT)
            await family.for_ever()

    before = signal.getsignal(signal.SIGTERM)
    assert supervised(Terminal(), work) is False
    assert signal.getsignal(signal.SIGTERM) is before
    assert "deaf did not end yet: killed" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
async def test_children_end_with_a_runner_that_is_killed():
    script = """
import os
from deploy.demo.children import Terminal, supervised
async def work(family):
    async with family.child("child", ["-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"],
                            os.environ, lambda line: print(line, flush=True)):
        await family.for_ever()
supervised(Terminal(), work)
"""
    runner = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    pid = int(await runner.stdout.readline())
    runner.kill()
    await runner.wait()
    await until(lambda: _is_gone(pid), "the child is gone")


def _is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return b") Z " in Path(f"/proc/{pid}/stat").read_bytes()  # in a container nobody may reap it


# ---- Mail -----------------------------------------------------------------------------------------------------------


async def test_caught_mail_is_said_in_a_line():
    said = []
    message = EmailMessage()
    message["Subject"], message["To"] = "Fax 7 wurde zugestellt ✓", "a@example.com"
    message.set_content("text")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="fax.pdf")

    def send(url):
        host, port = url.removeprefix("smtp://").split(":")
        with smtplib.SMTP(host, int(port)) as client:
            client.send_message(message, "b@example.com", ["a@example.com"])

    async with catching_mail(said.append) as url:
        await asyncio.to_thread(send, url)
    assert said == ["to a@example.com: Fax 7 wurde zugestellt ✓ (attached: fax.pdf)"]


# ---- The listener's endpoint ----------------------------------------------------------------------------------------


async def test_the_listener_s_endpoint_is_used_again_moved_and_never_piles_up(database_url):
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool:
        other = Endpoint(id=uuid7(), url="http://127.0.0.1:9/hook", tokens=("t",))
        await STORE.insert(pool, other)
        first = await own_endpoint(database_url, STORE, "http://127.0.0.1:1/make-run", "t", 8)
        moved = await own_endpoint(database_url, STORE, "http://127.0.0.1:2/make-run", "t", 8)
        assert moved.id == first.id
        another = await own_endpoint(database_url, STORE, "http://127.0.0.1:2/make-run", "other token", 8)
        assert another.id != first.id
        found = {endpoint.id: endpoint.url for endpoint in await STORE.everything(pool)}
    assert found == {other.id: other.url, another.id: "http://127.0.0.1:2/make-run"}


# ---- The demo's judgement -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def expected():
    variables = {**make_secrets(), "AMQP_URL": "amqp://x", "MEDIA_URL": "file:///x", "PUBLIC_URL": "http://a.example"}
    return expected_samples(variables, "http://a.example", "http://a.example/received.pdf")


@pytest.fixture
def seen(expected):
    """A demo in which all went well, inflight events first."""
    seen = Seen(sent=COPIES * len(expected))
    for each in sorted(expected, key=lambda each: each.is_ending):
        seen.answered[each.event.id] = COPIES
        seen.removed[each.event.id] = COPIES - 1
        if each.has_word:
            seen.recorded[each.event.id] = Recorded("told", None, 1)
            seen.heard.append(heard(each))
        else:
            seen.recorded[each.event.id] = Recorded("skipped", "no_equivalent", 0)
    return seen


def heard(each, **fields):
    defaults = {"at": datetime.now(UTC), "verified": True, "answered": 200, "what": "sent", "event_id": each.event.id}
    return Listened(**{**defaults, **fields})


def problems(expected, seen):
    return [problem for row in judge(expected, seen) for problem in row.problems]


def test_every_sample_is_another_event_and_what_is_inflight_has_an_ending(expected):
    assert len({each.event.id for each in expected}) == len(expected)
    endings = {each.fax for each in expected if each.is_ending}
    assert all(each.fax in endings for each in expected)
    assert any(each.has_word and not each.is_ending for each in expected)


def test_a_demo_in_which_all_went_well_has_no_problems(expected, seen, capsys):
    assert seen.is_settled(expected)
    assert problems(expected, seen) == []
    assert print_report(judge(expected, seen), seen, 1.0)
    assert f"{len(expected)} duplicates removed" in capsys.readouterr().out


def first(expected, seen, *, ending):
    return next(each for each in expected if each.has_word and each.is_ending is ending)


def test_what_is_missing_told_twice_unverified_or_not_removed_is_said(expected, seen, capsys):
    each = first(expected, seen, ending=True)
    seen.heard.append(heard(each))
    assert problems(expected, seen) == ["the listener got it 2 times, not 1"]
    seen.heard = [listened for listened in seen.heard if listened.event_id != each.event.id]
    assert "the listener got it 0 times, not 1" in problems(expected, seen)
    seen.heard.append(heard(each, verified=False, refused="no X-Phaxio-Signature"))
    assert problems(expected, seen)[-1] == "not verified: no X-Phaxio-Signature"
    seen.removed[each.event.id] = 0
    seen.answered[each.event.id] = 1
    assert {"1 of 2 callbacks were answered 200 with this event's id", "0 repetitions were removed, not 1"} <= set(
        problems(expected, seen)
    )
    assert not seen.is_settled(expected)
    assert not print_report(judge(expected, seen), seen, 1.0)
    assert f"MISSING  {each.event.provider} {each.sample.event_name}" in capsys.readouterr().out


def test_an_ending_may_not_be_overtaken_and_an_inflight_event_may(expected, seen):
    for ending, count in ((True, 2), (False, 0)):
        each = first(expected, seen, ending=ending)
        kept_heard, kept_recorded = seen.heard, dict(seen.recorded)
        seen.heard = [listened for listened in seen.heard if listened.event_id != each.event.id]
        seen.recorded[each.event.id] = Recorded("skipped", "overtaken", 0)
        # The ending's inflight events are then told, or held back, without one.
        assert len(problems(expected, seen)) <= count, problems(expected, seen)
        assert bool(problems(expected, seen)) is ending
        seen.heard, seen.recorded = kept_heard, kept_recorded


def test_an_inflight_event_that_is_told_after_the_ending_of_its_fax_is_a_broken_order(expected, seen):
    each = first(expected, seen, ending=False)
    seen.heard.sort(key=lambda listened: listened.event_id == each.event.id)
    assert problems(expected, seen) == ["it was told after its fax's ending"]


def test_a_webhook_that_nobody_sent_is_a_problem(expected, seen, capsys):
    seen.heard.append(heard(expected[0], event_id="phaxio:other"))
    assert not print_report(judge(expected, seen), seen, 1.0)
    assert "phaxio:other" in capsys.readouterr().out


def test_lines_of_children_bear_our_time_and_their_name_once(capsys):
    Terminal().line("ingress", "2026-11-22T10:25:00.123456Z [info     ] service.started        service=ingress")
    out = capsys.readouterr().out
    assert out.endswith(" ingress    | [info     ] service.started\n")
    assert "2026" not in out


# ---- The key of a ledger that outlives us ----------------------------------------------------------------------------


def test_the_key_of_a_ledger_is_the_given_one_else_kept_from_run_to_run(tmp_path):
    first = secrets_key(tmp_path, {})
    assert secrets_key(tmp_path, {}) == first
    assert secrets_key(tmp_path, {"SECRETS_KEY": "given"}) == "given"
    assert secrets_key(tmp_path, {}) == first
