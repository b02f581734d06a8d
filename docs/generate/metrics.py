"""Writes the tables of `docs/metrics.md` and `docs/log-lines.md` from the code: `make docs`.

Which fields a log line carries is read from the calls themselves, so that no list of ours can be out of date.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from dispatcher.measures import MEASURES as DISPATCHER_MEASURES
from ingress.metrics import MEASURES as INGRESS_MEASURES
from shared.log import EVENTS, FIELDS
from shared.metrics import SHARED, Measure

REPOSITORY: Final = Path(__file__).resolve().parents[2]

METRICS_PAGE: Final = REPOSITORY / "docs" / "metrics.md"
LOGS_PAGE: Final = REPOSITORY / "docs" / "log-lines.md"
METRICS: Final = ("<!-- metrics: written by `make docs` -->", "<!-- /metrics -->")
LOGS: Final = ("<!-- logs: written by `make docs` -->", "<!-- /logs -->")

PACKAGES: Final = ("ingress", "dispatcher", "shared")
LEVELS: Final = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
TRACEBACK: Final = "exception"
WRAPPERS: Final = {
    "LedgerRetry": ("warning", ("count", "reason")),
    "log_crash": ("error", ("method", "route", TRACEBACK)),
}
"""What is given the name of a line and logs it: its level and fields."""

COMMON_FIELDS: Final = ("event", "level", "timestamp", "service")
MANY: Final = 12
"""More values of a label than this are shown below the table."""


class LogCall(msgspec.Struct, frozen=True):
    """One place in the code that logs."""

    place: str
    event: str
    level: str
    fields: tuple[str, ...]
    is_plain: bool


def measures() -> dict[str, list[Measure]]:
    """Return every metric by the service that has it."""
    ours = {
        "ingress": [each for each in INGRESS_MEASURES if each not in SHARED],
        "dispatcher": [each for each in DISPATCHER_MEASURES if each not in SHARED],
    }
    return {**ours, "both": list(SHARED)}


def metrics_table() -> str:
    """Return the Markdown table of metrics, and below it the labels whose values are many."""
    lines = ["| metric | of | kind | labels | meaning | alert on |", "|---|---|---|---|---|---|"]
    long: list[str] = []
    for service, found in measures().items():
        for each in found:
            labels = [_label(each, name, values, long) for name, values in each.labels.items()]
            lines.append(
                f"| `{each.name}` | {service} | {each.kind} | {'; '.join(labels)} | {each.meaning} | {each.alert} |"
            )
    lines.append("| `process_*` | both | | | CPU, memory, file descriptors, start time of the process | |")
    return "\n".join([*lines, "", *long]).rstrip()


def _label(measure: Measure, name: str, values: tuple[str, ...], long: list[str]) -> str:
    if len(values) <= MANY:
        return f"`{name}`" + (f": {', '.join(values)}" if values else "")
    long.append(f"* `{name}` of `{measure.name}`: {', '.join(f'`{value}`' for value in values)}.")
    return f"`{name}`: see below"


def log_calls() -> Iterator[LogCall]:
    """Yield every call in the services that writes a log line."""
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            place = str(path.relative_to(REPOSITORY))
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (call := _log_call(node, place)) is not None:
                    yield call


def _log_call(node: ast.AST, path: str) -> LogCall | None:
    match node:
        case ast.Call(func=ast.Attribute(attr=level, value=logger), args=[ast.Constant(value=str(event)), *others]):
            if level not in LEVELS or "log" not in ast.unparse(logger):
                return None
        case ast.Call(func=ast.Name(id=wrapper), args=[ast.Constant(value=str(event)), *_]) if wrapper in WRAPPERS:
            return LogCall(f"{path}:{node.lineno}", event, *WRAPPERS[wrapper], is_plain=True)
        case _:
            return None
    names = [keyword.arg for keyword in node.keywords]
    fields = {TRACEBACK if name == "exc_info" else name for name in names if name is not None}
    fields |= {TRACEBACK} if level == "exception" else set()
    is_plain = not others and None not in names
    return LogCall(f"{path}:{node.lineno}", event, LEVELS[level], tuple(sorted(fields, key=_position)), is_plain)


def _position(field: str) -> int:
    return list(FIELDS).index(field) if field in FIELDS else len(FIELDS)


def logs_table() -> str:
    """Return the Markdown tables of log lines and of their fields."""
    levels: dict[str, set[str]] = {}
    fields: dict[str, set[str]] = {}
    for call in log_calls():
        levels.setdefault(call.event, set()).add(call.level)
        fields.setdefault(call.event, set()).update(call.fields)
    lines = ["| line | level | fields | meaning |", "|---|---|---|---|"]
    for event, meaning in EVENTS.items():
        shown = ", ".join(f"`{field}`" for field in sorted(fields.get(event, ()), key=_position))
        lines.append(f"| `{event}` | {', '.join(sorted(levels.get(event, ())))} | {shown} | {meaning} |")
    lines += ["", "| field | meaning |", "|---|---|"]
    lines += [f"| `{field}` | {meaning} |" for field, meaning in FIELDS.items()]
    return "\n".join(lines)


def metrics_page(text: str) -> str:
    """Return the *text* of the page of metrics with its table written again."""
    return _with_table(text, METRICS, metrics_table())


def logs_page(text: str) -> str:
    """Return the *text* of the page of log lines with its tables written again."""
    return _with_table(text, LOGS, logs_table())


def _with_table(text: str, marks: tuple[str, str], table: str) -> str:
    begin, end = marks
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{table}\n{end}{after}"


def main() -> None:
    """Write them."""
    METRICS_PAGE.write_text(metrics_page(METRICS_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    LOGS_PAGE.write_text(logs_page(LOGS_PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
