"""`faxhook endpoints`: added, listed, changed and removed on the command line, with the checks of the API."""

import asyncio
import re
from typing import Any

import asyncpg
import msgspec
import pytest
from apis import faxhook
from dispatchers import SECRETS_KEY, STORE, an_event
from ledgers import endpoint, take
from typer.testing import CliRunner

from dispatcher.ops.cli import app


async def as_json(environment: dict[str, str], *arguments: str) -> Any:
    code, said, complained = await faxhook(environment, "endpoints", *arguments, "--json")
    assert code == 0, complained
    return msgspec.json.decode(said)


async def test_an_endpoint_is_added_listed_changed_and_removed(environment: dict[str, str]) -> None:
    added = await as_json(environment, "add", "http://127.0.0.1:1/hook", "--number", "+15551234567", "--inflight")
    assert (added["scope"], added["match"], added["inflight"]) == ("number", "+15551234567", True)
    assert len(added["tokens"]) == 1
    changed = await as_json(environment, "set", added["id"], "--disable", "--yes", "--max-concurrent", "2")
    assert (changed["enabled"], changed["max_concurrent"]) == (False, 2)
    (listed,) = (await as_json(environment, "list"))["items"]
    assert listed["id"] == added["id"]
    assert "tokens" not in listed
    await as_json(environment, "remove", added["id"], "--yes")
    assert (await as_json(environment, "list"))["items"] == []
    assert (await as_json(environment, "show", added["id"]))["removed_at"] is not None
    assert "REMOVED" in (await faxhook(environment, "endpoints", "show", added["id"]))[1]


async def test_a_list_says_that_there_are_more_and_its_command_goes_on(
    environment: dict[str, str], pool: asyncpg.Pool
) -> None:
    made = sorted([str((await endpoint(pool)).id) for _ in range(5)])  # within a millisecond by chance
    seen: list[str] = []
    following: list[str] = []
    for page in range(3):
        code, said, _ = await faxhook(environment, "endpoints", "list", "--limit", "2", *following)
        seen += [each for each in made if each in said]
        more = re.findall(r"^there are more: (--after \S+)$", said, re.MULTILINE)
        assert (code, len(more)) == (0, int(page < 2)), said
        following = more[0].split() if more else []
    assert seen == made, "each once, the oldest first"
    assert "there are more" not in (await faxhook(environment, "endpoints", "list", "--limit", "5"))[1]
    page = await as_json(environment, "list", "--limit", "4")
    assert (len(page["items"]), len((await as_json(environment, "list", "--after", page["next"]))["items"])) == (4, 1)


async def test_the_audit_names_the_command_line_and_what_changed_and_no_secret(
    environment: dict[str, str], database_url: str
) -> None:
    added = await as_json(environment, "add", "http://user:secret@127.0.0.1:1/hook")
    await as_json(environment, "set", added["id"], "--inflight", "--token", "a-secret-token")
    await as_json(environment, "tokens", added["id"], "--add")
    await as_json(environment, "remove", added["id"], "--yes")
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT who, what, subject, details FROM audit ORDER BY id")
    await connection.close()
    assert {(row["who"], row["subject"]) for row in rows} == {("cli", added["id"])}
    assert [(row["what"], msgspec.json.decode(row["details"])["fields"]) for row in rows] == [
        ("endpoint.added", []),
        ("endpoint.changed", ["tokens", "inflight"]),
        ("endpoint.token_add", []),
        ("endpoint.removed", []),
    ]
    assert "secret" not in str(rows)


async def test_people_see_the_token_once_and_a_table_without_it(environment: dict[str, str]) -> None:
    code, said, _ = await faxhook(environment, "endpoints", "add", "http://user:secret@127.0.0.1:1/hook")
    token = said.partition("token (shown once): ")[2].split()[0]
    assert (code, len(token) > 20) == (0, True)
    _, table, _ = await faxhook(environment, "endpoints", "list")
    (endpoint,) = (await as_json(environment, "list"))["items"]
    assert endpoint["id"] in table, "whole, to be copied"
    assert "http://user:***@127.0.0.1:1/hook" in table
    assert token not in table
    assert "secret" not in table


async def test_a_narrow_table_has_room_for_the_url_and_a_mail_address_has_no_format(
    environment: dict[str, str],
) -> None:
    url = "http://127.0.0.1:1/hooks/of/faxes"
    for added in (url, "mailto:desk@example.com"):
        await as_json(environment, "add", added)
    _, table, _ = await faxhook({**environment, "COLUMNS": "80"}, "endpoints", "list")
    assert url in table
    assert max(map(len, table.splitlines())) <= 80
    assert table.count("phaxio-v2.1") == 1
    assert "e-mail" in table


async def test_an_endpoint_is_paused_and_resumed_and_the_list_says_so(environment: dict[str, str]) -> None:
    added = await as_json(environment, "add", "http://127.0.0.1:1/hook")
    assert (await as_json(environment, "pause", added["id"]))["paused"] is True
    assert "PAUSED" in (await faxhook(environment, "endpoints", "list"))[1]
    code, said, _ = await faxhook(environment, "endpoints", "resume", added["id"])
    assert (code, "in order" in said) == (0, True)
    assert (await faxhook(environment, "endpoints", "pause", "nonsense"))[0] == 65


async def test_disabling_and_removing_say_what_follows_and_ask_and_without_a_terminal_want_yes(
    environment: dict[str, str], pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await endpoint(pool)
    await take(pool, an_event(1))
    disable, remove = ("endpoints", "set", str(made.id), "--disable"), ("endpoints", "remove", str(made.id))
    for command in (disable, remove):
        for arguments in (command, (*command, "--json")):
            code, said, complained = await faxhook(environment, *arguments)
            assert (code, said, "say --yes" in complained) == (65, "", True), complained
            assert "1 delivery that it is still owed becomes a dead letter when due" in complained
        assert ("pause" in complained, "no other endpoint applies" in complained) == (
            command is disable,
            command is remove,
        )
    code, _, complained = await faxhook(environment, *remove, "--dry-run", "--yes")
    assert (code, "--dry-run and --yes contradict each other" in complained) == (65, True)
    monkeypatch.setattr("dispatcher.ops.terminal.has_terminal", lambda: True)

    async def answered(word: str, *command: str) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, app, list(command), input=f"{word}\n", env=environment)
        return result.exit_code, result.stdout

    for command in (disable, remove):
        code, said = await answered("n", *command)
        assert (code, "still owed becomes a dead letter" in said, "? [y/N]" in said) == (1, True, True)
    assert await STORE.get(pool, made.id) == made, "no was the answer"
    assert (await answered("y", *disable))[0] == 0
    code, said = await answered("", *disable, "--description", "Desk")
    assert (code, "?" in said) == (0, False), "it is disabled already: nothing to ask"
    assert (await answered("y", *remove))[0] == 0
    assert await STORE.get(pool, made.id) is None


async def test_types_headers_and_a_name_are_options_and_no_value_of_a_header_is_shown(
    environment: dict[str, str],
) -> None:
    options = ("--type", "fax.failed", "--header", "X-Key: se:cret", "--header", "X-Two: 2", "--description", "Desk")
    added = await as_json(environment, "add", "http://127.0.0.1:1/hook", *options)
    assert (added["types"], added["headers"], added["description"]) == (["fax.failed"], ["X-Key", "X-Two"], "Desk")
    _, table, _ = await faxhook(environment, "endpoints", "list")
    _, page, _ = await faxhook(environment, "endpoints", "show", added["id"])
    for text in (table, page):
        assert "Desk" in text
        assert "se:cret" not in text
    changed = await as_json(environment, "set", added["id"], "--type", "", "--header", "")
    assert (changed["types"], changed["headers"]) == ([], [])
    for wrong in ("X-Key", ": value", "X-A: 1\nX-B: 2"):
        assert (await faxhook(environment, "endpoints", "set", added["id"], "--header", wrong))[0] == 65


async def test_a_mail_address_gets_no_token(environment: dict[str, str]) -> None:
    assert (await as_json(environment, "add", "mailto:desk@example.com"))["tokens"] == []


@pytest.mark.parametrize(
    ("arguments", "beginning"),
    [
        (("add", "ftp://example.com/"), "url: "),
        (("add", "http://10.0.0.1/"), "url: "),
        (("add", "http://127.0.0.1/", "--format", "fax-v9"), "format: "),
        (("add", "http://127.0.0.1/", "--direction", "up"), "direction: "),
        (("add", "http://127.0.0.1/", "--number", "5551234"), "--number: "),
        (("add", "http://127.0.0.1/", "--fax", "phaxio"), "--fax: "),
        (("add", "http://127.0.0.1/", "--format", "telnyx-v2", "--token", "short"), "tokens: "),
        (("add", "http://127.0.0.1/", "--unsigned", "--token", "a-token-of-mine"), "--unsigned and --token"),
        (("add", "http://127.0.0.1/", "--number", "+15551234567", "--fax", "phaxio:1"), "--number and --fax"),
        (("add", "http://127.0.0.1/", "--job-id", "1", "--fax", "phaxio:1"), "--job-id and --fax"),
        (("add", "mailto:a@example.com", "--format", "standard-v1"), "format: "),
        (("set", "nonsense", "--disable", "--yes"), "there is no endpoint `nonsense`"),
        (("set", "nonsense", "--disable"), "there is no endpoint `nonsense`"),
        (("remove", "01a202c2-ec88-7d71-b7ab-9004d99a8e15"), "there is no endpoint `01a202c2-ec88"),
    ],
)
async def test_what_is_wrong_is_refused_with_exit_65_naming_what_and_nothing_is_written(
    environment: dict[str, str], database_url: str, arguments: tuple[str, ...], beginning: str
) -> None:
    code, _, complained = await faxhook(environment, "endpoints", *arguments)
    assert code == 65, complained
    assert complained.startswith(f"faxhook: {beginning}")
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT count(*) FROM endpoints") == 0
    await connection.close()


async def test_a_key_that_does_not_fit_is_exit_78_naming_the_variable(environment: dict[str, str]) -> None:
    await as_json(environment, "add", "http://127.0.0.1/")
    other = {**environment, "SECRETS_KEY": SECRETS_KEY.replace("q", "r")}
    code, _, complained = await faxhook(other, "endpoints", "list")
    assert (code, "SECRETS_KEY" in complained) == (78, True)
    rotated = {**environment, "SECRETS_KEY": f"{other['SECRETS_KEY']},{SECRETS_KEY}"}
    assert len((await as_json(rotated, "list"))["items"]) == 1


async def test_with_a_proxy_a_name_that_cannot_be_resolved_here_is_taken(environment: dict[str, str]) -> None:
    url = "https://only.the-proxy.knows.invalid/hook"
    assert (await faxhook(environment, "endpoints", "add", url))[0] == 65
    added = await as_json({**environment, "EGRESS_PROXY": "http://user:pass@127.0.0.1:1"}, "add", url)
    assert added["url"] == url
