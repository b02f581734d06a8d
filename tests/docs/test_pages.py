"""The README is short, and what it and the pages name exists: links, pictures, targets, commands and files."""

import re
from functools import cache
from pathlib import Path

import pytest
import typer.main

from dispatcher.ops.cli import app

REPOSITORY = Path(__file__).resolve().parents[2]
README = REPOSITORY / "README.md"
PAGES = [
    README,
    *(REPOSITORY / name for name in ("CONTRIBUTING.md", "SECURITY.md")),
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
ASTERISK = REPOSITORY / "deploy" / "asterisk" / "README.md"
READERS = [page for page in [*PAGES, ASTERISK] if page != README]
TEXTS = [*PAGES, REPOSITORY / "CHANGELOG.md", ASTERISK]

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")
COMMAND = re.compile(r"(?:^|[`\s/])faxhook(?! is )((?: [a-z][a-z-]*)+)", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]*)")
LABEL = re.compile(r"(?<!\*)\*([A-Z][^*\n]*)\*(?!\*)")
FOLDER = re.compile(r"`((?:[\w.-]+/)+)`")
FILE = re.compile(r"(?<![\w./])((?:[\w.-]+/)+[\w-]+\.(?:py|yml|md|conf|example|html|js))(?![\w/])")


def named(page):
    return str(page.relative_to(REPOSITORY))


def code(page):
    return "\n".join(CODE.findall(page.read_text(encoding="utf-8")))


@cache
def cli():
    return typer.main.get_command(app)


def subcommands(command):
    return getattr(command, "commands", {})


def anchors(page):
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_shorter_than_two_hundred_lines():
    assert len(README.read_text(encoding="utf-8").splitlines()) < 200


@pytest.mark.parametrize("page", READERS, ids=named)
def test_a_page_says_first_for_whom_it_is(page):
    title, empty, first, *_ = page.read_text(encoding="utf-8").splitlines()
    assert title.startswith("# ")
    assert not empty
    assert first.startswith("For the ")


@pytest.mark.parametrize("page", TEXTS, ids=named)
def test_every_relative_link_and_picture_leads_somewhere(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            there = (page.parent / path).resolve() if path else page
            assert there.exists(), link
            assert not anchor or anchor in anchors(there), link


def test_every_page_and_picture_is_linked_to():
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in LINK.findall(page.read_text(encoding="utf-8"))
    }
    shown = [*READERS, REPOSITORY / "CHANGELOG.md", *(REPOSITORY / "docs").glob("*.png")]
    assert not [named(each) for each in shown if each not in linked]


@pytest.mark.parametrize("page", TEXTS, ids=named)
def test_every_make_target_that_is_named_exists(page):
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(TARGET.findall(code(page))) <= targets


def test_the_readme_names_every_make_target():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE)) - {"help"}
    assert targets <= set(TARGET.findall(code(README)))


@pytest.mark.parametrize("page", TEXTS, ids=named)
def test_every_faxhook_command_that_is_named_exists(page):
    for words in COMMAND.findall(code(page)):
        command = cli()
        for word in words.split():
            if not subcommands(command):
                break  # what follows are arguments
            assert word in subcommands(command), f"faxhook{words}"
            command = subcommands(command)[word]


@pytest.mark.parametrize("page", TEXTS, ids=named)
def test_every_option_of_a_faxhook_command_line_exists(page):
    for line in code(page).splitlines():
        found = COMMAND.search(line)
        if found is None or line.lstrip().startswith("|"):
            continue
        command = cli()
        for word in found.group(1).split():
            command = subcommands(command).get(word, command)
        if subcommands(command):
            continue
        options = {each for parameter in command.params for each in (*parameter.opts, *parameter.secondary_opts)}
        assert set(OPTION.findall(line.partition(" # ")[0])) <= options | {"--help"}, line


def test_the_readme_names_every_faxhook_command():
    named_ones = {words.split()[0] for words in COMMAND.findall(code(README))}
    assert set(subcommands(cli())) <= named_ones


@pytest.mark.parametrize("page", TEXTS, ids=named)
def test_every_file_that_is_named_exists(page):
    places = (REPOSITORY, REPOSITORY / "tests", page.parent)
    for path in FILE.findall(page.read_text(encoding="utf-8")):
        assert any((place / path).exists() for place in places), path


def test_every_folder_of_the_layout_exists():
    layout = README.read_text(encoding="utf-8").partition("## Layout")[2].partition("```")[0]
    found = FOLDER.findall(layout)
    assert "dispatcher/" in found
    for folder in found:
        assert any((REPOSITORY / place / folder).is_dir() for place in ("", "dispatcher", "shared", "deploy")), folder


def test_every_module_on_the_way_of_a_fax_exists():
    way = README.read_text(encoding="utf-8").partition("The way of a fax")[2].split("```")[1]
    modules = re.findall(r"[a-z_]+(?:/[a-z_]+)+", way)
    assert len(modules) >= 10
    for module in modules:
        places = [REPOSITORY / f"{prefix}{module}.py" for prefix in ("", "dispatcher/")]
        assert any(place.exists() for place in [*places, REPOSITORY / module]), module


def test_every_label_of_the_console_that_its_page_names_is_in_the_console():
    folder = REPOSITORY / "dispatcher" / "ops" / "console"
    shown = "".join(path.read_text(encoding="utf-8") for ext in ("html", "py") for path in folder.rglob(f"*.{ext}"))
    labels = LABEL.findall((REPOSITORY / "docs" / "console.md").read_text(encoding="utf-8"))
    assert "Dead letters" in labels
    assert not [label for label in labels if label not in shown]
