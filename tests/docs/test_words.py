"""Console, command line, errors and pages use the field's words: none of those that say nothing, and no *told* for webhooks."""

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from dispatcher.ops.cli import app
from dispatcher.ops.words import STATES

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATES = REPOSITORY / "dispatcher/ops/console/templates"

FORBIDDEN = re.compile(
    r"\b(mend(s|ed|ing)?|told of|takes none|look(s|ed|ing)? after|held back for a moment|nobody|whoever|somebody|"
    r"who stands between|(is|are) none)\b",
    re.IGNORECASE,
)
TOLD = re.compile(r"(?<![-\w`])(not )?told\b(?! \(delivered\))", re.IGNORECASE)
"""The API's value of what people call delivered; it may stand as an option, as code, or with its name beside it."""

WRITTEN = re.compile(r"\b(mend(s|ed|ing)?|nobody|whoever|somebody|(?-i:(is|are) none))\b", re.IGNORECASE)
"""The same in what developers read: docstrings, comments, and the names of tests."""

SQL = re.compile(r"\b(SELECT|WHERE|FROM|WHEN|FILTER|JOIN|AND)\b")

NOT_OF_WEBHOOKS = re.compile(
    r"(operator|application|who) (is|was|were) told|cannot be told|callback told|told the operator", re.IGNORECASE
)
"""A person or an application is told something; a webhook is delivered."""

WANTED = {
    "endpoint_fields.html": ("Payload format", "Max. concurrent requests per dispatcher"),
    "dead.html": ("Review", "could not be parsed"),
    "endpoint.html": ('"closed": "normal"',),
    "endpoints.html": ("replace the general ones", "replace both"),
    "overview_live.html": ("peak", "unacked", "is retried on schedule"),
    "../pages/overview.py": ("incoming events", "deferred"),
    "../pages/issues.py": ("need attention",),
    "../pages/dead.py": ("older than a day",),
    "../../dead/causes.py": ("callback could not be parsed",),
}
"""Where the field's words must stand."""


def help_texts() -> Iterator[tuple[str, str]]:
    """Yield every help text of the command line, each with its command or option."""

    def of(command: object, name: str) -> Iterator[tuple[str, str]]:
        yield name, getattr(command, "help", None) or ""
        for parameter in getattr(command, "params", ()):
            yield f"{name} {' '.join(parameter.opts)}", getattr(parameter, "help", None) or ""
        for part, inner in getattr(command, "commands", {}).items():
            yield from of(inner, f"{name} {part}")

    return of(get_command(app), "faxhook")


def seen_of(template: str) -> str:
    """Return what a browser shows of a template: its text, and the attributes that are read out or shown."""
    shown = " ".join(re.findall(r'(?:placeholder|title|aria-label|alt)="([^"]*)"', template))
    return re.sub(r"{[{%#].*?[}%#]}", " ", re.sub(r"<[^>]*>", " ", template) + shown, flags=re.DOTALL)


def sentences_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield every text of a module but its docstrings, which only developers read, each with its line."""
    tree = ast.parse(source)
    unseen = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in unseen:
            yield node.lineno, node.value


def written_in(path: Path) -> Iterator[tokenize.TokenInfo]:
    """Yield docstrings, comments and names of a module: what its developers read."""
    with path.open("rb") as file:
        before = tokenize.NEWLINE
        for token in tokenize.tokenize(file.readline):
            begins = before in {tokenize.NEWLINE, tokenize.INDENT, tokenize.ENCODING, tokenize.DEDENT}
            if token.type in {tokenize.COMMENT, tokenize.NAME} or (token.type == tokenize.STRING and begins):
                yield token
            before = token.type


def test_no_page_of_the_documentation_uses_them() -> None:
    pages = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("deploy/**/*.md")]
    found = [
        f"{page.relative_to(REPOSITORY)}:{number}: {hit[0]}"
        for page in pages
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
        for hit in FORBIDDEN.finditer(re.sub(r"`[^`]*`", " ", line))
    ]
    assert not found, "\n".join(found)


def test_no_sentence_of_the_services_and_commands_uses_them() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: {hit[0]}"
        for folder in ("dispatcher", "ingress", "shared", "deploy")
        for path in (REPOSITORY / folder).rglob("*.py")
        for line, text in sentences_of(path.read_text(encoding="utf-8"))
        for hit in FORBIDDEN.finditer(text)
    ]
    assert not found, "\n".join(found)


def test_no_sentence_of_the_operators_surface_calls_a_webhook_told() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: {text[:100]}"
        for path in (REPOSITORY / "dispatcher/ops").rglob("*.py")
        for line, text in sentences_of(path.read_text(encoding="utf-8"))
        if " " in text.strip() and not SQL.search(text) and TOLD.search(NOT_OF_WEBHOOKS.sub("", text))
    ]
    assert not found, "\n".join(found)


def test_no_docstring_comment_or_name_of_a_test_uses_them() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{token.start[0]}: {hit[0]}"
        for folder in ("dispatcher", "ingress", "shared", "deploy", "docs", "tests")
        for path in (REPOSITORY / folder).rglob("*.py")
        if path != Path(__file__)
        for token in written_in(path)
        for hit in WRITTEN.finditer(token.string.replace("_", " "))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_no_page_of_the_console_uses_them_or_calls_a_webhook_told(template: Path) -> None:
    seen = seen_of(template.read_text(encoding="utf-8"))
    assert not FORBIDDEN.search(seen)
    assert not TOLD.search(seen)


def test_no_help_text_uses_them_or_calls_a_webhook_told() -> None:
    found = [f"{name}: {text}" for name, text in help_texts() if FORBIDDEN.search(text) or TOLD.search(text)]
    assert not found, "\n".join(found)


def test_the_fields_words_stand_where_people_look_for_them() -> None:
    for place, words in WANTED.items():
        text = (TEMPLATES / place).read_text(encoding="utf-8")
        assert [word for word in words if word.lower() not in text.lower()] == [], place
    assert list(STATES.values()) == ["pending", "retrying", "delivered", "dead", "skipped"]


def test_the_search_finds_what_it_is_for() -> None:
    assert FORBIDDEN.search("Nobody looks after it")
    assert not FORBIDDEN.search("An amendment; the chart takes nothing")
    assert TOLD.search("one that was told")
    assert not TOLD.search("--told, `told` or told (delivered)")
    assert "told" not in seen_of('<p class="told">{{ job.skipped_told }}</p>')
    assert [text for _, text in sentences_of('"""Nobody."""\nx = "a"\n')] == ["a"]
