"""Structured logs: one wide line for each callback, event and attempt.

Lines carry ids, types, codes and durations only: no token, signature, phone number, e-mail address, body or URL query.
Every event that may be logged is listed here, so that operators can rely on the names; the tests raise on others.
"""

import logging
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
import structlog

from shared.runtime.output import GatheredLines

EVENTS: Final[dict[str, str]] = {
    # a service's life
    "service.started": "all is open, work begins; carries the effective settings, secrets masked",
    "service.listening": "the port is open",
    "service.stopping": "SIGTERM or SIGINT came; what is under way is finished",
    "service.stopped": "everything is closed",
    "service.failed": "a part of the process died; the process ends so that the platform starts it again",
    "setting.insecure": "something is open on purpose; the line says what",
    "setting.missing": "something cannot be done without a setting; the line says what",
    "library.warned": "a library used the standard logger",
    # broker
    "broker.connected": "a connection and its channels are open",
    "broker.lost": "the connection is gone or could not be made; it is tried again by itself",
    # ingress
    "callback.accepted": "published, confirmed, answered 200",
    "callback.quarantined": "authenticated but unreadable; kept in dead.callbacks, answered 200",
    "callback.refused": "answered 4xx or 503; code says why",
    "callback.crashed": "our own code failed on a callback; answered 503, the provider repeats it",
    "media.missing": "an event goes out without its document; the reason says why",
    # dispatcher
    "event.accepted": "taken into the ledger; owed says to how many",
    "event.repeated": "its id was in the ledger already; nothing is owed again",
    "event.dead": "an event that could not be read, or broke our own code; moved to dead.events",
    "event.synthesised": "an event that no callback told was made of the provider's list, and published",
    "event.restored": "an event that was deleted from the ledger was recorded again by a backfill, and not told again",
    "fax.restored": "faxes that were deleted from the ledger were folded from their events again",
    "list.read": "a provider's list was compared with the ledger",
    "list.failed": "a provider's list could not be read, or not to its end; the reason says why, it is tried again",
    "account.mailed": "a mail with the daily account was sent",
    "account.unmailed": "a mail with the daily account was not sent; the code says why, it is tried again for a day",
    "account.wrong": "a provider's account of a day does not add up, or is not known; the reason says what to do",
    "fax.stalled": "a fax had no ending for too long; the event was published",
    "stalled.failed": "a store was away while it was looked for stalled faxes; it is looked again",
    "stalled.crashed": "our own code failed on stalled faxes; it is looked again",
    "list.crashed": "our own code failed on a provider's list; it is tried again",
    "consumer.paused": "the ledger is away for longer: the messages are left to other dispatchers until it is back",
    "batch.delayed": "the ledger could not take a batch; it is tried again, nothing is acked",
    "attempt.made": "one try at a delivery; outcome, status, seconds",
    "attempt.crashed": "our own code failed on a delivery; it is tried again, and given up on after a few times",
    "media.fetched": "a document that its provider only named by URL was fetched and kept",
    "media.unkept": "a fetched document is sent, but could not be kept for retries; the reason says why",
    "delivery.deferred": "put back for some seconds without an attempt: a full lane, an open circuit, our own trouble",
    "delivery.parked": "its endpoint is paused: it waits in the ledger until that is resumed",
    "delivery.dead": "given up; kept in dead.deliveries until a person decides",
    "delivery.dropped": "a message about a delivery that is settled or leased: nothing to do",
    "record.delayed": "an outcome could not be written, or leases not given back; they are held and written later, "
    "nothing is sent again",
    "publish.delayed": "a retry or dead letter could not be published; it is held and published later",
    "sweep.done": "the sweeper put back what was due without a message",
    "sweep.failed": "the sweeper could not reach a store; it tries again",
    "retention.done": "payloads, attempts and documents that are old enough were pruned",
    "retention.failed": "retention could not reach a store; it tries again",
    "api.crashed": "our own code failed on a request to the API; answered 500",
    "export.cut_off": "a store failed in the middle of an export; its connection was cut, its last line is missing",
    "console.crashed": "our own code failed on a page of the console; answered 500",
    "job.done": "a replay or discard of dead letters is finished; the line counts",
    "job.delayed": "a store does not answer; a dispatcher continues the job later",
    "job.crashed": "our own code failed in a job; it is tried again a few times, then given up",
    "endpoint.gone": "an endpoint answered 410 and is switched off",
    "alert.raised": "an alert of this kind was raised",
    "alert.sent": "an alert was sent to the operator",
    "alert.failed": "a message to the operator could not be sent; it is tried again for a day",
    "alerts.unchecked": "a store or the broker does not answer, so a check knows nothing; reason names the check",
    "alerts.crashed": "our own code failed in a check or a message of the alerts; it is tried again",
    "alert.resolved": "a matter is over",
    "endpoints.checked": "at the start: SECRETS_KEY opens the tokens of the oldest and the newest endpoints",
    "endpoints.unchecked": "the ledger could not give the endpoints at the start; they are asked for again",
    "ledger.away": "the ledger does not answer; batches wait",
}


FIELDS: Final[dict[str, str]] = {
    # on every line
    "event": "the line's name, from the table above",
    "level": "`debug`, `info`, `warning` or `error`",
    "timestamp": "ISO 8601, UTC",
    "service": "`ingress` or `dispatcher`",
    # ids: what to search for
    "callback_id": "of a quarantined callback: its id in `dead.callbacks` and in the answer to the provider",
    "event_id": "the event's: from the callback to the last attempt the same",
    "fax_id": "the provider's id of the fax",
    "delivery_id": "the delivery's, which the application gets as `X-Faxhook-Delivery-Id`",
    "endpoint_id": "the endpoint's",
    "alert_id": "of an alert",
    # what and how
    "provider": "phaxio, telnyx, sinch or asterisk",
    "route": "the path that was called, without its query",
    "type": "of the event",
    "kind": "of the alert",
    "format": "the endpoint's",
    "attempt": "number of the attempt, from 1",
    "outcome": "`told`, `not_told` (the endpoint failed) or `not_tried` (our own trouble)",
    "verdict": "what becomes of the delivery: `told`, `retrying`, `dead`, `skipped` or `requeued`; or an account's",
    "wait_seconds": "until the next attempt",
    "code": "what went wrong, as a stable word: of a callback the answer's `error`, of an attempt its error",
    "cause": "why something is dead, as a stable word",
    "reason": "why, for people",
    "http_status": "of our answer to a provider, or of the application's to us",
    "seconds": "how long it took; of `event.accepted` since its callback's receipt; of `delivery.deferred` the wait",
    "bytes": "of the body or document; of a refused callback as announced",
    "media_bytes": "of the document that came with a callback",
    "owed": "to how many endpoints",
    "missing": "how many endings the ledger did not know",
    "day": "of an account: a day of UTC",
    "count": "how many",
    "replay_job_id": "of a replay, discard or recovery",
    "what": "`dead.replay`, `dead.discard`, `endpoint.recover` or `delivery.resend`",
    "total": "how many letters a job is about",
    "done": "how many of them were replayed or discarded",
    "failed": "how many of them stay dead",
    "put_back": "how many deliveries",
    "stuck": "how many deliveries were given up as `stuck`",
    "events": "how many payloads were pruned",
    "attempts": "how many were pruned",
    "documents": "how many were removed",
    "is_given_up": "true if it is not tried again",
    # parts and places
    "connection": "of ours to the broker",
    "queue": "of the broker",
    "exchange": "of the broker",
    "key": "the routing key",
    "host": "that is listened on",
    "port": "that is listened on",
    "method": "of a request to the API",
    "library": "the logger that a library used",
    "message": "what it said, at most 500 characters",
    "settings": "the effective settings, secrets masked; JSON only",
    "exception": "the traceback",
}
"""Every field that a line may carry, for people. Which line carries which is read from the code."""

_LEVELS: Final = {"exception": "error", "warn": "warning"}
"""Methods of a logger that are not named as their level."""


def get_logger() -> Any:
    """Return a logger with one method for each level; the first argument is a name from `EVENTS`.

    It is bound: structlog's lazy one would be built again for each line.
    """
    return structlog.get_logger().bind()


def configure(service: str, level: str = "INFO", log_format: str = "json") -> None:
    """Send logs to stdout as *log_format* (`json` or `console`), from *level* upward."""
    number = logging.getLevelNamesMapping()[level.upper()]
    if log_format == "console":
        processors: list[Any] = [
            _adding(service),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            place_exception,
            _drop_settings,
            structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), pad_event_to=22),
        ]
        factory: Any = structlog.PrintLoggerFactory(sys.stdout)
    else:
        processors = [_rendering_json(service)]
        factory = GatheredLines(sys.stdout.buffer)
    structlog.configure(
        processors=processors,
        wrapper_class=_with_short_info(structlog.make_filtering_bound_logger(number), number, processors[0]),
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )
    _take_over_standard_logging()


def _rendering_json(service: str) -> Callable[[Any, str, Any], bytes]:
    """Return the one processor of JSON lines. A chain of five takes twice as long."""
    encode = msgspec.json.Encoder(enc_hook=repr).encode

    def render(logger: Any, method: str, line: Any) -> bytes:
        if "exc_info" in line:
            line = place_exception(logger, method, line)
        stamped = {"timestamp": _now(), "level": _LEVELS.get(method, method), "service": service}
        return encode({**stamped, "event": line.pop("event"), **line})

    return render


def _now() -> str:
    """Return the time in UTC as ISO 8601 with microseconds; the text of a second is made once."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{_second(seconds)}.{nanoseconds // 1000:06}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def _with_short_info(kind: Any, level: int, render: Any) -> Any:
    """Return *kind* with a shorter way for the lines of every callback and attempt, where *render* alone makes them."""

    class ShortInfo(kind):  # type: ignore[misc]  # structlog makes its class at run time
        def info(self, event: str, **fields: Any) -> Any:
            if self._context or [*self._processors] != [render]:  # bound to something, or captured by a test
                return super().info(event, **fields)
            fields["event"] = event
            return self._logger.info(render(self._logger, "info", fields))

    return ShortInfo if level <= logging.INFO else kind


def _adding(service: str) -> Callable[[Any, str, Any], Any]:
    def add(_logger: Any, _method: str, line: Any) -> Any:
        line["service"] = service
        return line

    return add


def place_exception(_logger: Any, _method: str, line: Any) -> Any:
    """Processor: log where an exception was raised, not its message, which may quote a fax or a password.

    Types and lines of code, the cause first; neither messages nor local variables.
    """
    given = line.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        line["exception"] = "\n".join(_trace(error))
    return line


def _trace(error: BaseException) -> list[str]:
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = [] if earlier is None else [*_trace(earlier), "then"]
    frames = traceback.extract_tb(error.__traceback__)
    lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    return [*lines, f"{type(error).__module__}.{type(error).__qualname__}"]


class _ToStructlog(logging.Handler):
    """Carries a library's warning into our log: its first line, without what the library saw.

    Further lines (asyncio's) and the arguments of any library may quote a URL or a body.
    """

    def emit(self, record: logging.LogRecord) -> None:
        message = str(record.msg).partition("\n")[0][:200]
        get_logger().warning("library.warned", library=record.name, message=message, exc_info=record.exc_info)


def _take_over_standard_logging() -> None:
    root = logging.getLogger()
    root.handlers = [_ToStructlog(level=logging.WARNING)]
    root.setLevel(logging.WARNING)
    # A lost connection is our own line `broker.lost`; the library's tracebacks add nothing.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)


def _drop_settings(_logger: Any, _method: str, line: Any) -> Any:
    line.pop("settings", None)
    return line
