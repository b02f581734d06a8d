"""Writes the settings tables of the README and `deploy/env.example` from the code: `make docs`."""

from pathlib import Path
from typing import Final

from dispatcher.settings import DispatcherSettings
from ingress.settings import IngressSettings
from shared.settings import Settings, describe

REPOSITORY: Final = Path(__file__).resolve().parents[2]

README: Final = REPOSITORY / "README.md"
ENV_EXAMPLE: Final = REPOSITORY / "deploy" / "env.example"
BEGIN: Final = "<!-- settings: written by `make docs` -->"
END: Final = "<!-- /settings -->"

SERVICES: Final[tuple[tuple[str, type[Settings]], ...]] = (
    ("ingress", IngressSettings),
    ("dispatcher", DispatcherSettings),
)


def tables() -> str:
    """Return one Markdown table of all variables: name, who reads it, default, meaning."""
    readers: dict[str, list[str]] = {}
    rows: dict[str, tuple[str, str]] = {}
    for service, kind in SERVICES:
        for name, default, description in describe(kind):
            readers.setdefault(name, []).append(service)
            rows[name] = (default, description)
    lines = ["| variable | read by | default | meaning |", "|---|---|---|---|"]
    for name, (default, description) in rows.items():
        shown = default if default in {"required", ""} else f"`{default}`"
        lines.append(f"| `{name}` | {', '.join(readers[name])} | {shown} | {description} |")
    return "\n".join(lines)


def env_example() -> str:
    """Return an env file with every variable, commented out where it has a default."""
    lines = ["# Every variable of faxhook; written by `make docs`. Any X may come from a file: X_FILE=/run/secrets/x."]
    for service, kind in SERVICES:
        lines += ["", f"# --- {service} ---"]
        for name, default, description in describe(kind):
            prefix = "" if default == "required" else "# "
            lines += [f"# {description}", f"{prefix}{name}={'' if default == 'required' else default}"]
    return "\n".join(lines) + "\n"


def readme_with_tables(text: str) -> str:
    """Return the README's *text* with its settings written anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def main() -> None:
    """Write both files."""
    README.write_text(readme_with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
    ENV_EXAMPLE.write_text(env_example(), encoding="utf-8")


if __name__ == "__main__":
    main()
