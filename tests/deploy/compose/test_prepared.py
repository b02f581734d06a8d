"""The secrets of the compose file are made once and kept; the broker's users have the rights that they need and no more."""

import base64
import hashlib
import json
import re
import stat

import msgspec
import pytest

from deploy.compose.prepared import PROVIDER_VARIABLES, definitions, prepare
from shared.amqp.rights import RIGHTS
from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import FAX_DEAD, FAX_IN, FAX_RETRY, FAX_WORK, WORK_DELIVERIES, WORK_EVENTS, topology

NAMES = {each.name for each in topology(parse_backoff(DEFAULT_BACKOFF)).queues} | {
    FAX_IN,
    FAX_WORK,
    FAX_RETRY,
    FAX_DEAD,
}


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_call_changes_nothing(tmp_path):
    prepare(tmp_path / "made")
    first = contents(tmp_path / "made")
    prepare(tmp_path / "made")
    assert contents(tmp_path / "made") == first
    assert not list(tmp_path.rglob("*.part"))


def test_what_is_missing_is_made_again_and_what_was_edited_is_kept(tmp_path):
    prepare(tmp_path)
    (tmp_path / "providers.env").write_text("TELNYX_PUBLIC_KEY=mine\n")
    (tmp_path / "secrets/ops_token").unlink()
    prepare(tmp_path)
    assert (tmp_path / "providers.env").read_text() == "TELNYX_PUBLIC_KEY=mine\n"
    assert (tmp_path / "secrets/ops_token").read_text()


def test_only_the_owner_can_open_the_folder_and_every_container_user_the_files(tmp_path):
    prepare(tmp_path / "made")
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in contents(tmp_path / "made")} == {0o644}


def test_two_folders_have_no_secret_in_common(tmp_path):
    for name in ("one", "other"):
        prepare(tmp_path / name)
    one, other = (contents(tmp_path / name / "secrets") for name in ("one", "other"))
    assert not set(one.values()) & set(other.values())


def test_the_urls_bear_the_passwords_that_the_stores_are_told(tmp_path):
    prepare(tmp_path)
    imported = json.loads((tmp_path / "definitions.json").read_text())
    hashes = {user["name"]: base64.b64decode(user["password_hash"]) for user in imported["users"]}
    for user in ("owner", "ingress", "dispatcher", "ops"):
        url = (tmp_path / f"secrets/{user}_amqp_url").read_text()
        name, password = re.fullmatch(r"amqp://(\w+):(\w+)@broker:5672/faxhook", url).groups()
        assert name == user
        salt, digest = hashes[user][:4], hashes[user][4:]
        assert hashlib.sha256(salt + password.encode()).digest() == digest
    for role, secret in {"owner": "owner", "application": "application"}.items():
        assert (tmp_path / f"secrets/{secret}_password").read_text() in (
            tmp_path / f"secrets/{role}_database_url"
        ).read_text()


def test_the_providers_secrets_are_made_for_every_provider(tmp_path):
    prepare(tmp_path)
    lines = [line for line in (tmp_path / "providers.env").read_text().splitlines() if not line.startswith("#")]
    assert [line.partition("=")[0] for line in lines] == list(PROVIDER_VARIABLES)
    assert all(line.partition("=")[2] for line in lines)


@pytest.mark.parametrize(
    ("user", "writes", "reads"),
    [
        ("ingress", {FAX_IN, FAX_DEAD}, set()),
        ("dispatcher", {FAX_WORK, FAX_RETRY, FAX_DEAD}, {WORK_EVENTS, WORK_DELIVERIES}),
        ("ops", {FAX_IN, FAX_WORK}, {name for name in NAMES if re.match(r"(dead|work|retry|defer)\.", name)}),
        ("owner", NAMES, NAMES),
    ],
)
def test_a_user_may_write_and_read_what_it_needs_and_only_the_owner_declares(user, writes, reads):
    configure, write, read = msgspec.structs.astuple(RIGHTS[user])
    assert {name for name in NAMES if re.search(write, name)} == writes
    assert {name for name in NAMES if re.search(read, name)} == reads
    assert {name for name in NAMES if re.search(configure, name)} == (NAMES if user == "owner" else set())


def test_each_user_has_its_rights_in_the_definitions():
    imported = definitions(dict.fromkeys(RIGHTS, "x"))
    assert (
        {each["user"] for each in imported["permissions"]}
        == {each["name"] for each in imported["users"]}
        == set(RIGHTS)
    )
    assert {each["name"]: each["tags"] for each in imported["users"] if each["tags"]} == {"monitor": ["monitoring"]}
