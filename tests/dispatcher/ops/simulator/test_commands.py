"""`faxhook simulate`: what it says and how it ends. That the ingress takes what it sends stands in end_to_end/."""

import json
import re
import shlex
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dispatcher.ops.cli import app
from dispatcher.ops.simulator.samples import SAMPLES
from dispatcher.ops.simulator.settings import VARIABLES, SimulateSettings, read_env_file
from shared.settings import BadSetting, Settings, describe

TOKEN = {"PHAXIO_CALLBACK_TOKEN": "token"}
NOTHING = dict.fromkeys((name for name, _, _ in describe(SimulateSettings)), "")


def simulate(*arguments, environ=TOKEN):
    return CliRunner().invoke(app, ["simulate", *arguments], env={**NOTHING, **environ})


def test_an_unknown_provider_or_event_is_answered_with_those_there_are():
    result = simulate("twilio", "received")
    assert result.exit_code == 65
    assert all(provider in result.stderr for provider in SAMPLES)
    result = simulate("phaxio", "sent")
    assert result.exit_code == 65
    assert all(event in result.stderr for event in SAMPLES["phaxio"])
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("provider", ["phaxio", "telnyx", "asterisk"])
def test_a_missing_secret_names_its_variable(provider):
    result = simulate(provider, "received", environ={})
    assert result.exit_code == 78
    assert VARIABLES[provider] in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--set", "job_id"],
        ["--set", "fax.num_pages.x=1"],
        ["--set", "fax.recipients.7.status=busy"],
        ["--unset", "fax.nothing"],
        ["--to", "ftp://a"],
        ["--to", "nonsense"],
        ["--file", "/nowhere/at-all.pdf"],
        ["--secret", "PHAXIO=x"],
        ["--number", "+1", "--from", "+2"],
        ["--life"],
    ],
)
def test_an_option_that_makes_no_sense_is_a_sentence(arguments):
    result = simulate("phaxio", "queued", *arguments)
    assert result.exit_code == 65
    assert result.stderr.startswith("faxhook: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_without_an_event_it_says_which_there_are():
    result = simulate("phaxio")
    assert result.exit_code == 65
    assert "retry-scheduled" in result.stderr
    assert all(provider in simulate().stderr for provider in SAMPLES)


@pytest.mark.parametrize("provider", SAMPLES)
def test_list_shows_every_event_and_every_field_of_one(provider):
    shown = simulate("--list").stdout
    assert all(re.search(rf"^{provider} +{event} ", shown, re.MULTILINE) for event in SAMPLES[provider])
    lines = [json.loads(line) for line in simulate(provider, "--list", "--json").stdout.splitlines()]
    assert [line["event"] for line in lines] == list(SAMPLES[provider])
    fields = [json.loads(line) for line in simulate(provider, "received", "--list", "--json").stdout.splitlines()]
    known = {"phaxio": "fax.num_pages", "telnyx": "data.payload.page_count", "sinch": "fax.numberOfPages"}
    assert known.get(provider, "faxpages") in [field["field"] for field in fields]


def test_a_secret_may_be_given_by_hand_and_wins():
    result = simulate("asterisk", "received", "--secret", "ASTERISK_INBOUND_SECRET=by hand", "--print-curl", environ={})
    assert "X-Internal-Secret: by hand" in result.stdout


def test_a_field_that_the_sample_had_not_is_said_and_sent():
    result = simulate("phaxio", "queued", "--set", "fax.nun_pages=3", "--print-curl")
    assert result.exit_code == 0
    assert "fax.nun_pages" in result.stderr


def test_where_nothing_listens_it_ends_with_69():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = simulate("phaxio", "queued", "--to", f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert result.exit_code == 69
    assert "(refused)" in result.stderr


def test_the_env_file_is_read_as_a_shell_reads_it_and_wins(tmp_path):
    path = tmp_path / "run.env"
    path.write_text("# comment\nA=1\nexport B='two words'\n\nC=\"a'b\" # more\nD=x=y==\nE=\n")
    assert read_env_file(path) == {"A": "1", "B": "two words", "C": "a'b", "D": "x=y==", "E": ""}
    path.write_text("INGRESS_PORT=1234\nPHAXIO_CALLBACK_TOKEN=other\n")
    result = simulate("phaxio", "queued", "--fax-id", "7", "--curl", "--env", str(path))
    assert "http://127.0.0.1:1234/phaxio-callback" in result.stdout


def test_an_env_file_that_cannot_be_read_is_a_sentence_that_shows_no_value(tmp_path):
    path = tmp_path / "run.env"
    for content in ["secret words", "A='secret", "\xff"]:
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(BadSetting) as trouble:
            read_env_file(path)
        assert "secret" not in str(trouble.value)
    assert simulate("phaxio", "queued", "--env", str(tmp_path / "none")).exit_code == 78


def test_curl_has_a_line_of_text_inline_and_a_form_in_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = simulate("phaxio", "sent-success", "--fax-id", "7", "--curl", "--job-id", "a b")
    words = shlex.split(result.stdout)
    assert words[:3] == ["curl", "-sS", "http://127.0.0.1:8080/phaxio-callback?job_id=a+b"]
    assert words[-2] == "--data-binary"
    assert b'name="fax"' in Path(words[-1].removeprefix("@")).read_bytes()
    result = simulate("asterisk", "received", "--curl", environ={"ASTERISK_INBOUND_SECRET": "s"})
    assert shlex.split(result.stdout)[-1].startswith("tiff_path=")


def test_a_fax_id_is_the_same_only_if_it_is_given():
    commands = simulate("asterisk", "received", "--curl", "--count", "3", environ={"ASTERISK_INBOUND_SECRET": "s"})
    assert len(set(commands.stdout.splitlines())) == 3
    commands = simulate(
        *("asterisk", "received", "--curl", "--count", "3", "--fax-id", "7"), environ={"ASTERISK_INBOUND_SECRET": "s"}
    )
    assert len(set(commands.stdout.splitlines())) == 1


def test_every_variable_is_described():
    assert issubclass(SimulateSettings, Settings)
    assert all(description for _, _, description in describe(SimulateSettings))
