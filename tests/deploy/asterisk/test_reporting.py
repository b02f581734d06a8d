"""The reporter of a PBX and a real ingress: a report becomes one event, whatever happened in between."""

import json
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from ingresses import RunningIngress, serving_ingress
from pbx import CALL, NUMBER, TIFF, Pbx, report_of
from processes import SECRETS
from stores import take_all


async def events(amqp_url: str) -> list[dict[str, Any]]:
    return [json.loads(message.body) for message in await take_all(amqp_url, "work.events")]


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


async def test_a_tiff_that_was_not_reported_is_found_when_it_has_been_idle_and_its_late_report_is_a_repetition(
    ingress: RunningIngress, amqp_url: str, pbx: Pbx
) -> None:
    lost = pbx.tiff(seconds_ago=700)
    pbx.tiff(f"{NUMBER}_under-way.tiff", seconds_ago=60)
    pbx.tiff("empty.tiff", seconds_ago=700, content=b"")
    (pbx.faxes / "link.tiff").symlink_to(pbx.reporter)
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
