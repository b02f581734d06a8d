"""Writes the table of `docs/settings.md` and `deploy/env.example` from the code: `make docs`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from dispatcher.settings import DispatcherSettings
from ingress.settings import IngressSettings
from shared.settings import Settings, describe

REPOSITORY: Final = Path(__file__).resolve().parents[2]

PAGE: Final = REPOSITORY / "docs" / "settings.md"
ENV_EXAMPLE: Final = REPOSITORY / "deploy" / "env.example"
BEGIN: Final = "<!-- settings: written by `make docs` -->"
END: Final = "<!-- /settings -->"

SERVICES: Final[tuple[tuple[str, type[Settings]], ...]] = (
    ("ingress", IngressSettings),
    ("dispatcher", DispatcherSettings),
)


class Variable(msgspec.Struct, frozen=True):
    """One variable, as each service that reads it declares it.

    Attributes:
        defaults: By service, as text; `required` where there is no default.
        meanings: By service.
    """

    name: str
    defaults: dict[str, str]
    meanings: dict[str, str]

    def default(self) -> str:
        """Return its default, for each service if they differ."""
        return _same_or_each(self.defaults)

    def meaning(self) -> str:
        """Return what it means, for each service if they differ."""
        return _same_or_each(self.meanings)


def _same_or_each(by_service: Mapping[str, str]) -> str:
    if len(set(by_service.values())) == 1:
        return next(iter(by_service.values()))
    return "; ".join(f"{service}: {text or 'no default'}" for service, text in by_service.items())


def variables() -> list[Variable]:
    """Return every variable once, in the order of the services' structs."""
    found: dict[str, Variable] = {}
    for service, kind in SERVICES:
        for name, default, description in describe(kind):
            variable = found.setdefault(name, Variable(name, {}, {}))
            variable.defaults[service] = default
            variable.meanings[service] = description
    return list(found.values())


def table() -> str:
    """Return one Markdown table of all variables: name, which services read it, default, meaning."""
    lines = ["| variable | read by | default | meaning |", "|---|---|---|---|"]
    for each in variables():
        default = each.default()
        shown = default if default in {"required", ""} else f"`{default}`"
        lines.append(f"| `{each.name}` | {', '.join(each.meanings)} | {shown} | {each.meaning()} |")
    return "\n".join(lines)


def env_example() -> str:
    """Return an env file with every variable once, commented out where it has a default."""
    lines = ["# Every variable of faxhook; written by `make docs`. Any X may come from a file: X_FILE=/run/secrets/x."]
    readers: list[str] = []
    for each in sorted(variables(), key=lambda variable: -len(variable.meanings)):  # first what both services read
        if readers != list(each.meanings):
            readers = list(each.meanings)
            lines += ["", f"# --- {' and '.join(readers)} ---"]
        prefix, value = ("", "") if each.default() == "required" else ("# ", each.default())
        lines += [f"# {each.meaning()}", f"{prefix}{each.name}={value}"]
    return "\n".join(lines) + "\n"


def page_with_table(text: str) -> str:
    """Return the page's *text* with its table written again."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> None:
    """Write both files."""
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    ENV_EXAMPLE.write_text(env_example(), encoding="utf-8")


if __name__ == "__main__":
    main()
