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
