"""Options that contradict each other are refused with exit 65 and a sentence that names both; nothing is done."""

import pytest
from typer.testing import CliRunner

from dispatcher.ops.cli import app

CONTRADICTIONS = [
    ("simulate phaxio received --number +15550100199 --to-number +15550100198", "--number", "--to-number"),
    ("simulate phaxio sent-success --number +15550100199 --from +15550100198", "--number", "--from"),
    ("simulate phaxio --list --count 3", "--list", "--count"),
    ("simulate phaxio received --list --print-curl", "--list", "--print-curl"),
    ("simulate phaxio received --curl --json", "--print-curl", "--json"),
    ("simulate phaxio received --curl --every 2", "--print-curl", "--every"),
    ("simulate phaxio received --seed 7", "--seed", "--shuffle"),
    ("simulate phaxio received --job-id 7", "--job-id", "received fax"),
    ("simulate phaxio sent-failure --set fax.num_pages=1 --unset fax.num_pages", "--set", "--unset"),
    ("listen --token to-try-it-out --close --drip", "--close", "--drip"),
    ("listen --token to-try-it-out --close --status 500", "--close", "--status"),
    ("listen --token to-try-it-out --close --retry-after 5", "--close", "--retry-after"),
    ("listen --token to-try-it-out --fail 1 --status 204", "--fail", "--status 204"),
    ("listen --token x", "--token", "at least 6 bytes"),
    ("listen --token to-try-it-out --format telnyx-v2", "--token", "telnyx-v2"),
    ("listen --token to-try-it-out --url mailto:a@example.com", "--url", ""),
    ("dead list --older-than 1h --younger-than 30m", "--older-than 1h", "--younger-than 30m"),
    ("dead list --limit 5", "--limit", "--each"),
    ("dead list --kind callback --type fax.failed", "--kind callback", "--type"),
    ("dead replay --all --cause tls", "--all", "a filter"),
    ("dead replay some-id --cause tls", "ids", "a filter"),
    ("dead replay some-id --all", "ids", "--all"),
    ("dead replay --cause tls --dry-run --yes", "--dry-run", "--yes"),
    ("faxes list --direction sent --state fax.received", "--direction sent", "--state fax.received"),
    ("faxes list --direction received --state fax.delivered", "--direction received", "--state fax.delivered"),
    ("queues --interval 5", "--interval", "--watch"),
]
ENVIRONMENT = {
    "AMQP_URL": "amqp://u:p@127.0.0.1:1/",
    "DATABASE_URL": "postgresql://127.0.0.1:1/",
    "PHAXIO_CALLBACK_TOKEN": "token",
    "LISTEN_TOKEN": "",
}


@pytest.mark.parametrize(("line", "first", "second"), CONTRADICTIONS)
def test_options_that_contradict_each_other_are_refused_and_both_are_named(line, first, second):
    result = CliRunner().invoke(app, line.split(), env=ENVIRONMENT)
    assert result.exit_code == 65, result.output
    assert result.stderr.startswith("faxhook: ")
    assert result.stderr.count("\n") == 1
    assert first in result.stderr
    assert second in result.stderr


WRONG_VALUES = [
    ("faxes list --limit 0", "--limit: 0 is not in the range"),
    ("events list --limit 20000", "--limit: 20000 is not in the range"),
    ("attempts list --limit many", "--limit: 'many' is not a whole number"),
    ("dead replay --all --rate 0", "--rate: 0.0 is not in the range"),
    ("dead list --older-than long", "--older-than wants a number"),
    ("queues --watch --interval x", "--interval: 'x' is not a number"),
]
MISUSED = [
    "frobnicate",
    "faxes",
    "faxes lost",
    "faxes list --nope",
    "faxes list --state",
    "faxes show",
    "attempts list extra",
]


@pytest.mark.parametrize(("line", "sentence"), WRONG_VALUES)
def test_a_wrong_value_is_65_and_a_sentence_that_names_its_option(line: str, sentence: str) -> None:
    result = CliRunner().invoke(app, line.split(), env=ENVIRONMENT)
    assert (result.exit_code, result.stdout) == (65, "")
    assert result.stderr.startswith(f"faxhook: {sentence}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("line", MISUSED)
def test_a_command_line_that_cannot_be_understood_is_2(line: str) -> None:
    assert CliRunner().invoke(app, line.split(), env=ENVIRONMENT).exit_code == 2
