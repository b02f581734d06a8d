"""The reporter of a PBX: what it was given stays until faxhook has it, whatever happens in between."""

import ast
import asyncio
import json
import os
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from aiohttp import web
from ingresses import RunningIngress, serving_ingress
from processes import SECRETS
from receiver import Receiver
from stores import take_all

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "deploy" / "asterisk" / "faxhook_report.py"
TIFF = b"II*\0" + b"\0" * 100
NUMBER, CALL = "+15559870000", "pbx1-1603261234.9"


@dataclass
class Pbx:
    """An Asterisk's folders and the environment of its reporter."""

    faxes: Path
    reports: Path
    environment: dict[str, str]

    def tiff(self, name: str = f"{NUMBER}_{CALL}.tiff", *, seconds_ago: float = 0.0, content: bytes = TIFF) -> Path:
        path = self.faxes / name
        path.write_bytes(content)
        then = time.time() - seconds_ago
        os.utime(path, (then, then))
        return path

    def waiting(self) -> list[Path]:
        return sorted(self.reports.glob("*.form"))

    def due_now(self) -> None:
        for path in self.waiting():
            os.utime(path, (0, 0))

    async def start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", str(SCRIPT), *arguments),
            env={"PATH": os.environ["PATH"], **self.environment, **environment},
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run the reporter as Asterisk does: AGI's variables on its input, which is never closed first."""
        process = await self.start(*arguments, **environment)
        _, stderr = await process.communicate(b"agi_request: faxhook-report\nagi_channel: PJSIP/a\n\n")
        assert process.returncode is not None
        return process.returncode, stderr.decode()


def report_of(tiff: Path | None, **fields: str) -> str:
    values = {"uniqueid": CALL, "to_number": NUMBER, "from_number": "", "faxstatus": "SUCCESS", "faxpages": "2"}
    return urlencode({"tiff_path": str(tiff or ""), **values, **fields})


@pytest.fixture
def pbx(tmp_path: Path, unused_tcp_port: int) -> Pbx:
    faxes, reports = tmp_path / "fax", tmp_path / "reports"
    faxes.mkdir()
    environment = {
        "FAXHOOK_URL": f"http://127.0.0.1:{unused_tcp_port}",
        "FAXHOOK_SECRET": SECRETS["ASTERISK_INBOUND_SECRET"],
        "FAXHOOK_FAX_DIR": str(faxes),
        "FAXHOOK_REPORT_DIR": str(reports),
        "FAXHOOK_REPORT_ENV": str(tmp_path / "none.env"),
    }
    return Pbx(faxes, reports, environment)


@pytest.fixture
async def ingress(amqp_url: str, pbx: Pbx, tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[RunningIngress]:
    settings = {**SECRETS, "ASTERISK_SPOOL_DIR": str(pbx.faxes)}
    async with serving_ingress(amqp_url, tmp_path / "media", unused_tcp_port, **settings) as running:
        yield running


async def events(amqp_url: str) -> list[dict[str, Any]]:
    return [json.loads(message.body) for message in await take_all(amqp_url, "work.events")]


# ---- With a real ingress --------------------------------------------------------------------------------------------


async def test_a_report_becomes_an_event_with_its_document_at_once(
    ingress: RunningIngress, amqp_url: str, pbx: Pbx
) -> None:
    tiff = pbx.tiff()
    assert await pbx.run("spool", report_of(tiff, remotestationid='a,"b" &c\u00e9')) == (0, "")
    (event,) = await events(amqp_url)
    assert (event["type"], event["to_number"], event["pages"], event["fax_id"]) == ("fax.received", NUMBER, 2, CALL)
    assert (ingress.media / event["media"]["key"]).read_bytes() == TIFF
    assert event["fields"]["remotestationid"] == 'a,"b" &c\u00e9'
    assert pbx.waiting() == []
    assert await pbx.run("sweep") == (0, "")
    assert await events(amqp_url) == []


async def test_what_was_spooled_while_faxhook_was_away_is_reported_by_a_later_sweep(
    amqp_url: str, pbx: Pbx, tmp_path: Path, unused_tcp_port: int
) -> None:
    tiff = pbx.tiff()
    code, said = await pbx.run("spool", report_of(tiff))
    assert (code, len(pbx.waiting())) == (75, 1)
    assert "does not answer" in said
    assert await pbx.run("sweep") == (75, ""), "it is not due yet"
    pbx.due_now()
    settings = {**SECRETS, "ASTERISK_SPOOL_DIR": str(pbx.faxes)}
    async with serving_ingress(amqp_url, tmp_path / "media", unused_tcp_port, **settings):
        assert await pbx.run("sweep") == (0, "")
    assert [event["fax_id"] for event in await events(amqp_url)] == [CALL]
    assert pbx.waiting() == []


async def test_since_posts_what_the_journal_has_once_more_and_faxhook_takes_it_for_the_same(
    ingress: RunningIngress, amqp_url: str, pbx: Pbx
) -> None:
    tiff = pbx.tiff()
    assert (await pbx.run("spool", report_of(tiff)))[0] == 0
    (first,) = await events(amqp_url)
    (kept,) = (pbx.reports / "journal").glob("*.form")
    assert kept.read_text() == report_of(tiff)
    # 1. What came before it is left alone, what came since is posted again: the same event.
    assert await pbx.run("sweep", "--since", "2999-01-01") == (0, "")
    assert await events(amqp_url) == []
    assert await pbx.run("sweep", "--since", "2026-01-01T00:00:00Z") == (0, "")
    assert [event["id"] for event in await events(amqp_url)] == [first["id"]]
    assert pbx.waiting() == []
    assert list((pbx.reports / "journal").glob("*.form")) == [kept]
    # 2. It is bounded: what is older than 30 days goes.
    old = kept.with_name(f"{time.time_ns() - 31 * 86_400 * 10**9:020d}-aa.form")
    old.write_text("x=1")
    assert await pbx.run("sweep") == (0, "")
    assert list((pbx.reports / "journal").glob("*.form")) == [kept]
    code, said = await pbx.run("sweep", "--since", "soon")
    assert code == 78
    assert "--since 'soon' is no time: write it like 2026-11-28T08:00:00Z" in said


async def test_a_report_is_in_the_journal_before_its_first_attempt(pbx: Pbx) -> None:
    assert (await pbx.run("spool", report_of(pbx.tiff())))[0] == 75  # no ingress answers
    assert [path.name for path in (pbx.reports / "journal").glob("*.form")] == [path.name for path in pbx.waiting()]


async def test_a_journal_that_cannot_be_written_delays_no_report(
    ingress: RunningIngress, amqp_url: str, pbx: Pbx
) -> None:
    pbx.reports.mkdir()
    (pbx.reports / "journal").write_text("in the way")
    code, said = await pbx.run("spool", report_of(pbx.tiff()))
    assert code == 0
    assert "not kept for --since" in said
    assert len(await events(amqp_url)) == 1


async def test_a_tiff_that_nobody_reported_is_found_when_it_has_been_idle_and_its_late_report_is_a_repetition(
    ingress: RunningIngress, amqp_url: str, pbx: Pbx
) -> None:
    lost = pbx.tiff(seconds_ago=700)
    pbx.tiff(f"{NUMBER}_under-way.tiff", seconds_ago=60)
    pbx.tiff("empty.tiff", seconds_ago=700, content=b"")
    (pbx.faxes / "link.tiff").symlink_to(SCRIPT)
    (pbx.faxes / "folder.tiff").mkdir()
    for name in ("link.tiff", "folder.tiff"):
        os.utime(pbx.faxes / name, (0, 0), follow_symlinks=False)
    assert await pbx.run("sweep") == (0, "")
    (found,) = await events(amqp_url)
    assert (found["type"], found["fax_id"], found["to_number"]) == ("fax.received", CALL, NUMBER)
    assert (ingress.media / found["media"]["key"]).read_bytes() == TIFF
    assert await pbx.run("sweep") == (0, "")
    assert await events(amqp_url) == [], "reported once"
    assert await pbx.run("spool", report_of(lost)) == (0, "")
    assert [event["id"] for event in await events(amqp_url)] == [found["id"]], "the dispatcher removes it by its id"


async def test_a_tiff_of_another_name_is_reported_by_its_path_alone(
    ingress: RunningIngress, amqp_url: str, pbx: Pbx
) -> None:
    pbx.tiff("fax 1 ä.TIF", seconds_ago=700)
    assert await pbx.run("sweep") == (0, "")
    (found,) = await events(amqp_url)
    assert (found["type"], found["to_number"], found["media"]["bytes"]) == ("fax.received", None, len(TIFF))


async def test_a_wrong_secret_keeps_the_report_and_says_so(ingress: RunningIngress, amqp_url: str, pbx: Pbx) -> None:
    code, said = await pbx.run("spool", report_of(pbx.tiff()), FAXHOOK_SECRET="wrong")
    assert code == 77
    assert "faxhook answered 401: check FAXHOOK_SECRET" in said
    assert "wrong" not in said
    (kept,) = pbx.waiting()
    assert dict(parse_qsl(kept.read_text()))["uniqueid"] == CALL
    pbx.due_now()
    assert await pbx.run("sweep") == (0, "")
    assert len(await events(amqp_url)) == 1


async def test_what_the_dialplan_could_not_fill_in_reaches_faxhook_all_the_same(
    ingress: RunningIngress, amqp_url: str, pbx: Pbx
) -> None:
    assert await pbx.run("spool", report_of(None, faxstatus="", faxpages="")) == (0, "")
    (event,) = await events(amqp_url)
    assert (event["type"], event["media"]) == ("fax.receive_failed", None)


# ---- With a faxhook of every temper ---------------------------------------------------------------------------------


@pytest.fixture
def faxhook(receiver: Receiver, pbx: Pbx) -> Receiver:
    pbx.environment["FAXHOOK_URL"] = receiver.base_url
    return receiver


async def test_503_first_then_200_is_reported_once_and_the_waits_double(faxhook: Receiver, pbx: Pbx) -> None:
    faxhook.answer = lambda _received: 503
    assert (await pbx.run("spool", report_of(pbx.tiff(seconds_ago=700))))[0] == 75
    (path,) = pbx.waiting()
    assert 25 < path.stat().st_mtime - time.time() < 31
    hour_old = path.rename(path.with_name(f"{int((time.time() - 300) * 1e9):020d}-a.form"))
    pbx.due_now()
    assert (await pbx.run("sweep"))[0] == 75
    assert 290 < hour_old.stat().st_mtime - time.time() < 305, "as long again as it has waited"
    faxhook.answer = lambda _received: 200
    pbx.due_now()
    assert await pbx.run("sweep") == (0, "")
    assert [each.body for each in faxhook.received] == [faxhook.received[0].body] * 3
    assert faxhook.received[0].headers["X-Internal-Secret"] == SECRETS["ASTERISK_INBOUND_SECRET"]


async def test_a_faxhook_that_is_away_is_asked_once_for_a_sweep_not_once_for_each_report(
    faxhook: Receiver, pbx: Pbx
) -> None:
    faxhook.answer = lambda _received: 503
    for number in range(5):
        await pbx.run("spool", report_of(None, uniqueid=str(number)))
    pbx.due_now()
    faxhook.received.clear()
    assert (await pbx.run("sweep"))[0] == 75
    assert len(faxhook.received) == 1


async def test_a_report_that_faxhook_cannot_read_is_kept_and_holds_up_no_other(faxhook: Receiver, pbx: Pbx) -> None:
    faxhook.answer = lambda received: 400 if b"uniqueid=bad" in received.body else 200
    await pbx.run("spool", report_of(None, uniqueid="bad"))
    faxhook.answer = lambda received: 400 if b"uniqueid=bad" in received.body else 503
    await pbx.run("spool", report_of(None, uniqueid="good"))
    pbx.due_now()
    faxhook.answer = lambda received: 400 if b"uniqueid=bad" in received.body else 200
    code, said = await pbx.run("sweep")
    assert code == 75
    assert "answered 400" in said
    assert [dict(parse_qsl(path.read_text()))["uniqueid"] for path in pbx.waiting()] == ["bad"]


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_the_secret_does_not_follow_a_redirect(faxhook: Receiver, pbx: Pbx, status: int) -> None:
    faxhook.answer = lambda _received: web.Response(status=status, headers={"Location": f"{faxhook.base_url}/else"})
    await pbx.run("spool", report_of(None))
    assert (len(faxhook.received), len(pbx.waiting())) == (1, 1)


async def test_killed_after_the_post_and_before_the_end_it_posts_again(faxhook: Receiver, pbx: Pbx) -> None:
    go = asyncio.Event()

    async def answer_late(_received: object) -> int:
        await go.wait()
        return 200

    faxhook.answer = answer_late
    process = await pbx.start("spool", report_of(pbx.tiff()))
    assert process.stdin is not None
    process.stdin.write(b"\n")
    await faxhook.got(1)
    process.kill()
    await process.communicate()
    go.set()
    faxhook.answer = lambda _received: 200
    assert len(pbx.waiting()) == 1
    assert await pbx.run("sweep") == (0, "")
    assert pbx.waiting() == []
    assert faxhook.received[0].body == faxhook.received[1].body


async def test_killed_at_any_moment_of_spooling_there_is_a_whole_report_or_none(faxhook: Receiver, pbx: Pbx) -> None:
    whole = report_of(None, remotestationid="x" * 3000)
    for milliseconds in range(0, 120, 8):
        process = await pbx.start("spool", whole)
        assert process.stdin is not None
        process.stdin.write(b"\n")
        await asyncio.sleep(milliseconds / 1000)  # the moment is what is tried out
        if process.returncode is None:
            process.kill()
        await process.communicate()
    assert {path.read_text() for path in pbx.waiting()} <= {whole}


async def test_two_sweeps_at_once_do_not_report_twice(faxhook: Receiver, pbx: Pbx) -> None:
    go = asyncio.Event()

    async def slowly(_received: object) -> int:
        await go.wait()
        return 200

    faxhook.answer = slowly
    pbx.tiff(seconds_ago=700)
    first = asyncio.create_task(pbx.run("sweep"))
    await faxhook.got(1)
    assert await pbx.run("sweep") == (0, "")
    go.set()
    assert await first == (0, "")
    assert len(faxhook.received) == 1


async def test_adopted_tiffs_are_not_reported_and_markers_go_with_their_tiffs(faxhook: Receiver, pbx: Pbx) -> None:
    old = pbx.tiff(seconds_ago=10_000)
    assert await pbx.run("adopt") == (0, "")
    assert await pbx.run("sweep") == (0, "")
    assert faxhook.received == []
    assert len(list((pbx.reports / "reported").iterdir())) == 1
    old.unlink()
    assert await pbx.run("sweep") == (0, "")
    assert list((pbx.reports / "reported").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"), [("FAXHOOK_URL", "faxhook:8080"), ("FAXHOOK_SECRET", ""), ("FAXHOOK_IDLE_SECONDS", "soon")]
)
async def test_a_wrong_setting_is_named_and_the_report_is_kept_where_there_can_be_one(
    pbx: Pbx, name: str, value: str
) -> None:
    code, said = await pbx.run("sweep", **{name: value})
    assert code == 78
    assert said.startswith(name)
    if name != "FAXHOOK_IDLE_SECONDS":
        assert (await pbx.run("spool", report_of(None), **{name: value}))[0] == 78
        assert len(pbx.waiting()) == 1


async def test_settings_come_from_the_file_and_the_environment_wins(faxhook: Receiver, pbx: Pbx) -> None:
    file = pbx.faxes / "report.env"
    file.write_text("# ours\nFAXHOOK_SECRET='from file'\nFAXHOOK_URL=http://no-such-host.invalid\n")
    del pbx.environment["FAXHOOK_SECRET"]
    assert (await pbx.run("spool", report_of(None), FAXHOOK_REPORT_ENV=str(file)))[0] == 0
    assert faxhook.received[0].headers["X-Internal-Secret"] == "from file"


# ---- As text --------------------------------------------------------------------------------------------------------


def test_the_reporter_is_written_for_python_3_9_and_its_standard_library() -> None:
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 9))
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert {name.partition(".")[0] for name in imported} <= set(sys.stdlib_module_names) | {"__future__"}


@pytest.mark.skipif(shutil.which("python3.9") is None, reason="there is no Python 3.9 here")
async def test_the_reporter_runs_on_python_3_9(faxhook: Receiver, pbx: Pbx) -> None:
    process = await asyncio.create_subprocess_exec(
        *("python3.9", str(SCRIPT), "sweep"),
        env={**os.environ, **pbx.environment},
        stderr=asyncio.subprocess.PIPE,
    )
    _, stderr = await process.communicate()
    if b"command not found" in stderr:
        pytest.skip("python3.9 is a shim without a Python")
    assert (process.returncode, stderr) == (0, b"")


def test_the_dialplan_calls_no_shell_encodes_every_value_and_names_files_as_the_sweep_reads_them() -> None:
    text = (SCRIPT.parent / "extensions.conf").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith(";")]
    assert not [line for line in lines if re.search(r"\b(System|TrySystem|SHELL|CURL)\(", line)]
    for line in lines:
        if "Set(REPORT=" in line:
            values = re.findall(r"=(\$\{[^&]*)", line.partition("Set(REPORT=")[2].removeprefix("${REPORT}"))
            assert values
            assert all(value.startswith("${URIENCODE(") for value in values), line
    assert "${FAXHOOK_TO}_${FAXHOOK_ID}.tiff" in text


async def test_units_and_readme_name_what_there_is(pbx: Pbx) -> None:
    service = (SCRIPT.parent / "faxhook-report.service").read_text()
    assert "ExecStart=/usr/local/bin/faxhook-report sweep" in service
    assert "SuccessExitStatus=75" in service
    code, said = await pbx.run()
    assert code == 78
    readme = (SCRIPT.parent / "README.md").read_text()
    for name in re.findall(r"FAXHOOK_[A-Z]+", readme):
        assert name in said, name
