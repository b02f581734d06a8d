"""The reporter of a PBX and a faxhook of every temper: what it was given stays until faxhook has it."""

import asyncio
import time
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from pbx import Pbx, report_of
from processes import SECRETS
from receiver import Receiver


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


async def test_a_sweep_that_a_person_asked_for_waits_for_the_timers_and_then_posts_what_was_asked(
    faxhook: Receiver, pbx: Pbx
) -> None:
    assert (await pbx.run("spool", report_of(None)))[0] == 0
    pbx.tiff(seconds_ago=700)
    go = asyncio.Event()

    async def slowly(_received: object) -> int:
        await go.wait()
        return 200

    faxhook.answer = slowly
    timers = asyncio.create_task(pbx.run("sweep"))
    await faxhook.got(2)
    asked = asyncio.create_task(pbx.run("sweep", "--since", "2026-01-01"))
    assert not (await asyncio.wait({asked}, timeout=1.0))[0]
    go.set()
    assert await timers == await asked == (0, "")
    assert len(faxhook.received) == 4


async def test_a_folder_of_tiffs_that_is_away_holds_up_no_report_that_waits(faxhook: Receiver, pbx: Pbx) -> None:
    faxhook.answer = lambda _received: 503
    assert (await pbx.run("spool", report_of(None)))[0] == 75
    faxhook.answer = lambda _received: 200
    pbx.due_now()
    pbx.faxes.rmdir()
    code, said = await pbx.run("sweep")
    assert (code, len(faxhook.received), pbx.waiting()) == (75, 2, [])
    assert str(pbx.faxes) in said


async def test_a_folder_that_comes_back_after_it_was_empty_is_not_reported_once_more(
    faxhook: Receiver, pbx: Pbx
) -> None:
    tiff = pbx.tiff(seconds_ago=700)
    assert await pbx.run("sweep") == (0, "")
    tiff.unlink()  # as a mount point shows no file while nothing is mounted
    assert await pbx.run("sweep") == (0, "")
    pbx.tiff(seconds_ago=700)
    assert await pbx.run("sweep") == (0, "")
    assert len(faxhook.received) == 1


async def test_adopted_tiffs_are_not_reported_and_markers_go_with_their_tiffs(faxhook: Receiver, pbx: Pbx) -> None:
    old = pbx.tiff(seconds_ago=10_000)
    assert await pbx.run("adopt") == (0, "")
    assert await pbx.run("sweep") == (0, "")
    assert faxhook.received == []
    assert len(list((pbx.reports / "reported").iterdir())) == 1
    old.unlink()
    pbx.tiff("of-now.tiff")
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
