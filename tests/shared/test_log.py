"""Log lines say where our code failed, in either format, and never quote the data it worked on."""

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from listed_events import refuse_unlisted
from waiting import until

import shared.log
from shared.errors import Unreadable
from shared.log import configure, get_logger

SECRET = "token-that-must-not-be-seen"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, aiormq = root.handlers, root.level, logging.getLogger("aiormq").level
    yield
    root.handlers = handlers
    root.setLevel(level)
    logging.getLogger("aiormq").setLevel(aiormq)
    structlog.reset_defaults()
    structlog.configure(processors=[refuse_unlisted, structlog.processors.JSONRenderer(default=repr)])


@pytest.fixture(params=["json", "console"])
def logged(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.BytesIO]:
    """What is written to stdout from now on."""
    written = io.BytesIO()
    stdout = io.TextIOWrapper(written, write_through=True)
    monkeypatch.setattr(sys, "stdout", stdout)
    configure("test", "DEBUG", request.param)
    yield written
    stdout.detach()


def fail(token: str) -> None:
    try:
        json.loads("{" + token)
    except ValueError as error:
        raise RuntimeError(f"it is {token}") from error


def test_a_crash_is_logged_with_its_places_and_without_messages_and_values(logged: io.BytesIO) -> None:
    try:
        fail(SECRET)
    except RuntimeError as error:
        get_logger().exception("callback.crashed", provider="phaxio")
        get_logger().error("api.crashed", exc_info=error)
    text = logged.getvalue().decode()
    assert SECRET not in text
    assert text.count("builtins.RuntimeError") == 2
    assert text.count("json.decoder.JSONDecodeError") == 2
    assert "test_log.py" in text
    assert " in fail" in text


async def test_a_librarys_warning_is_carried_without_what_it_saw(logged: io.BytesIO) -> None:
    async def doomed(token: str) -> None:
        raise Unreadable(f"it is {token}")

    task = asyncio.ensure_future(doomed(SECRET))
    await asyncio.wait({task})
    del task  # its exception was never asked for
    logging.getLogger("library").warning("cannot reach %s", f"https://user:{SECRET}@example.com/")
    await until(lambda: b"cannot reach" in logged.getvalue(), "both lines")
    text = logged.getvalue().decode()
    assert SECRET not in text
    assert "Task exception was never retrieved" in text
    assert "shared.errors.Unreadable" in text
    assert "cannot reach" in text


def test_a_json_line_has_its_fields_in_the_order_in_which_people_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    stdout = io.TextIOWrapper(written, write_through=True)
    monkeypatch.setattr(sys, "stdout", stdout)
    configure("ingress")
    logger = get_logger()
    logger.info("callback.accepted", provider="phaxio", http_status=200)
    logger.debug("callback.refused")
    try:
        fail("x")
    except RuntimeError:
        logger.exception("callback.crashed", fax_id="7")
    stdout.detach()
    accepted, crashed = (json.loads(line) for line in written.getvalue().splitlines())
    stamp = datetime.fromisoformat(accepted.pop("timestamp"))
    assert abs(stamp - datetime.now(UTC)) < timedelta(seconds=10)
    assert accepted == {
        "service": "ingress",
        "event": "callback.accepted",
        "level": "info",
        "provider": "phaxio",
        "http_status": 200,
    }
    assert crashed["level"] == "error"
    assert crashed["exception"].endswith("builtins.RuntimeError")


@pytest.mark.parametrize("level", ["INFO", "WARNING"])
def test_the_short_way_of_info_writes_what_structlogs_would_and_obeys_the_level(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    stdout = io.TextIOWrapper(written, write_through=True)
    monkeypatch.setattr(sys, "stdout", stdout)
    configure("ingress", level)
    get_logger().info("callback.accepted", fax_id="7", exc_info=None)
    get_logger().bind(provider="phaxio").info("callback.accepted", fax_id="7")
    stdout.detach()
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    if level == "WARNING":
        assert lines == []
        return
    assert [[*line] for line in lines] == [
        ["timestamp", "level", "service", "event", "fax_id"],
        ["timestamp", "level", "service", "event", "provider", "fax_id"],
    ]


def test_what_captures_lines_sees_those_of_loggers_that_were_bound_before() -> None:
    configure("ingress")
    logger = get_logger()
    with structlog.testing.capture_logs() as captured:
        logger.info("callback.accepted", fax_id="7")
    assert captured == [{"event": "callback.accepted", "fax_id": "7", "log_level": "info"}]


def test_a_time_stamp_is_iso_8601_with_microseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.log.time, "time_ns", lambda: 1_793_000_000_000_007_999)
    assert shared.log._now() == "2026-10-26T07:33:20.000007Z"
