"""`faxhook simulate`: what it says and how it ends. That the ingress takes what it sends stands in end_to_end/."""

import shlex
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dispatcher.ops.cli import app
from dispatcher.ops.samples import SAMPLES, events_of
from dispatcher.ops.simulate import VARIABLES, SimulateSettings, read_env_file
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
    assert all(event in result.stderr for event in events_of("phaxio"))
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("provider", ["phaxio", "telnyx", "asterisk"])
def test_a_missing_secret_names_its_variable(provider):
    result = simulate(provider, "received", environ={})
    assert result.exit_code == 78
    assert VARIABLES[provider] in result.stderr


@pytest.mark.parametrize(
    "arguments", [["--set", "x=1"], ["--set", "job_id"], ["--to", "ftp://a"], ["--to", "nonsense"]]
)
def test_an_option_that_makes_no_sense_is_a_sentence(arguments):
    result = simulate("phaxio", "queued", *arguments)
    assert result.exit_code == 65
    assert arguments[0] in result.stderr


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
    result = simulate("phaxio", "sent-success", "--fax-id", "7", "--curl", "--set", "job_id=a b")
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
